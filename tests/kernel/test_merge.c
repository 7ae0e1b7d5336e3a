#include "fixture.h"
#include "kernel/embedded.h"
#include "kernel/merge.h"
#include "kernel/programs.h"
#include "kernel/source.h"

static char directory[512];
static tutti_device device;

#define MAX_UNITS 8

/* Launches of one work-item that write one float. */
typedef struct units {
    tutti_kernels *kernels;
    tutti_arg args[MAX_UNITS][1];
    tutti_launch launches[MAX_UNITS];
    int n;
} units;

static void begin(units *u) {
    *u = (units){0};
    OK(tutti_kernels_make(NULL, &device, &u->kernels));
}

/* source: a text, or the name of a file */
static void want(units *u, const char *source, const char *entry, const char *options) {
    int i = u->n++;
    u->args[i][0] = (tutti_arg){.kind = TUTTI_ARG_TENSOR, .u.tensor = {0}};
    u->launches[i] = (tutti_launch){.source = source,
                                    .entry = entry,
                                    .options = options,
                                    .args = u->args[i],
                                    .n_args = 1,
                                    .rank = 1};
    if (strstr(source, ".cl") != NULL && strchr(source, '\n') == NULL) {
        u->launches[i].file = source;
        u->launches[i].source = NULL;
    }
    u->launches[i].range[0] = (tutti_range){.items = {1, 0}, .per_item = 1, .local = 1};
    OK(tutti_kernels_want(u->kernels, &u->launches[i], entry));
}

static float value(units *u, int i) {
    float result = NAN;
    cl_mem memory = fixture_buffer(&device, &result, sizeof result);
    tutti_bound_launch *bound;
    OK(tutti_bound_launch_make(u->kernels, &u->launches[i], NULL, fixture_resolve, &memory,
                               &bound));
    OK(tutti_bound_launch_enqueue(bound, &(tutti_run_values){.n = 1}, NULL));
    fixture_read(&device, memory, &result, sizeof result);
    tutti_bound_launch_free(bound);
    clReleaseMemObject(memory);
    return result;
}

static const char common[] = "#ifndef WIDTH\n"
                             "#define WIDTH 3\n"
                             "#endif\n"
                             "#define TWICE(x) (2 * (x) + \\\n"
                             "                  WIDTH)\n"
                             "#ifdef EXTRA\n"
                             "typedef float4 number; /* { */\n"
                             "#else\n"
                             "typedef float number;\n"
                             "#endif\n"
                             "__constant float table[2] = {10, 20};\n"
                             "static float helper(float x) { return TWICE(x) + table[1]; }\n"
                             "__kernel void run(__global float *y) {\n"
                             "    y[0] = helper(100) + 1000 * (sizeof(number) / 4);\n"
                             "}\n";

static void units_do_not_see_each_other(void **state) {
    (void)state;
    units u;
    begin(&u);
    want(&u, common, "run", "-DWIDTH=7 -DEXTRA");
    want(&u, common, "run", "");
    want(&u, common, "run", "-D WIDTH=5");
    want(&u,
         "#ifdef TWICE\n#error leaked\n#endif\n#ifdef WIDTH\n#error leaked\n#endif\n"
         "float helper(float x) { return x - 1; }\n"
         "__kernel void other(__global float *y) { y[0] = helper(50); }\n",
         "other", "");
    want(&u,
         "#include \"philox.clh\"\n__kernel void a(__global float *y) {\n"
         "    y[0] = philox((uint4)(0), (uint2)(0)).x == 0x6627e8d5u ? 1 : 0;\n}\n",
         "a", "");
    want(&u,
         "#include \"philox.clh\"\n__kernel void b(__global float *y) {\n"
         "    y[0] = philox((uint4)(0), (uint2)(0)).y == 0xe169c58du ? 2 : 0;\n}\n",
         "b", "");
    OK(tutti_kernels_build(u.kernels));
    assert_int_equal(tutti_kernels_stats(u.kernels).programs, 1);
    assert_true(value(&u, 0) == 4000 + 227);
    assert_true(value(&u, 1) == 1000 + 223);
    assert_true(value(&u, 2) == 1000 + 225);
    assert_true(value(&u, 3) == 49);
    assert_true(value(&u, 4) == 1);
    assert_true(value(&u, 5) == 2);
    assert_true(value(&u, 0) == 4000 + 227); /* another kernel object of the same */
    tutti_kernels_free(u.kernels);
}

static void what_cannot_be_merged_is_built_alone(void **state) {
    (void)state;
    units u;
    begin(&u);
    /* Enumerators clash: the merged program does not compile. */
    want(&u, "enum { SIZE = 4 };\n__kernel void e4(__global float *y) { y[0] = SIZE; }\n", "e4",
         "");
    want(&u, "enum { SIZE = 5 };\n__kernel void e5(__global float *y) { y[0] = SIZE; }\n", "e5",
         "");
    /* Reaches to the end of the program. */
    want(&u, "#pragma OPENCL FP_CONTRACT OFF\n__kernel void f(__global float *y) { y[0] = 6; }\n",
         "f", "");
    /* Quotes and function-like macros in options. */
    want(&u, "__kernel void q(__global float *y) { y[0] = F(3); }\n", "q", "-DF(x)=(x+4)");
    /* Tests a name that a rename would define. */
    want(&u, "#ifdef r\n#error defined\n#endif\n__kernel void r(__global float *y) { y[0] = 8; }\n",
         "r", "");
    want(&u, "__kernel void m(__global float *y) { y[0] = 9; }\n", "m", "-cl-mad-enable");
    OK(tutti_kernels_build(u.kernels));
    for (int i = 0; i < u.n; i++)
        assert_true(value(&u, i) == (float)(4 + i));
    tutti_kernels_free(u.kernels);
}

