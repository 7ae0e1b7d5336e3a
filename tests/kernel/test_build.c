#include "fixture.h"
#include "kernel/programs.h"

static char directory[512];
static tutti_device device;

static const char scale_source[] = "__kernel void scale(int n, __global const float *x, float f,\n"
                                   "                    __global float *y) {\n"
                                   "    int i = get_global_id(0);\n"
                                   "    if (i < n)\n"
                                   "        y[i] = f * FACTOR * x[i];\n"
                                   "}\n";

static tutti_arg tensor_arg(uint32_t id) {
    return (tutti_arg){.kind = TUTTI_ARG_TENSOR, .u.tensor = {id}};
}

static tutti_arg i32_arg(int64_t base, int64_t per_sample) {
    return (tutti_arg){.kind = TUTTI_ARG_I32, .u.i32 = {base, per_sample}};
}

static tutti_launch scale_launch(tutti_arg *args) {
    args[0] = i32_arg(0, 3);
    args[1] = tensor_arg(0);
    args[2] = (tutti_arg){.kind = TUTTI_ARG_SCALAR, .u.scalar = 1};
    args[3] = tensor_arg(1);
    tutti_launch launch = {.source = scale_source,
                           .entry = "scale",
                           .options = "-DFACTOR=2",
                           .args = args,
                           .n_args = 4,
                           .rank = 1};
    launch.range[0] = (tutti_range){.items = {0, 3}, .per_item = 1, .local = 16};
    return launch;
}

static tutti_kernels *make_kernels(void) {
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    return kernels;
}

static void launch_computes_and_follows_changes(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 0);
    tutti_kernels *kernels = make_kernels();
    tutti_arg args[4];
    tutti_launch launch = scale_launch(args);
    OK(tutti_kernels_want(kernels, &launch, "scale"));
    OK(tutti_kernels_want(kernels, &launch, "scale"));
    OK(tutti_kernels_build(kernels));
    assert_int_equal(tutti_kernels_stats(kernels).programs, 1);
    OK(tutti_kernels_build(kernels));
    assert_int_equal(tutti_kernels_stats(kernels).programs, 1);
    float x[99], y[99], poison[99];
    for (int i = 0; i < 99; i++) {
        x[i] = tutti_rng_normal(&rng);
        poison[i] = NAN;
    }
    cl_mem memory[2] = {fixture_buffer(&device, x, sizeof x),
                        fixture_buffer(&device, poison, sizeof poison)};
    tutti_bound_launch *bound;
    OK(tutti_bound_launch_make(kernels, &launch, NULL, fixture_resolve, memory, &bound));
    static const int64_t samples[] = {33, 0, 7, 7, 20};
    for (int s = 0; s < 5; s++) {
        float scalars[2] = {0.0F, tutti_rng_normal(&rng)};
        tutti_run_values run = {.n = samples[s], .scalars = scalars};
        assert_int_equal(clEnqueueWriteBuffer(device.queue, memory[1], CL_TRUE, 0, sizeof poison,
                                              poison, 0, NULL, NULL),
                         CL_SUCCESS);
        cl_event event = (cl_event)&event;
        OK(tutti_bound_launch_enqueue(bound, &run, &event));
        if (samples[s] == 0) {
            assert_null(event);
        } else {
            assert_int_equal(clWaitForEvents(1, &event), CL_SUCCESS);
            clReleaseEvent(event);
        }
        fixture_read(&device, memory[1], y, sizeof y);
        for (int i = 0; i < 99; i++) {
            if (i < 3 * samples[s])
                assert_true(y[i] == scalars[1] * 2.0F * x[i]);
            else
                assert_true(isnan(y[i]));
        }
    }
    tutti_bound_launch_free(bound);
    clReleaseMemObject(memory[0]);
    clReleaseMemObject(memory[1]);
    tutti_kernels_free(kernels);
}

static float host_half(const tutti_run_values *run, const void *attr) {
    return 0.5F * (float)run->step + *(const float *)attr;
}

static uint32_t host_step(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)run->step | 0x80000000u;
}

