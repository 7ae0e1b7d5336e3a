/* Every allocation of the data sets fails in turn: an error comes back, and nothing leaks. */
#include "data/helpers.h"

#include "data/data.h"

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
    return counting && ++calls == fail_at;
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

static char csv_path[64], images_path[512], labels_path[512];
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
}

static int make_files(void **state) {
    (void)state;
    static const char csv[] = "a,\"b\",c\n1,2,3\n4,5,6\n";
    write_file(csv_path, csv, sizeof csv - 1);
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
