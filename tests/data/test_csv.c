#include "data/helpers.h"

#include <locale.h>

static tutti_status load_n(const char *text, size_t size, const tutti_csv_options *options,
                           tutti_dataset **out) {
    char path[64];
    write_file(path, text, size);
    *out = (tutti_dataset *)(uintptr_t)1;
    const tutti_status status = tutti_dataset_load_csv(path, options, out);
    unlink(path);
    if (status != TUTTI_OK)
        assert_null(*out);
    return status;
}

static tutti_dataset *loads(const char *text, const tutti_csv_options *options) {
    tutti_dataset *set;
    if (load_n(text, strlen(text), options, &set) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    return set;
}

static void refuses(const char *text, const char *message) {
    tutti_dataset *set;
    assert_int_equal(load_n(text, strlen(text), NULL, &set), TUTTI_BAD_INPUT);
    assert_message(message);
}

static void assert_rows(const tutti_dataset *set, int64_t n, const float *x, const float *y) {
    assert_int_equal(set->n, n);
    assert_memory_equal(set->x, x,
                        (size_t)(n * tutti_shape_sample_count(&set->x_shape)) * sizeof(float));
    assert_memory_equal(set->y, y, (size_t)n * sizeof(float));
    assert_int_equal(set->y_dtype, TUTTI_F32);
    assert_int_equal(set->y_shape.rank, 2);
}

/* A byte order mark, spaces around numbers, blank lines. */
#define WITH_MARK                                                                                  \
    "\xEF\xBB\xBF"                                                                                 \
    "a,b,t\n 1, 2,\t0\n\n-3.5 ,4e2,1\n\n\n"

static void plain(void **state) {
    (void)state;
    const float x[] = {1, 2, -3.5F, 4e2F}, y[] = {0, 1};
    static const char *const same[] = {
        "a,b,t\n1,2,0\n-3.5,4e2,1\n",
        "a,b,t\r\n1,2,0\r\n-3.5,4e2,1\r\n",
        "a,b,t\n1,2,0\n-3.5,4e2,1",
        WITH_MARK,
        "\"a\",b,\"t\"\n\"1\",\"2\",0\n-3.5,\"4e2\",1\r",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        tutti_dataset *set = loads(same[i], NULL);
        assert_rows(set, 2, x, y);
        assert_string_equal(set->feature_names[0], "a");
        assert_string_equal(set->feature_names[1], "b");
        tutti_dataset_free(set);
    }
}

static void options(void **state) {
    (void)state;
    const float x[] = {1, 0, -3.5F, 1}, y[] = {2, 400};
    tutti_dataset *set = loads("a;\"the \"\"b\"\"\nline\";t\n1;2;0\n-3.5;400;1\n",
                               &(tutti_csv_options){.target = "the \"b\"\nline", .separator = ';'});
    assert_rows(set, 2, x, y);
    assert_string_equal(set->feature_names[1], "t");
    tutti_dataset_free(set);
    set = loads("1\t0\t2\n-3.5\t1\t400\n",
                &(tutti_csv_options){.no_header = true, .separator = '\t'});
    assert_rows(set, 2, x, y);
    assert_null(set->feature_names);
    tutti_dataset_free(set);
    assert_int_equal(load_n("a,b\n1,2\n", 8, &(tutti_csv_options){.target = "c"}, &set),
                     TUTTI_BAD_INPUT);
    assert_message(":1: no column is named \"c\"");
    assert_int_equal(load_n("a,a\n1,2\n", 8, &(tutti_csv_options){.target = "a"}, &set),
                     TUTTI_BAD_INPUT);
    assert_message("more than one column is named \"a\"");
    assert_int_equal(
        load_n("1,2\n", 4, &(tutti_csv_options){.target = "a", .no_header = true}, &set),
        TUTTI_INVALID_ARGUMENT);
    const tutti_csv_options zero_one = {.target_min = 0, .target_max = 1};
    assert_int_equal(load_n("a,b\n7,0\n7,1\n", 12, &zero_one, &set), TUTTI_OK);
    tutti_dataset_free(set);
    assert_int_equal(load_n("a,b\n7,0\n7,2\n", 12, &zero_one, &set), TUTTI_BAD_INPUT);
    assert_message(":3: column \"b\": \"2\" is out of range for the target, expected 0 to 1");
    assert_int_equal(load_n("1,2\n", 4, &(tutti_csv_options){.separator = '"'}, &set),
                     TUTTI_INVALID_ARGUMENT);
}

static void bad_cells(void **state) {
    (void)state;
    refuses("age,size\n1,2\n3,tall\n", ":3: column \"size\": \"tall\" is not a number");
    refuses("age,size\n1,\n", ":2: column \"size\": \"\" is not a number");
    refuses("age,size\n,2\n", ":2: column \"age\": \"\" is not a number");
    refuses("age,size\n1,2,\n", ":2: 3 cells, expected 2 as in the header");
    refuses("age,size\n1,2\n1\n", ":3: 1 cells, expected 2 as in the header");
    refuses("a,b\n1,2\n1,", ":3: column \"b\": \"\" is not a number");
    refuses("a,b\n1,nan\n", "\"nan\" is not a finite number");
    refuses("a,b\n-inf,1\n", "\"-inf\" is not a finite number");
    refuses("a,b\n1e39,1\n", "\"1e39\" is not a finite number in the range of float");
    refuses("a,b\n1e999,1\n", "\"1e999\" is not a finite number");
    refuses("a,b\n0x10,1\n", "\"0x10\" is not a number");
    refuses("a,b\nnan(1),1\n", "\"nan(1)\" is not a number");
    refuses("a,b\n1 2,1\n", "\"1 2\" is not a number");
    refuses("a,b\n1,2\n\"1\n\n2\",1\n", ":3: column \"a\": \"1??2\" is not a number");
    refuses("a,b\n\"1\n\",2\nx,1\n", ":2: column \"a\": \"1?\" is not a number");
    refuses("a,b\n1,2\n\n\n5,oops\n", ":5: column \"b\": \"oops\"");
    refuses("a,b\n1,"
            "x23456789012345678901234567890123456789\xC3\xA4\xC3\xA4"
            "b\n",
            "\"x23456789012345678901234567890123456789...\" is not a number");
}

static void bad_files(void **state) {
    (void)state;
    tutti_dataset *set;
    refuses("", "the file is empty");
    refuses("\n\r\n\n", "the file is empty");
    refuses("a,b\n", "no row follows the header");
    refuses("a\n1\n", ":1: one column");
    refuses("a,\"b\n1,2\n", ":1: a quoted cell is not closed");
    refuses("a,b\n1,\"2\n", ":2: a quoted cell is not closed");
    refuses("a,b\n1,\"2\"3\n", ":2: text behind a closing quote");
    refuses("a,b\n1,\"2\n3,4\n5,\"6\"\n",
            ":4: text behind a closing quote (the cell begins in line 2)");
    refuses("a,b\n1,2\"\n", ":2: a quote within an unquoted cell");
    assert_int_equal(load_n("a,b\n1,\0002\n", 9, NULL, &set), TUTTI_BAD_INPUT);
    assert_message("byte 6 is NUL");
    assert_int_equal(tutti_dataset_load_csv("/nonexistent.csv", NULL, &set), TUTTI_IO);
    assert_message("/nonexistent.csv");
    /* One cell more than the limit on columns. */
    char *wide = malloc(65537 + 2);
    memset(wide, ',', 65536);
    strcpy(wide + 65536, "\n");
    assert_int_equal(load_n(wide, 65537, NULL, &set), TUTTI_BAD_INPUT);
    assert_message("more than 65536 cells");
    free(wide);
}

static void warn(void *user, tutti_log_level level, const char *message) {
    assert_int_equal(level, TUTTI_LOG_WARNING);
    assert_true(strstr(message, "taken as the header") != NULL ||
                strstr(message, ":1: more than one column is named \"a\"") != NULL);
    ++*(int *)user;
}

static void numeric_header_warns(void **state) {
    (void)state;
    int warnings = 0;
    tutti_log_set(warn, &warnings);
    tutti_dataset_free(loads("1,2\n3,4\n", NULL));
    assert_int_equal(warnings, 1);
    tutti_dataset_free(loads("1,b\n3,4\n", NULL));
    assert_int_equal(warnings, 1);
    tutti_dataset_free(loads("a,b,a,a\n1,2,3,4\n", NULL)); /* once for a name */
    assert_int_equal(warnings, 2);
    tutti_log_set(NULL, NULL);
}

static void locale_does_not_matter(void **state) {
    (void)state;
    const float x[] = {1.5F}, y[] = {2.25F};
    const char *set_to =
        setlocale(LC_ALL, "de_DE.UTF-8"); /* may be missing: then nothing changes */
    print_message("locale: %s\n", set_to != NULL ? set_to : "C");
    tutti_dataset *set = loads("a,b\n1.5,2.25\n", NULL);
    setlocale(LC_ALL, "C");
    assert_rows(set, 1, x, y);
    tutti_dataset_free(set);
}

static void many_rows(void **state) {
    (void)state;
    enum { ROWS = 3000 };
    char *text = malloc(ROWS * 32), *to = text;
    to += sprintf(to, "a,b,c\n");
    for (int i = 0; i < ROWS; i++)
        to += sprintf(to, "%d,-%d.5,%d\n", i, i, i % 2);
    tutti_dataset *set = loads(text, NULL);
    assert_int_equal(set->n, ROWS);
    for (int i = 0; i < ROWS; i++) {
        assert_true(set->x[2 * i] == (float)i);
        assert_true(set->x[2 * i + 1] == -(float)i - 0.5F);
        assert_true(((float *)set->y)[i] == (float)(i % 2));
    }
    tutti_dataset_free(set);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(options),
        cmocka_unit_test(bad_cells),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(numeric_header_warns),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
