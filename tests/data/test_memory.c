/* Every allocation of the data sets fails in turn: an error comes back, and nothing leaks. */
#include "data/helpers.h"

#include <errno.h>

#include "base/status.h"
#include "data/data.h"
#include "tutti/table.h"
#include "tutti/text.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define SANITIZED 1
#endif

#ifndef SANITIZED
/* The C library's allocator behind one that fails at the wanted call. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool counting;
static int64_t calls, fail_at, live;

/* Visible, so that shared libraries allocate through them too. */
static bool fails(void) {
    if (!counting || ++calls != fail_at)
        return false;
    errno = ENOMEM;
    return true;
}

TUTTI_API void *malloc(size_t size) {
    if (fails())
        return NULL;
    void *memory = __libc_malloc(size);
    live += counting && memory != NULL;
    return memory;
}

TUTTI_API void *calloc(size_t count, size_t size) {
    if (fails())
        return NULL;
    void *memory = __libc_calloc(count, size);
    live += counting && memory != NULL;
    return memory;
}

TUTTI_API void *realloc(void *memory, size_t size) {
    if (fails())
        return NULL;
    void *grown = __libc_realloc(memory, size);
    live += counting && memory == NULL && grown != NULL;
    return grown;
}

TUTTI_API void free(void *memory) {
    live -= counting && memory != NULL;
    __libc_free(memory);
}

static char cifar_path[] = "/tmp/tutti-test-XXXXXX", csv_path[64], images_path[512],
            labels_path[512];
static tutti_dataset *images;

static tutti_status use_csv(void) {
    tutti_dataset *set;
    const tutti_status status = tutti_dataset_load_csv(csv_path, NULL, &set);
    tutti_dataset_free(set);
    return status;
}

static tutti_status use_idx(void) {
    tutti_dataset *set;
    const tutti_status status = tutti_dataset_load_idx(images_path, labels_path, 1, &set);
    tutti_dataset_free(set);
    return status;
}

static tutti_status use_split(void) {
    tutti_dataset *a, *b;
    const tutti_status status = tutti_dataset_split(images, 0.5, 1, &a, &b);
    tutti_dataset_free(a);
    tutti_dataset_free(b);
    return status;
}

static tutti_status use_others(void) {
    tutti_dataset *set = NULL;
    tutti_batcher *batches = NULL;
    tutti_status status = tutti_dataset_nudge(images, 1, &set);
    tutti_dataset_free(set);
    if (status == TUTTI_OK) {
        status = tutti_dataset_make_binary(10, 2, 0, 1, &set);
        tutti_dataset_free(set);
    }
    if (status == TUTTI_OK) {
        status = tutti_batcher_make(images, 4, &batches);
        tutti_batcher_free(batches);
    }
    return status;
}

static tutti_status use_text(void) {
    tutti_text *text;
    tutti_dataset *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    tutti_status status = tutti_text_load(csv_path, &text);
    if (status != TUTTI_OK)
        return status;
    tutti_text *files;
    status = tutti_text_load(cifar_path, &files);
    tutti_text_free(files);
    if (status == TUTTI_OK)
        status = tutti_text_split(text, 3, 0.5, 1, &a, &b);
    if (status == TUTTI_OK)
        status = tutti_dataset_split(a, 0.5, 1, &c, &d);
    tutti_text_free(text);
    tutti_dataset_free(a);
    tutti_dataset_free(b);
    tutti_dataset_free(c);
    tutti_dataset_free(d);
    return status;
}

static tutti_status use_encoder(const tutti_table *table) {
    tutti_encoder *encoder;
    tutti_dataset *set;
    TUTTI_TRY(tutti_encoder_learn(table, NULL, &encoder));
    const tutti_status status = tutti_encoder_apply(encoder, table, &set);
    tutti_dataset_free(set);
    tutti_encoder_free(encoder);
    return status;
}

