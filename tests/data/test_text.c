#include "data/helpers.h"

#include <sys/stat.h>

#include "base/rng.h"
#include "tutti/text.h"

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

static void vocabulary(void **state) {
    (void)state;
    static const char bytes[] = "to be\n\xC3\xA4 or \0 not";
    const int64_t n = sizeof bytes - 1;
    tutti_text *text;
    ok(tutti_text_make(bytes, n, &text));
    assert_int_equal(text->n, n);
    /* \0 \n space b e n o r t c3 a4, ascending. */
    assert_int_equal(text->n_vocabulary, 11);
    assert_memory_equal(text->vocabulary, "\0\n benort\xA4\xC3", 11);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(text->vocabulary[text->ids[i]], (unsigned char)bytes[i]);
    int32_t ids[4];
    ok(tutti_text_encode(text, "\xC3\xA4 b", 4, ids));
    assert_memory_equal(ids, ((int32_t[]){10, 9, 2, 3}), sizeof ids);
    assert_int_equal(tutti_text_encode(text, "brown", 5, ids), TUTTI_BAD_INPUT);
    assert_message("character 3, 'w' (0x77), does not occur in memory");
    assert_int_equal(tutti_text_encode(text, "\t", 1, ids), TUTTI_BAD_INPUT);
    assert_message("'?' (0x09)");
    ok(tutti_text_encode(text, "", 0, ids));
    tutti_text_free(text);
    tutti_text_free(NULL);
    assert_int_equal(tutti_text_make(bytes, 0, &text), TUTTI_BAD_INPUT);
    assert_null(text);
}

static void windows(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 1);
    char bytes[300];
    for (int round = 0; round < 200; round++) {
        const int64_t n = 2 + (int64_t)tutti_rng_below(&rng, 298);
        for (int64_t i = 0; i < n; i++)
            bytes[i] = (char)tutti_rng_u32(&rng);
        tutti_text *text;
        ok(tutti_text_make(bytes, n, &text));
        const int64_t length = 1 + (int64_t)tutti_rng_below(&rng, (uint64_t)n - 1);
        const int64_t stride = 1 + (int64_t)tutti_rng_below(&rng, (uint64_t)n);
        const int64_t begin = (int64_t)tutti_rng_below(&rng, (uint64_t)(n - length));
        tutti_dataset *set;
        ok(tutti_text_windows(text, begin, n, length, stride, &set));
        assert_int_equal(set->x_dtype, TUTTI_I32);
        assert_int_equal(set->n_classes, text->n_vocabulary);
        int64_t count = 0;
        for (int64_t at = begin; at + length + 1 <= n; at += stride, count++) {
            assert_memory_equal(tutti_dataset_x(set, count), text->ids + at,
                                (size_t)length * sizeof(int32_t));
            assert_memory_equal(tutti_dataset_y(set, count), text->ids + at + 1,
                                (size_t)length * sizeof(int32_t));
        }
        assert_int_equal(set->n, count);
        /* A shuffled split copies the rows. */
        tutti_dataset *a, *b;
        if (count >= 4) {
            ok(tutti_dataset_split(set, 0.5, 1, &a, &b));
            assert_int_equal(a->n + b->n, count);
            assert_int_equal(a->stride, 0);
            for (int64_t i = 0; i < a->n; i++) /* y follows x */
                assert_memory_equal((const int32_t *)tutti_dataset_x(a, i) + 1,
                                    tutti_dataset_y(a, i), (size_t)(length - 1) * sizeof(int32_t));
            tutti_dataset_free(a);
            tutti_dataset_free(b);
        }
        assert_int_equal(tutti_dataset_standardize(set, NULL, 0), TUTTI_SHAPE);
        assert_message("windows of a text");
        assert_int_equal(tutti_dataset_nudge(set, 1, &a), TUTTI_SHAPE);
        tutti_dataset_free(set);
        assert_int_equal(tutti_text_windows(text, 0, n, n, 1, &set), TUTTI_BAD_INPUT);
        assert_message("are too few for windows of");
        assert_null(set);
        tutti_text_free(text);
    }
}