/* One that is not costs a program of its own wherever it is used. */
static void shipped_kernels_can_be_merged(void **state) {
    (void)state;
    tutti_source_path path;
    OK(tutti_source_path_make(NULL, &path));
    int32_t index = 0;
    for (int i = 0; i < tutti_embedded_kernel_count; i++) {
        const char *name = tutti_embedded_kernels[i].name;
        char *text;
        tutti_strbuf out = {0};
        if (strcmp(name, "selftest.cl") == 0)
            continue;
        OK(tutti_source_load(&path, name, &text));
        if (!tutti_merge_add(&out, index++, text, "", NULL, 0))
            fail_msg("%s cannot be merged", name);
        tutti_strbuf_free(&out);
        free(text);
    }
    tutti_source_path_free(&path);
    assert_true(index > 0);
}

static void faults_are_blamed_on_the_right_one(void **state) {
    (void)state;
    units u;
    begin(&u);
    want(&u, "__kernel void good(__global float *y) { y[0] = 1; }\n", "good", "");
    want(&u, "\n__kernel void bad(__global float *y) { y[0] = nothing; }\n", "bad", "");
    want(&u, "__kernel void fine(__global float *y) { y[0] = 3; }\n", "fine", "-DX");
    FAILS(TUTTI_BUILD_FAILED, "bad on cpu.0", tutti_kernels_build(u.kernels));
    assert_non_null(strstr(tutti_error_message(), "): bad:2: "));
    assert_true(value(&u, 0) == 1);
    assert_true(value(&u, 2) == 3);
    tutti_kernels_free(u.kernels);
}

static void kernels_wanted_later_are_found(void **state) {
    (void)state;
    static const char pasted[] =
        "#define MAKE(name, v) __kernel void name##_f32(__global float *y) "
        "{ y[0] = v; }\n"
        "MAKE(one, 1)\nMAKE(two, 2)\n"
        "__kernel void three(__global float *y) { y[0] = 3; }\n";
    fixture_put(directory, "pasted.cl", pasted);
    setenv("TUTTI_KERNEL_PATH", directory, 1);
    units u;
    begin(&u);
    want(&u, "pasted.cl", "one_f32", "");
    want(&u, "__kernel void other(__global float *y) { y[0] = 0; }\n", "other", "");
    OK(tutti_kernels_build(u.kernels));
    assert_int_equal(tutti_kernels_stats(u.kernels).programs, 1);
    want(&u, "pasted.cl", "three", ""); /* in the merged program, under its new name */
    OK(tutti_kernels_build(u.kernels));
    assert_int_equal(tutti_kernels_stats(u.kernels).programs, 1);
    want(&u, "pasted.cl", "two_f32", ""); /* which the merger could not see */
    OK(tutti_kernels_build(u.kernels));
    assert_true(value(&u, 0) == 1);
    assert_true(value(&u, 2) == 3);
    assert_true(value(&u, 3) == 2);
    tutti_kernels_free(u.kernels);
}

static void second_start_compiles_nothing(void **state) {
    (void)state;
    static const char *const sources[] = {
        "__kernel void s0(__global float *y) { y[0] = 10; }\n",
        "__kernel void s1(__global float *y) { y[0] = 11; }\n",
        "__kernel void s2(__global float *y) { y[0] = V; }\n",
    };
    static const char *const entries[] = {"s0", "s1", "s2"};
    for (int start = 0; start < 3; start++) {
        if (start == 2) { /* the driver's cache was thrown away: our marks must not lie */
            fixture_remove(getenv("POCL_CACHE_DIR"));
            assert_int_equal(mkdir(getenv("POCL_CACHE_DIR"), 0700), 0);
        }
        units u;
        begin(&u);
        for (int i = 0; i < 3; i++)
            want(&u, sources[i], entries[i], "-DV=12");
        OK(tutti_kernels_build(u.kernels));
        tutti_kernel_stats stats = tutti_kernels_stats(u.kernels);
        assert_int_equal(stats.programs, 1);
        assert_int_equal(stats.from_driver, start == 1 ? 1 : 0);
        assert_int_equal(stats.compiled, start == 1 ? 0 : 1);
        for (int i = 0; i < 3; i++)
            assert_true(value(&u, i) == (float)(10 + i));
        tutti_kernels_free(u.kernels);
    }
}

static void options_are_taken_apart(void **state) {
    (void)state;
    static const struct {
        const char *options, *rest;
    } cases[] = {{"", ""},
                 {"-DX", ""},
                 {"  -D X=1   -cl-mad-enable -DY=-2 -w ", "-cl-mad-enable -w "},
                 {"-DX(a)=a", NULL},
                 {"-DX=\"a b\"", NULL},
                 {"-D", NULL},
                 {"-DX=a\\b", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *rest = NULL;
        bool taken = tutti_merge_rest(cases[i].options, &rest);
        assert_int_equal(taken, cases[i].rest != NULL);
        if (taken)
            assert_string_equal(rest, cases[i].rest);
        free(rest);
    }
}

static int setup(void **state) {
    (void)state;
    fixture_environment(directory);
    return fixture_open("Portable Computing", &device) ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    fixture_close(&device);
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_do_not_see_each_other),
        cmocka_unit_test(what_cannot_be_merged_is_built_alone),
        cmocka_unit_test(shipped_kernels_can_be_merged),
        cmocka_unit_test(faults_are_blamed_on_the_right_one),
        cmocka_unit_test(kernels_wanted_later_are_found),
        cmocka_unit_test(second_start_compiles_nothing),
        cmocka_unit_test(options_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
