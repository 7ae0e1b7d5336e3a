#include "fixture.h"

#include <pthread.h>

#include "kernel/routine.h"

static char directory[512];
static tutti_device device, oclgrind;
static bool has_oclgrind;

static void product(const float *a, const float *b, double *c, int m, int n, int k, int ta,
                    int tb) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += (double)(ta ? a[l * m + i] : a[i * k + l]) *
                       (double)(tb ? b[j * k + l] : b[l * n + j]);
            c[i * n + j] = sum;
        }
}

static void sgemm_matches_the_reference(void **state) {
    (void)state;
    enum { M = 7, N = 13, K_PER_SAMPLE = 5, MAX = 1024 };
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 0);
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    for (int transposes = 0; transposes < 4; transposes++) {
        const int ta = transposes & 1, tb = transposes >> 1;
        float a[MAX], b[MAX], c[M * N];
        double expected[M * N];
        for (int i = 0; i < MAX; i++) {
            a[i] = tutti_rng_normal(&rng);
            b[i] = tutti_rng_normal(&rng);
        }
        for (int i = 0; i < M * N; i++)
            c[i] = NAN;
        cl_mem memory[3] = {fixture_buffer(&device, a, sizeof a),
                            fixture_buffer(&device, b, sizeof b),
                            fixture_buffer(&device, c, sizeof c)};
        tutti_arg args[8] = {{.kind = TUTTI_ARG_TENSOR, .u.tensor = {0}},
                             {.kind = TUTTI_ARG_TENSOR, .u.tensor = {1}},
                             {.kind = TUTTI_ARG_TENSOR, .u.tensor = {2}},
                             {.kind = TUTTI_ARG_I32, .u.i32 = {M, 0}},
                             {.kind = TUTTI_ARG_I32, .u.i32 = {N, 0}},
                             {.kind = TUTTI_ARG_I32, .u.i32 = {0, K_PER_SAMPLE}},
                             {.kind = TUTTI_ARG_I32, .u.i32 = {ta, 0}},
                             {.kind = TUTTI_ARG_I32, .u.i32 = {tb, 0}}};
        tutti_launch launch = {.routine = "clblast_sgemm", .args = args, .n_args = 8};
        OK(tutti_kernels_want(kernels, &launch, "matmul"));
        OK(tutti_kernels_build(kernels));
        tutti_bound_launch *bound;
        OK(tutti_bound_launch_make(kernels, &launch, NULL, fixture_resolve, memory, &bound));
        for (int64_t n = 3; n >= 0; n -= 3) { /* n 0: an empty share sums to zero */
            tutti_run_values run = {.n = n};
            OK(tutti_bound_launch_enqueue(bound, &run, NULL));
            fixture_read(&device, memory[2], c, sizeof c);
            product(a, b, expected, M, N, (int)n * K_PER_SAMPLE, ta, tb);
            for (int i = 0; i < M * N; i++)
                assert_true(fabs((double)c[i] - expected[i]) < 1e-4);
        }
        tutti_bound_launch_free(bound);
        for (int i = 0; i < 3; i++)
            clReleaseMemObject(memory[i]);
    }
    tutti_kernels_free(kernels);
}

static void bad_routines_are_refused(void **state) {
    (void)state;
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    tutti_arg args[8] = {0};
    tutti_launch launch = {.routine = "no_such", .args = args, .n_args = 0};
    tutti_bound_launch *bound;
    FAILS(TUTTI_INVALID_ARGUMENT, "no routine \"no_such\"",
          tutti_bound_launch_make(kernels, &launch, NULL, fixture_resolve, NULL, &bound));
    launch.routine = "clblast_sgemm";
    FAILS(TUTTI_INVALID_ARGUMENT, "takes 8 arguments",
          tutti_bound_launch_make(kernels, &launch, NULL, fixture_resolve, NULL, &bound));
    tutti_kernels_free(kernels);
    float tiny[4] = {0};
    cl_mem memory = fixture_buffer(&device, tiny, sizeof tiny);
    tutti_routine_arg values[8] = {{.memory = memory}, {.memory = memory}, {.memory = memory},
                                   {.i32 = 64},        {.i32 = 64},        {.i32 = 64}};
    FAILS(TUTTI_OPENCL, "CLBlastSgemm: matrix A's buffer is too small (-1011) on cpu.0",
          tutti_routine_find("clblast_sgemm")->call(&device, values, NULL));
    clReleaseMemObject(memory);
}

/* A first call, with all that the library compiles for it, on a device of its own. */
static void *first_call(void *user) {
    const tutti_device *own = user;
    float ones[16], sum[16];
    for (int i = 0; i < 16; i++)
        ones[i] = 1.0F;
    cl_mem a = fixture_buffer(own, ones, sizeof ones), c = fixture_buffer(own, ones, sizeof ones);
    const tutti_routine_arg args[8] = {{.memory = a}, {.memory = a}, {.memory = c}, {.i32 = 4},
                                       {.i32 = 4},    {.i32 = 4},    {.i32 = 0},    {.i32 = 1}};
    for (int k = 0; k < 3; k++)
        OK(tutti_routine_find("clblast_sgemm")->call(own, args, NULL));
    fixture_read(own, c, sum, sizeof sum);
    for (int i = 0; i < 16; i++)
        assert_true(sum[i] == 4.0F);
    clReleaseMemObject(a);
    clReleaseMemObject(c);
    return NULL;
}

static void two_devices_call_at_once(void **state) {
    (void)state;
    if (!has_oclgrind)
        skip();
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, first_call, &device), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, first_call, &oclgrind), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static int setup(void **state) {
    (void)state;
    fixture_dir(directory);
    fixture_add_oclgrind(directory);
    has_oclgrind = fixture_open("Oclgrind", &oclgrind);
    return fixture_open("Portable Computing", &device) ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    fixture_close(&device);
    if (has_oclgrind)
        fixture_close(&oclgrind);
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_devices_call_at_once),
        cmocka_unit_test(sgemm_matches_the_reference),
        cmocka_unit_test(bad_routines_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
