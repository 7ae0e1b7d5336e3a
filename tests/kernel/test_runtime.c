#include "fixture.h"
#include "kernel/programs.h"
#include "kernel/runtime.h"
#include "tutti/runtime.h"

static char directory[512];

static void opens_what_the_profile_selects(void **state) {
    (void)state;
    tutti_profile *profile;
    tutti_runtime *runtime;
    OK(tutti_profile_select("cpu.0", &profile));
    OK(tutti_runtime_open(profile, &runtime));
    assert_int_equal(tutti_runtime_device_count(runtime), 1);
    assert_string_equal(tutti_runtime_device(runtime, 0)->id, "cpu.0");
    assert_null(tutti_runtime_device(runtime, 1));
    assert_null(tutti_runtime_device(runtime, -1));
    assert_true(tutti_runtime_inventory(runtime)->n_devices >= 1);
    assert_string_equal(getenv("POCL_AFFINITY"), "1");
    tutti_kernel_stats stats = tutti_runtime_kernel_stats(runtime);
    assert_int_equal(stats.programs, 0);
    tutti_launch launch = {.source = "__kernel void nothing(void) {}\n",
                           .entry = "nothing",
                           .options = "",
                           .rank = 1,
                           .range = {{{1, 0}, 1, 1}}};
    OK(tutti_kernels_want(runtime->kernels[0], &launch, "nothing"));
    OK(tutti_kernels_build_all(runtime->kernels, 1, NULL));
    stats = tutti_runtime_kernel_stats(runtime);
    assert_int_equal(stats.programs, 1);
    assert_int_equal(stats.compiled + stats.from_disk + stats.from_driver, 1);
    assert_true(stats.build_s > 0);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    tutti_runtime_close(NULL);
}

static void devices_of_a_profile_build_together(void **state) {
    (void)state;
    static const char text[] =
        "{\"devices\": [{\"match\": {\"type\": \"cpu\"}, \"partition\": [1, 1]}]}";
    tutti_profile *profile;
    tutti_runtime *runtime;
    if (tutti_profile_parse("split", text, sizeof text - 1, &profile) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    OK(tutti_runtime_open(profile, &runtime));
    assert_int_equal(tutti_runtime_device_count(runtime), 2);
    static const char *const sources[] = {"__kernel void first(void) {}\n",
                                          "__kernel void second(void) {}\n",
                                          "__kernel void own(void) {}\n"};
    static const char *const entries[] = {"first", "second", "own"};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < (i == 0 ? 3 : 2); k++) {
            tutti_launch launch = {.source = sources[k],
                                   .entry = entries[k],
                                   .options = "",
                                   .rank = 1,
                                   .range = {{{1, 0}, 1, 1}}};
            OK(tutti_kernels_want(runtime->kernels[i], &launch, entries[k]));
        }
    OK(tutti_kernels_build_all(runtime->kernels, 2, NULL));
    const tutti_kernel_stats stats = tutti_runtime_kernel_stats(runtime);
    if (runtime->kernels[0]->merge) {
        /* What both want is one program, compiled once, whatever the first wants besides. */
        assert_int_equal(stats.programs, 3);
        assert_int_equal(stats.compiled, 2);
        assert_int_equal(stats.from_driver, 1);
    } else {
        assert_int_equal(stats.programs, 5);
    }
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
}

static void no_device_says_what_was_searched(void **state) {
    (void)state;
    tutti_profile *profile;
    tutti_runtime *runtime;
    OK(tutti_profile_select("nosuchvendor:*", &profile));
    FAILS(TUTTI_NO_DEVICE, "searched", tutti_runtime_open(profile, &runtime));
    /* Each device that there is, with the reason. */
    assert_non_null(strstr(tutti_error_message(), "cpu.0"));
    assert_non_null(strstr(tutti_error_message(), "nosuchvendor"));
    tutti_profile_free(profile);
}

static int setup(void **state) {
    (void)state;
    fixture_environment(directory);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_the_profile_selects),
        cmocka_unit_test(devices_of_a_profile_build_together),
        cmocka_unit_test(no_device_says_what_was_searched),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