static void every_kind_of_argument_arrives(void **state) {
    (void)state;
    static const char source[] =
        "__kernel void kinds(__global float *out, __local float *tmp, int a, int b, float c,\n"
        "                    float d, uint e, __global const float *scratch) {\n"
        "    tmp[get_local_id(0)] = (float)get_local_id(0);\n"
        "    barrier(CLK_LOCAL_MEM_FENCE);\n"
        "    if (get_global_id(0) != 0 || get_global_id(1) != 0) return;\n"
        "    out[0] = tmp[3]; out[1] = a; out[2] = b; out[3] = c; out[4] = d;\n"
        "    out[5] = e >> 31; out[6] = e & 0xff; out[7] = scratch[0];\n"
        "    out[8] = get_global_size(0); out[9] = get_global_size(1);\n"
        "    out[10] = get_local_size(0); out[11] = get_local_size(1);\n"
        "}\n";
    tutti_arg args[8] = {tensor_arg(0),
                         {.kind = TUTTI_ARG_LOCAL, .u.local_bytes = 16 * sizeof(float)},
                         i32_arg(-7, 0),
                         i32_arg(100, -2),
                         {.kind = TUTTI_ARG_F32, .u.f32 = 0.25F},
                         {.kind = TUTTI_ARG_HOST_F32, .u.host_f32 = host_half},
                         {.kind = TUTTI_ARG_HOST_U32, .u.host_u32 = host_step},
                         {.kind = TUTTI_ARG_SCRATCH, .u.scratch = 1}};
    tutti_launch launch = {
        .source = source, .entry = "kinds", .options = "", .args = args, .n_args = 8, .rank = 2};
    launch.range[0] = (tutti_range){.items = {1, 4}, .per_item = 2, .local = 8};
    launch.range[1] = (tutti_range){.items = {5, 0}, .per_item = 1, .local = 2};
    tutti_kernels *kernels = make_kernels();
    OK(tutti_kernels_want(kernels, &launch, "kinds"));
    OK(tutti_kernels_build(kernels));
    float out[12], scratch = 42.0F, attr = 3.0F;
    for (int i = 0; i < 12; i++)
        out[i] = NAN;
    cl_mem memory[2] = {fixture_buffer(&device, out, sizeof out),
                        fixture_buffer(&device, &scratch, sizeof scratch)};
    tutti_bound_launch *bound;
    OK(tutti_bound_launch_make(kernels, &launch, &attr, fixture_resolve, memory, &bound));
    for (uint64_t step = 3; step < 5; step++) {
        tutti_run_values run = {.n = 9, .step = step};
        OK(tutti_bound_launch_enqueue(bound, &run, NULL));
        fixture_read(&device, memory[0], out, sizeof out);
        const float expected[12] = {3,  -7, 82, 0.25F, 0.5F * (float)step + 3, 1, (float)step, 42,
                                    24, 6,  8,  2};
        for (int i = 0; i < 12; i++)
            assert_true(out[i] == expected[i]);
    }
    tutti_run_values run = {.n = INT64_C(1) << 40};
    FAILS(TUTTI_UNSUPPORTED, "kernel kinds: argument",
          tutti_bound_launch_enqueue(bound, &run, NULL));
    tutti_bound_launch_free(bound);
    clReleaseMemObject(memory[0]);
    clReleaseMemObject(memory[1]);
    tutti_kernels_free(kernels);
}

static void errors_name_op_device_file_and_line(void **state) {
    (void)state;
    fixture_put(directory, "inner.clh", "\n\nfloat inner(float x) { return missing_thing; }\n");
    fixture_put(directory, "bad.cl", "// fine\n#include \"inner.clh\"\n__kernel void k(void) {}\n");
    fixture_put(directory, "worse.cl", "__kernel void k(void) {}\n\n__kernel vid z(void) {}\n");
    fixture_put(directory, "good.cl", "__kernel void k(void) {}\n");
    setenv("TUTTI_KERNEL_PATH", directory, 1);
    tutti_kernels *kernels = make_kernels();
    tutti_launch bad = {
        .file = "bad.cl", .entry = "k", .options = "", .rank = 1, .range = {{{1, 0}, 1, 1}}};
    tutti_launch worse = bad, good = bad, entry = bad, nowhere = bad;
    worse.file = "worse.cl";
    good.file = "good.cl";
    entry.file = "good.cl";
    entry.entry = "missing_entry";
    nowhere.file = "nowhere.cl";
    OK(tutti_kernels_want(kernels, &bad, "first_op"));
    OK(tutti_kernels_want(kernels, &worse, "second_op"));
    OK(tutti_kernels_want(kernels, &good, "third_op"));
    char part[600];
    snprintf(part, sizeof part, "%s/inner.clh: first_op on cpu.0 (%s): inner.clh:3: ", directory,
             device.info.name);
    FAILS(TUTTI_BUILD_FAILED, part, tutti_kernels_build(kernels));
    assert_non_null(strstr(tutti_error_message(), "missing_thing"));
    tutti_bound_launch *bound;
    FAILS(TUTTI_BUILD_FAILED, "inner.clh:3: ",
          tutti_bound_launch_make(kernels, &bad, NULL, fixture_resolve, NULL, &bound));
    FAILS(TUTTI_BUILD_FAILED, "second_op on cpu.0",
          tutti_bound_launch_make(kernels, &worse, NULL, fixture_resolve, NULL, &bound));
    assert_non_null(strstr(tutti_error_message(), "worse.cl:3: "));
    /* The failures of others do not touch it. */
    OK(tutti_bound_launch_make(kernels, &good, NULL, fixture_resolve, NULL, &bound));
    tutti_bound_launch_free(bound);
    OK(tutti_kernels_build(kernels)); /* nothing is wanted any more */
    OK(tutti_kernels_want(kernels, &bad, "first_op"));
    FAILS(TUTTI_BUILD_FAILED, "inner.clh:3: ", tutti_kernels_build(kernels));
    FAILS(TUTTI_BAD_INPUT, "op5 on cpu.0", tutti_kernels_want(kernels, &nowhere, "op5"));
    OK(tutti_kernels_want(kernels, &entry, "op4"));
    FAILS(TUTTI_BUILD_FAILED, "good.cl has no kernel \"missing_entry\"",
          tutti_kernels_build(kernels));
    tutti_kernels_free(kernels);
    unsetenv("TUTTI_KERNEL_PATH");
}

