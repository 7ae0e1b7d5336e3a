#include "fixture.h"
#include "kernel/buildlog.h"
#include "kernel/source.h"

static char directory[512];

static char *load(const char *file) {
    tutti_source_path path;
    char *text;
    OK(tutti_source_path_make(NULL, &path));
    OK(tutti_source_load(&path, file, &text));
    tutti_source_path_free(&path);
    return text;
}

static void expect_refused(const char *file, tutti_status expected, const char *part) {
    tutti_source_path path;
    char *text;
    OK(tutti_source_path_make(NULL, &path));
    FAILS(expected, part, tutti_source_load(&path, file, &text));
    tutti_source_path_free(&path);
}

static void embedded_kernel_is_found(void **state) {
    (void)state;
    char *text = load("philox.clh");
    assert_non_null(strstr(text, "0xD2511F53u"));
    assert_true(strncmp(text, "#line 1 \"philox.clh\"\n", 21) == 0);
    free(text);
}

static void includes_are_expanded_with_lines(void **state) {
    (void)state;
    fixture_put(directory, "a.cl", "int a0;\n  #  include  \"b.clh\" // why\nint a2;");
    fixture_put(directory, "b.clh", "int b0;\n");
    char *text = load("a.cl");
    assert_string_equal(text, "#line 1 \"a.cl\"\nint a0;\n#line 1 \"b.clh\"\nint b0;\n"
                              "#line 3 \"a.cl\"\nint a2;\n");
    free(text);
}

static void comments_and_system_includes_stay(void **state) {
    (void)state;
    fixture_put(directory, "c.cl",
                "/* text\n#include \"missing.clh\"\n*/ // \" /*\n// #include \"missing.clh\"\n"
                "#include <opencl-c.h>\nint c; // /*\nconst char s = '\"'; /* \" */\n");
    char *text = load("c.cl");
    assert_non_null(strstr(text, "#include \"missing.clh\"\n*/"));
    assert_non_null(strstr(text, "#include <opencl-c.h>\n"));
    free(text);
}

static void cycles_and_depth_are_refused(void **state) {
    (void)state;
    fixture_put(directory, "x.clh", "int x;\n#include \"y.clh\"\n");
    fixture_put(directory, "y.clh", "#include \"x.clh\"\n");
    expect_refused("x.clh", TUTTI_BAD_INPUT,
                   "x.clh includes itself: x.clh, included from y.clh:1, included from x.clh:2");
    char name[32], text[64];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "deep%d.clh", i);
        snprintf(text, sizeof text, "#include \"deep%d.clh\"\n", i + 1);
        fixture_put(directory, name, text);
    }
    fixture_put(directory, "deep20.clh", "int end;\n");
    expect_refused("deep0.clh", TUTTI_BAD_INPUT, "nested more than");
    char *fits = load("deep10.clh");
    assert_non_null(strstr(fits, "int end;"));
    free(fits);
}

static void missing_file_says_where_it_looked(void **state) {
    (void)state;
    fixture_put(directory, "m.cl", "\n\n#include \"nowhere.clh\"\n");
    char part[700];
    snprintf(part, sizeof part,
             "nowhere.clh, included from m.cl:3: no such kernel file; looked in %s, the embedded "
             "kernels (TUTTI_KERNEL_PATH or a profile's kernel_path names more directories)",
             directory);
    expect_refused("m.cl", TUTTI_BAD_INPUT, part);
    expect_refused("../m.cl", TUTTI_BAD_INPUT, "without \"..\"");
    expect_refused("", TUTTI_BAD_INPUT, "no name of a kernel file");
    expect_refused("/nonexistent/m.cl", TUTTI_IO, "/nonexistent/m.cl");
}

static void count_warnings(void *user, tutti_log_level level, const char *text) {
    *(int *)user += level == TUTTI_LOG_WARNING && strstr(text, "/nonexistent/kernels") != NULL;
}

