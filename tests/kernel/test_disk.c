/* Programs through the disk cache, on PoCL and on oclgrind, and both at once. */
#include "fixture.h"

#include <dirent.h>
#include <pthread.h>

#include "kernel/programs.h"

static char directory[512];
static tutti_device pocl, oclgrind;
static bool has_oclgrind;
static int warnings;

static void count_warnings(void *user, tutti_log_level level, const char *message) {
    (void)user;
    (void)message;
    warnings += level >= TUTTI_LOG_WARNING;
}

/* Two programs (their options differ in what merging cannot take apart), three kernels. */
static void run_once(const tutti_device *device, const tutti_profile *profile,
                     tutti_kernel_stats *stats) {
    static const char *const options[] = {"-DV=3", "-DV=3", "-DV=5 -cl-mad-enable"};
    static const char *const entries[] = {"set", "twice", "set"};
    static const float expected[] = {3, 6, 5};
    tutti_kernels *kernels;
    OK(tutti_kernels_make(profile, device, &kernels));
    tutti_arg arg = {.kind = TUTTI_ARG_TENSOR, .u.tensor = {0}};
    tutti_launch launches[3];
    for (int i = 0; i < 3; i++) {
        launches[i] = (tutti_launch){.file = "disk.cl",
                                     .entry = entries[i],
                                     .options = options[i],
                                     .args = &arg,
                                     .n_args = 1,
                                     .rank = 1};
        launches[i].range[0] = (tutti_range){.items = {1, 0}, .per_item = 1, .local = 1};
        OK(tutti_kernels_want(kernels, &launches[i], entries[i]));
    }
    OK(tutti_kernels_build(kernels));
    for (int i = 0; i < 3; i++) {
        float result = NAN;
        cl_mem memory = fixture_buffer(device, &result, sizeof result);
        tutti_bound_launch *bound;
        OK(tutti_bound_launch_make(kernels, &launches[i], NULL, fixture_resolve, &memory, &bound));
        OK(tutti_bound_launch_enqueue(bound, &(tutti_run_values){.n = 1}, NULL));
        fixture_read(device, memory, &result, sizeof result);
        assert_true(result == expected[i]);
        tutti_bound_launch_free(bound);
        clReleaseMemObject(memory);
    }
    *stats = tutti_kernels_stats(kernels);
    tutti_kernels_free(kernels);
}

static void fresh_cache(char path[600]) {
    static int number;
    snprintf(path, 600, "%s/own%d", directory, number++);
    setenv("TUTTI_CACHE_DIR", path, 1);
}

/* Calls change with the path of every file of a kind; how many there were. */
static int each_entry(const char *path, const char *kind, void (*change)(const char *file)) {
    int n = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot == NULL || strcmp(dot + 1, kind) != 0)
            continue;
        char file[900];
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        if (change != NULL)
            change(file);
        n++;
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static void flip_middle(const char *file) {
    char *data;
    size_t size;
    OK(tutti_file_read(file, 1 << 28, &data, &size));
    data[size / 2] ^= 0x10;
    OK(tutti_file_write(file, 0600, data, size));
    free(data);
}

static void cut_middle(const char *file) {
    struct stat info;
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(truncate(file, info.st_size / 2), 0);
}

static void check_device(const tutti_device *device, tutti_cache_mode mode) {
    char path[600];
    fresh_cache(path);
    const tutti_profile profile = {.cache_mode = mode};
    tutti_kernel_stats stats;
    run_once(device, &profile, &stats);
    assert_int_equal(stats.programs, 2);
    assert_int_equal(stats.compiled, 2);
    assert_int_equal(stats.from_disk, 0);
    assert_int_equal(each_entry(path, "bin", NULL), 2);
    run_once(device, &profile, &stats);
    assert_int_equal(stats.programs, 2);
    assert_int_equal(stats.compiled, 0);
    assert_int_equal(stats.from_disk, 2);
    void (*const damages[])(const char *) = {flip_middle, cut_middle};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(each_entry(path, "bin", damages[i]), 2);
        run_once(device, &profile, &stats); /* rebuilt */
        assert_int_equal(stats.compiled, 2);
        assert_int_equal(stats.from_disk, 0);
        run_once(device, &profile, &stats); /* and kept again */
        assert_int_equal(stats.from_disk, 2);
    }
    assert_int_equal(warnings, 1);
    /* A new driver version is another key. */
    tutti_device updated = *device;
    updated.info.driver_version = "next";
    run_once(&updated, &profile, &stats);
    assert_int_equal(stats.from_disk, 0);
    warnings = 0;
}