static void launches_that_cannot_run_are_refused(void **state) {
    (void)state;
    static const char source[] =
        "__kernel __attribute__((reqd_work_group_size(8, 1, 1))) void fixed(__global float *x) {}\n"
        "__kernel void shared(__global float *x, __local float *y) {}\n";
    tutti_kernels *kernels = make_kernels();
    tutti_arg args[2] = {tensor_arg(0), {.kind = TUTTI_ARG_LOCAL, .u.local_bytes = 64}};
    tutti_launch fixed = {.source = source,
                          .entry = "fixed",
                          .options = "",
                          .args = args,
                          .n_args = 1,
                          .rank = 1,
                          .range = {{{1, 0}, 1, 8}}};
    tutti_launch shared = fixed;
    shared.entry = "shared";
    shared.n_args = 2;
    OK(tutti_kernels_want(kernels, &fixed, "fixed"));
    float zero = 0;
    cl_mem memory = fixture_buffer(&device, &zero, sizeof zero);
    tutti_bound_launch *bound;
    FAILS(TUTTI_STATE, "fixed",
          tutti_bound_launch_make(kernels, &fixed, NULL, fixture_resolve, &memory, &bound));
    OK(tutti_kernels_build(kernels));
    OK(tutti_bound_launch_make(kernels, &fixed, NULL, fixture_resolve, &memory, &bound));
    tutti_bound_launch_free(bound);
    fixed.range[0].local = 4;
    FAILS(TUTTI_INVALID_ARGUMENT, "fixed requires a work-group of 8x1x1, its launch has 4x1x1",
          tutti_bound_launch_make(kernels, &fixed, NULL, fixture_resolve, &memory, &bound));
    fixed.range[0].local = 8;
    fixed.n_args = 0;
    FAILS(TUTTI_INVALID_ARGUMENT, "fixed takes 1 arguments, but its launch has 0",
          tutti_bound_launch_make(kernels, &fixed, NULL, fixture_resolve, &memory, &bound));
    OK(tutti_kernels_want(kernels, &shared, "shared"));
    OK(tutti_kernels_build(kernels));
    shared.range[0].local = (int64_t)device.info.max_work_group + 1;
    FAILS(TUTTI_UNSUPPORTED, "kernel shared on cpu.0",
          tutti_bound_launch_make(kernels, &shared, NULL, fixture_resolve, &memory, &bound));
    shared.rank = 2;
    shared.range[0].local = shared.range[1].local = device.info.max_work_group / 2;
    shared.range[1].per_item = 1;
    FAILS(TUTTI_UNSUPPORTED, "a work-group of",
          tutti_bound_launch_make(kernels, &shared, NULL, fixture_resolve, &memory, &bound));
    shared.rank = 1;
    shared.range[0].local = 0;
    FAILS(TUTTI_INVALID_ARGUMENT, "at least 1",
          tutti_bound_launch_make(kernels, &shared, NULL, fixture_resolve, &memory, &bound));
    clReleaseMemObject(memory);
    tutti_kernels_free(kernels);
}