static void a_missing_directory_is_told_once(void **state) {
    (void)state;
    int warnings = 0;
    const char *const missing = "/nonexistent/kernels";
    const tutti_profile profile = {.kernel_path = &missing, .n_kernel_path = 1};
    tutti_log_set(count_warnings, &warnings);
    for (int i = 0; i < 2; i++) {
        tutti_source_path path;
        assert_int_equal(tutti_source_path_make(&profile, &path), TUTTI_OK);
        tutti_source_path_free(&path);
    }
    tutti_log_set(NULL, NULL);
    assert_int_equal(warnings, 1);
}

static void earlier_directories_win(void **state) {
    (void)state;
    char first[600], second[600], both[1300];
    snprintf(first, sizeof first, "%s/first", directory);
    snprintf(second, sizeof second, "%s/second", directory);
    assert_int_equal(mkdir(first, 0700), 0);
    assert_int_equal(mkdir(second, 0700), 0);
    fixture_put(first, "p.cl", "int from_first;\n");
    fixture_put(second, "p.cl", "int from_second;\n");
    fixture_put(second, "philox.clh", "int own_philox;\n");
    const char *const directories[] = {second};
    tutti_profile profile = {.kernel_path = directories, .n_kernel_path = 1};
    snprintf(both, sizeof both, ":%s::%s", first, second);
    setenv("TUTTI_KERNEL_PATH", both, 1);
    char *text = load("p.cl");
    assert_non_null(strstr(text, "from_first"));
    free(text);
    text = load("philox.clh");
    assert_non_null(strstr(text, "own_philox"));
    free(text);
    tutti_source_path path;
    OK(tutti_source_path_make(&profile, &path));
    OK(tutti_source_load(&path, "p.cl", &text));
    assert_non_null(strstr(text, "from_second")); /* the profile comes before the environment */
    free(text);
    tutti_source_path_free(&path);
    setenv("TUTTI_KERNEL_PATH", directory, 1);
    char absolute[700];
    snprintf(absolute, sizeof absolute, "%s/p.cl", first);
    text = load(absolute);
    assert_string_equal(text, "#line 1 \"p.cl\"\nint from_first;\n");
    free(text);
}

static void log_forms_are_understood(void **state) {
    (void)state;
    const char *source = "#line 1 \"h.clh\"\nint h;\nint i;\n#line 7 \"k.cl\"\nint k;\nint l;\n";
    static const struct {
        const char *log, *text;
    } cases[] = {
        {"k.cl:8:5: error: bad thing\n", "k.cl:8: bad thing"},
        {"k.cl:7:1: warning: meh\nk.cl:8:5: fatal error: bad thing\n", "k.cl:8: bad thing"},
        {"error: k.cl:8:41: use of undeclared identifier 'bb'\nDevice failed\n",
         "k.cl:8: use of undeclared identifier 'bb'"},
        {"\n<kernel>:6:5: error: late\n", "k.cl:8: late"},
        {"input.cl:3:41: error: ignores #line\nint i;\n", "h.clh:2: ignores #line"},
        {"1:5:1: error: first of k\n", "k.cl:7: first of k"},
        {"\"/tmp/OCL1T1.cl\", line 6: error: identifier \"b\" is undefined\r\n   x\r\n",
         "k.cl:8: identifier \"b\" is undefined"},
        {"ptxas info: 0 bytes\nptxas fatal: Internal Error: too many registers\n",
         "ptxas fatal: Internal Error: too many registers"},
        {"\n  something odd\n", "  something odd"},
        {"", "the driver gave no log"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        bool placed = tutti_build_log_first_error(cases[i].log, source, text, sizeof text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(placed, strstr(text, ".cl") != NULL);
    }
    char tiny[8];
    tutti_build_log_first_error(cases[0].log, source, tiny, sizeof tiny);
    assert_string_equal(tiny, "k.cl:8:");
}

static int setup(void **state) {
    (void)state;
    fixture_dir(directory);
    setenv("TUTTI_KERNEL_PATH", directory, 1);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded_kernel_is_found),
        cmocka_unit_test(includes_are_expanded_with_lines),
        cmocka_unit_test(comments_and_system_includes_stay),
        cmocka_unit_test(cycles_and_depth_are_refused),
        cmocka_unit_test(missing_file_says_where_it_looked),
        cmocka_unit_test(a_missing_directory_is_told_once),
        cmocka_unit_test(earlier_directories_win),
        cmocka_unit_test(log_forms_are_understood),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