static void pocl_keeps_binaries_when_asked(void **state) {
    (void)state;
    check_device(&pocl, TUTTI_CACHE_DISK);
}

static void oclgrind_keeps_binaries(void **state) {
    (void)state;
    if (has_oclgrind)
        check_device(&oclgrind, TUTTI_CACHE_AUTO);
}

static void pocl_uses_its_own_cache(void **state) {
    (void)state;
    char path[600];
    fresh_cache(path);
    tutti_kernel_stats stats;
    run_once(&pocl, NULL, &stats);
    assert_int_equal(stats.compiled, 2);
    assert_int_equal(each_entry(path, "bin", NULL), 0);
    assert_int_equal(each_entry(path, "seen", NULL), 2);
    run_once(&pocl, NULL, &stats);
    assert_int_equal(stats.compiled, 0);
    assert_int_equal(stats.from_driver, 2);
    setenv("POCL_KERNEL_CACHE", "0", 1); /* switched off by the user: nobody has seen them */
    run_once(&pocl, NULL, &stats);
    assert_int_equal(stats.compiled, 2);
    unsetenv("POCL_KERNEL_CACHE");
}

static void off_keeps_nothing(void **state) {
    (void)state;
    char path[600];
    fresh_cache(path);
    const tutti_profile profile = {.cache_mode = TUTTI_CACHE_OFF};
    tutti_kernel_stats stats;
    for (int i = 0; i < 2; i++) {
        run_once(&pocl, &profile, &stats);
        assert_int_equal(stats.compiled, 2);
    }
    assert_int_equal(access(path, F_OK), -1);
}

static void unusable_cache_costs_a_warning(void **state) {
    (void)state;
    setenv("TUTTI_CACHE_DIR", "/proc/nowhere", 1);
    const tutti_profile profile = {.cache_mode = TUTTI_CACHE_DISK};
    tutti_kernel_stats stats;
    warnings = 0;
    for (int i = 0; i < 2; i++) {
        run_once(&pocl, &profile, &stats);
        assert_int_equal(stats.compiled, 2);
    }
    assert_int_equal(warnings, 1);
}

static void *work(void *user) {
    static const tutti_profile profile = {.cache_mode = TUTTI_CACHE_DISK};
    tutti_kernel_stats stats;
    for (int i = 0; i < 3; i++)
        run_once(user, &profile, &stats);
    return NULL;
}

static void two_devices_in_two_threads(void **state) {
    (void)state;
    char path[600];
    fresh_cache(path);
    tutti_device twin = pocl;
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, work, &pocl), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, work, has_oclgrind ? &oclgrind : &twin), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(each_entry(path, "bin", NULL), has_oclgrind ? 4 : 2);
}

static int setup(void **state) {
    (void)state;
    fixture_environment(directory);
    static const char source[] = "__kernel void set(__global float *y) { y[0] = V; }\n"
                                 "__kernel void twice(__global float *y) { y[0] = 2 * V; }\n";
    fixture_put(directory, "disk.cl", source);
    setenv("TUTTI_KERNEL_PATH", directory, 1);
    fixture_add_oclgrind(directory);
    has_oclgrind = fixture_open("Oclgrind", &oclgrind);
    if (!has_oclgrind)
        print_message("oclgrind is not installed: not tested\n");
    tutti_log_set(count_warnings, NULL);
    return fixture_open("Portable Computing", &pocl) ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    if (has_oclgrind)
        fixture_close(&oclgrind);
    fixture_close(&pocl);
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pocl_keeps_binaries_when_asked),
        cmocka_unit_test(oclgrind_keeps_binaries),
        cmocka_unit_test(pocl_uses_its_own_cache),
        cmocka_unit_test(off_keeps_nothing),
        cmocka_unit_test(unusable_cache_costs_a_warning),
        cmocka_unit_test(two_devices_in_two_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