/* A kernel that says nothing of its local size runs on devices of small work-groups, too. */
static void local_sizes_fit_the_device(void **state) {
    (void)state;
    static const char source[] = "__kernel void sizes(__global float *x) {\n"
                                 "    if (get_global_id(0) < 10 && get_global_id(1) < 3)\n"
                                 "        x[get_global_id(1) * 10 + get_global_id(0)] =\n"
                                 "            get_local_size(0) * 100 + get_local_size(1);\n"
                                 "}\n";
    tutti_device small = device;
    small.info.max_work_group = 6;
    small.info.max_work_item[1] = 2;
    tutti_arg args[1] = {tensor_arg(0)};
    tutti_launch launch = {.source = source,
                           .entry = "sizes",
                           .options = "",
                           .args = args,
                           .n_args = 1,
                           .rank = 2,
                           .range = {{{10, 0}, 1, 16}, {{3, 0}, 1, 4}}};
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &small, &kernels));
    OK(tutti_kernels_want(kernels, &launch, "sizes"));
    OK(tutti_kernels_build(kernels));
    float got[30] = {0};
    cl_mem memory = fixture_buffer(&device, got, sizeof got);
    tutti_bound_launch *bound;
    OK(tutti_bound_launch_make(kernels, &launch, NULL, fixture_resolve, &memory, &bound));
    OK(tutti_bound_launch_enqueue(bound, &(tutti_run_values){.n = 1}, NULL));
    OK(tutti_buffer_read(&device, memory, 0, got, sizeof got));
    for (int i = 0; i < 30; i++)
        assert_true(got[i] == 202);
    tutti_bound_launch_free(bound);
    clReleaseMemObject(memory);
    tutti_kernels_free(kernels);
}

static void profile_options_reach_the_compiler(void **state) {
    (void)state;
    tutti_device own = device;
    own.build_options = "-DFROM_PROFILE=5";
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &own, &kernels));
    tutti_launch launch = {.source = "#if FROM_PROFILE != 5\n#error no\n#endif\n"
                                     "__kernel void options(void) {}\n",
                           .entry = "options",
                           .rank = 1,
                           .range = {{{1, 0}, 1, 1}}};
    OK(tutti_kernels_want(kernels, &launch, "options"));
    OK(tutti_kernels_build(kernels));
    launch.options = "-DFROM_PROFILE=6"; /* comes later, so it wins */
    OK(tutti_kernels_want(kernels, &launch, "options"));
    FAILS(TUTTI_BUILD_FAILED, "options:2: ", tutti_kernels_build(kernels));
    tutti_kernels_free(kernels);
}

static void one_language_standard_is_named(void **state) {
    (void)state;
    static const struct {
        const char *profile, *launch;
        int version;
    } cases[] = {{"", "", 120}, {"-cl-std=CL3.0", "", 300}, {"-w", "-cl-std=CL3.0", 300}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_device own = device;
        own.build_options = cases[i].profile;
        char source[128];
        snprintf(source, sizeof source,
                 "#if __OPENCL_C_VERSION__ != %d\n#error other\n#endif\n"
                 "__kernel void standard(void) {}\n",
                 cases[i].version);
        tutti_kernels *kernels;
        OK(tutti_kernels_make(NULL, &own, &kernels));
        tutti_launch launch = {.source = source,
                               .entry = "standard",
                               .rank = 1,
                               .options = cases[i].launch,
                               .range = {{{1, 0}, 1, 1}}};
        OK(tutti_kernels_want(kernels, &launch, "standard"));
        OK(tutti_kernels_build(kernels));
        tutti_kernels_free(kernels);
    }
}

static void two_devices_build_at_once(void **state) {
    (void)state;
    tutti_device other = device;
    other.info.id = "cpu.1";
    tutti_kernels *kernels[3] = {make_kernels(), NULL, NULL};
    OK(tutti_kernels_make(NULL, &other, &kernels[1]));
    kernels[2] = make_kernels();
    tutti_arg args[4];
    tutti_launch launch = scale_launch(args), bad = launch;
    bad.source = "__kernel void scale(void) { oops }";
    OK(tutti_kernels_want(kernels[0], &launch, "scale"));
    OK(tutti_kernels_want(kernels[1], &bad, "bad"));
    OK(tutti_kernels_want(kernels[2], &launch, "scale"));
    tutti_status statuses[3] = {TUTTI_INTERNAL, TUTTI_INTERNAL, TUTTI_INTERNAL};
    FAILS(TUTTI_BUILD_FAILED, "bad on cpu.1", tutti_kernels_build_all(kernels, 3, statuses));
    assert_int_equal(statuses[0], TUTTI_OK);
    assert_int_equal(statuses[1], TUTTI_BUILD_FAILED);
    assert_int_equal(statuses[2], TUTTI_OK);
    for (int i = 0; i < 3; i++)
        tutti_kernels_free(kernels[i]);
    OK(tutti_kernels_build_all(kernels, 0, NULL));
}

static int setup(void **state) {
    (void)state;
    fixture_environment(directory);
    if (!fixture_open("Portable Computing", &device)) {
        print_error("no PoCL\n");
        return 1;
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_close(&device);
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launch_computes_and_follows_changes),
        cmocka_unit_test(every_kind_of_argument_arrives),
        cmocka_unit_test(errors_name_op_device_file_and_line),
        cmocka_unit_test(launches_that_cannot_run_are_refused),
        cmocka_unit_test(local_sizes_fit_the_device),
        cmocka_unit_test(profile_options_reach_the_compiler),
        cmocka_unit_test(one_language_standard_is_named),
        cmocka_unit_test(two_devices_build_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