static void split_by_position(void **state) {
    (void)state;
    char bytes[100];
    for (int i = 0; i < 100; i++)
        bytes[i] = (char)i;
    tutti_text *text;
    tutti_dataset *train, *validation;
    ok(tutti_text_make(bytes, 100, &text));
    ok(tutti_text_split(text, 8, 0.25, 3, &train, &validation));
    assert_int_equal(train->n, (75 - 9) / 3 + 1);
    assert_int_equal(((const int32_t *)tutti_dataset_y(train, train->n - 1))[7], 74);
    assert_int_equal(validation->n, 3); /* 24 characters are predicted, each once */
    assert_int_equal(((const int32_t *)tutti_dataset_x(validation, 0))[0], 75);
    assert_int_equal(((const int32_t *)tutti_dataset_x(validation, 1))[0], 83);
    assert_int_equal(((const int32_t *)tutti_dataset_y(validation, 2))[7], 99);
    tutti_dataset_free(train);
    tutti_dataset_free(validation);
    assert_int_equal(tutti_text_split(text, 30, 0.25, 1, &train, &validation), TUTTI_BAD_INPUT);
    assert_message("25 characters are too few for windows of 30");
    assert_null(train);
    assert_null(validation);
    assert_int_equal(tutti_text_split(text, 8, 1, 1, &train, &validation), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_text_split(text, 8, 0.5, 0, &train, &validation),
                     TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_text_split(text, INT64_MAX, 0.5, 1, &train, &validation),
                     TUTTI_BAD_INPUT);
    assert_int_equal(tutti_text_windows(text, 5, 101, 4, 1, &train), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_text_windows(text, 50, 40, 4, 1, &train), TUTTI_BAD_INPUT);
    tutti_text_free(text);
}

static void put(const char *directory, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void files(void **state) {
    (void)state;
    char directory[] = "/tmp/tutti-test-XXXXXX", path[512], empty[512];
    assert_non_null(mkdtemp(directory));
    snprintf(empty, sizeof empty, "%s/sub", directory);
    assert_int_equal(mkdir(empty, 0700), 0);
    put(directory, "b", "second ");
    put(directory, "a", "first ");
    put(directory, "c", "");
    put(directory, "Z", "before, ");
    snprintf(path, sizeof path, "%s/aa", directory);
    assert_int_equal(symlink("b", path), 0);
    tutti_text *text;
    ok(tutti_text_load(directory, &text));
    static const char wanted[] = "before, first second ";
    assert_int_equal(text->n, strlen(wanted));
    for (int64_t i = 0; i < text->n; i++)
        assert_int_equal(text->vocabulary[text->ids[i]], wanted[i]);
    assert_string_equal(text->source, directory);
    tutti_text_free(text);
    ok(tutti_text_load(path, &text)); /* a link that is named is followed */
    assert_int_equal(text->n, 7);
    tutti_text_free(text);
    assert_int_equal(tutti_text_load(empty, &text), TUTTI_BAD_INPUT);
    assert_message("a text of 0 bytes");
    assert_null(text);
    const char *const paths[] = {"/nonexistent/text", empty, path, directory};
    ok(tutti_text_load_first(paths, 4, &text));
    assert_string_equal(text->source, path);
    tutti_text_free(text);
    assert_int_equal(tutti_text_load_first(paths, 1, &text), TUTTI_IO);
    assert_message("/nonexistent/text");
    assert_int_equal(tutti_text_load_first(paths, 0, &text), TUTTI_INVALID_ARGUMENT);
    assert_null(text);
    static const char *const names[] = {"a", "b", "c", "Z", "aa", "sub"};
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(rmdir(directory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vocabulary),
        cmocka_unit_test(windows),
        cmocka_unit_test(split_by_position),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