static tutti_status use_table(void) {
    tutti_table *table, *a = NULL, *b = NULL;
    tutti_status status = tutti_table_load_csv(
        csv_path, &(tutti_table_options){.categorical = "a,b", .no_header = false}, &table);
    if (status != TUTTI_OK)
        return status;
    status = use_encoder(table);
    if (status == TUTTI_OK)
        status = tutti_table_split(table, 0.5, 1, &a, &b);
    tutti_table_free(table);
    tutti_table_free(a);
    tutti_table_free(b);
    if (status == TUTTI_OK) {
        status = tutti_table_make_flats(20, true, 1, &table);
        tutti_table_free(table);
    }
    return status;
}

static tutti_status use_images(void) {
    tutti_dataset *set, *test;
    TUTTI_TRY(tutti_dataset_resize(images, 4, 4, &set));
    tutti_dataset_free(set);
    TUTTI_TRY(tutti_dataset_make_textures(3, 1, &set));
    tutti_dataset_free(set);
    TUTTI_TRY(tutti_dataset_load_cifar10(cifar_path, &set, &test));
    tutti_dataset_free(set);
    tutti_dataset_free(test);
    return TUTTI_OK;
}

static void fail_each(tutti_status (*use)(void)) {
    int64_t failures = 0;
    for (fail_at = 1;; fail_at++) {
        calls = live = 0;
        counting = true;
        const tutti_status status = use();
        counting = false;
        assert_int_equal(live, 0);
        if (status == TUTTI_OK && calls < fail_at)
            break;
        if (status != TUTTI_OK)
            assert_int_equal(status, TUTTI_OUT_OF_MEMORY);
        failures += status != TUTTI_OK;
    }
    print_message("%lld allocations, %lld failures reported\n", (long long)fail_at - 1,
                  (long long)failures);
    assert_true(failures > 2);
}

static void each_allocation(void **state) {
    (void)state;
    assert_int_equal(use_csv(), TUTTI_OK); /* what the C library allocates once stays out of it */
    assert_int_equal(use_idx(), TUTTI_OK);
    fail_each(use_csv);
    fail_each(use_idx);
    fail_each(use_split);
    fail_each(use_others);
    fail_each(use_text);
    fail_each(use_table);
    fail_each(use_images);
}

static int make_files(void **state) {
    (void)state;
    static const char csv[] = "a,\"b\",c\n1,2,3\n4,5,6\n";
    write_file(csv_path, csv, sizeof csv - 1);
    static const char *const names[2] = {"data_batch_1.bin", "test_batch.bin"};
    static const char record[3073] = {7};
    assert_non_null(mkdtemp(cifar_path));
    for (int i = 0; i < 2; i++) {
        snprintf(images_path, sizeof images_path, "%s/%s", cifar_path, names[i]);
        FILE *f = fopen(images_path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(record, 1, sizeof record, f), sizeof record);
        fclose(f);
    }
    const char *source = getenv("TUTTI_SOURCE_DIR");
    snprintf(images_path, sizeof images_path, "%s/samples/data/digits-images.idx3-ubyte.gz",
             source != NULL ? source : ".");
    snprintf(labels_path, sizeof labels_path, "%s/samples/data/digits-labels.idx1-ubyte.gz",
             source != NULL ? source : ".");
    return tutti_dataset_load_idx(images_path, labels_path, 1, &images) == TUTTI_OK ? 0 : -1;
}

static int remove_files(void **state) {
    (void)state;
    unlink(csv_path);
    static const char *const names[2] = {"data_batch_1.bin", "test_batch.bin"};
    for (int i = 0; i < 2; i++) {
        snprintf(images_path, sizeof images_path, "%s/%s", cifar_path, names[i]);
        unlink(images_path);
    }
    rmdir(cifar_path);
    tutti_dataset_free(images);
    return 0;
}
#else
static void each_allocation(void **state) {
    (void)state;
    print_message("the sanitizer has its own allocator: not tested in this build\n");
    skip();
}
#define make_files   NULL
#define remove_files NULL
#endif

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
