/* Damaged IDX and CSV files: whatever comes, the readers return, and memory stays sound (the check
 * runs this under AddressSanitizer). */
#include "data/helpers.h"

#include <math.h>

#include "base/rng.h"

static void mutate(unsigned char *data, size_t *size, size_t capacity, tutti_rng *rng,
                   const char *favourites, size_t n_favourites) {
    const uint64_t changes = 1 + tutti_rng_below(rng, 4);
    for (uint64_t i = 0; i < changes; i++) {
        const size_t at = (size_t)tutti_rng_below(rng, *size + 1);
        unsigned char byte = (unsigned char)tutti_rng_u32(rng);
        if (tutti_rng_below(rng, 2) == 0)
            byte = (unsigned char)favourites[tutti_rng_below(rng, n_favourites)];
        switch (tutti_rng_below(rng, 4)) {
        case 0: /* replace */
            if (at < *size)
                data[at] = byte;
            break;
        case 1: /* insert */
            if (*size < capacity) {
                memmove(data + at + 1, data + at, *size - at);
                data[at] = byte;
                ++*size;
            }
            break;
        case 2: /* delete */
            if (at < *size) {
                memmove(data + at, data + at + 1, *size - at - 1);
                --*size;
            }
            break;
        default: /* truncate, seldom */
            if (tutti_rng_below(rng, 4) == 0)
                *size = at;
        }
    }
}

/* What was accepted must be whole: every value is touched and finite. */
static void use(tutti_status status, tutti_dataset *set) {
    if (status != TUTTI_OK) {
        assert_null(set);
        assert_true(strlen(tutti_error_message()) > 0);
        assert_true(status == TUTTI_BAD_INPUT || status == TUTTI_IO);
        return;
    }
    for (int64_t i = 0; i < tutti_shape_count(&set->x_shape, set->n); i++)
        assert_true(isfinite(set->x[i]));
    for (int64_t i = 0; i < tutti_shape_count(&set->y_shape, set->n); i++)
        if (set->y_dtype == TUTTI_I32)
            assert_in_range(((int32_t *)set->y)[i], 0, set->n_classes - 1);
        else
            assert_true(isfinite(((float *)set->y)[i]));
    tutti_dataset_free(set);
}

static void rewrite(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void silent(void *user, tutti_log_level level, const char *message) {
    (void)user;
    (void)level;
    (void)message;
}

static void csv(void **state) {
    (void)state;
    static const char text[] = "\xEF\xBB\xBF\"a \"\"x\"\"\",b,c\r\n1,-2.5e3,0\r\n\"4\", 5 ,1\n\n6,"
                               "7,0";
    static const char favourites[] = "\",\n\r.-e0\0 \t\xEFn";
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 1);
    char path[64];
    write_file(path, "", 0);
    tutti_log_set(silent, NULL);
    int accepted = 0;
    for (int round = 0; round < 4000; round++) {
        unsigned char data[128];
        size_t size = sizeof text - 1;
        memcpy(data, text, size);
        mutate(data, &size, sizeof data, &rng, favourites, sizeof favourites - 1);
        rewrite(path, data, size);
        tutti_dataset *set;
        const tutti_status status =
            tutti_dataset_load_csv(path, &(tutti_csv_options){.no_header = round % 4 == 0}, &set);
        accepted += status == TUTTI_OK;
        use(status, set);
    }
    tutti_log_set(NULL, NULL);
    print_message("%d of 4000 damaged CSV files were still good\n", accepted);
    assert_in_range(accepted, 1, 3999); /* both ways are taken */
    unlink(path);
}

static void idx(void **state) {
    (void)state;
    static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,
                                           0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 3, 4};
    static const char favourites[] = "\0\1\2\3\4\5\6\7\x08\x0C\x0D\x7F\xFF";
    char image_path[64], label_path[64];
    write_file(image_path, "", 0);
    write_file(label_path, "", 0);
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 2);
    int accepted = 0;
    for (int round = 0; round < 4000; round++) {
        unsigned char a[64], b[64];
        size_t a_size = sizeof images, b_size = sizeof labels;
        memcpy(a, images, a_size);
        memcpy(b, labels, b_size);
        if (round % 3 != 0)
            mutate(a, &a_size, sizeof a, &rng, favourites, sizeof favourites - 1);
        if (round % 3 != 1)
            mutate(b, &b_size, sizeof b, &rng, favourites, sizeof favourites - 1);
        rewrite(image_path, a, a_size);
        rewrite(label_path, b, b_size);
        tutti_dataset *set;
        const tutti_status status = tutti_dataset_load_idx(image_path, label_path, 0, &set);
        accepted += status == TUTTI_OK;
        use(status, set);
    }
    print_message("%d of 4000 damaged IDX files were still good\n", accepted);
    assert_in_range(accepted, 1, 3999);
    unlink(image_path);
    unlink(label_path);
}

static void gzip_of_digits(void **state) {
    (void)state;
    char images[512], labels[512], path[64];
    const char *source = getenv("TUTTI_SOURCE_DIR");
    assert_non_null(source);
    snprintf(images, sizeof images, "%s/samples/data/digits-images.idx3-ubyte.gz", source);
    snprintf(labels, sizeof labels, "%s/samples/data/digits-labels.idx1-ubyte.gz", source);
    static unsigned char original[60000], data[60000];
    FILE *f = fopen(images, "rb");
    assert_non_null(f);
    const size_t size = fread(original, 1, sizeof original, f);
    fclose(f);
    assert_in_range(size, 30000, sizeof original - 1);
    write_file(path, "", 0);
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 3);
    for (int round = 0; round < 300; round++) {
        memcpy(data, original, size);
        data[tutti_rng_below(&rng, size)] ^= (unsigned char)(1U << tutti_rng_below(&rng, 8));
        rewrite(path, data, round % 2 == 0 ? size : (size_t)tutti_rng_below(&rng, size));
        tutti_dataset *set;
        const tutti_status status = tutti_dataset_load_idx(path, labels, 0.0625F, &set);
        use(status, set);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv),
        cmocka_unit_test(idx),
        cmocka_unit_test(gzip_of_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
