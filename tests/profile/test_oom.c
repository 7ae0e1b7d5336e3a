/* Every allocation of reading a profile and of choosing devices by it fails in turn. */
#include "oom.h"

#include "tutti/device.h"

static const tutti_device_info devices[] = {
    {.id = "cpu.0",
     .type = TUTTI_DEVICE_CPU,
     .name = "processor",
     .vendor = "v",
     .platform_name = "P",
     .extensions = "cl_khr_fp64",
     .uuid = "",
     .pci = "",
     .compute_units = 4,
     .max_sub_devices = 4,
     .memory_bytes = 1 << 30,
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "gpu.0",
     .type = TUTTI_DEVICE_GPU,
     .name = "card",
     .vendor = "w",
     .platform_name = "Q",
     .extensions = "",
     .uuid = "",
     .pci = "0000:01:00.0",
     .memory_bytes = 1 << 30,
     .duplicate_of = -1,
     .unusable = ""},
};
static const tutti_inventory inventory = {
    .devices = devices, .n_devices = 2, .searched = "nowhere"};

static const char text[] =
    "{\"name\": \"n\", \"kernel_path\": [\"a\", \"b\"], \"cache\": {\"dir\": \"c\"}, \"devices\": ["
    "{\"match\": {\"type\": [\"cpu\", \"gpu\"], \"extensions\": [\"cl_khr_fp64\"],"
    " \"uuid\": \"00112233445566778899aabbccddeeff\", \"pci\": \"01:00.0\"}, \"optional\": true},"
    "{\"match\": {\"type\": \"cpu\"}, \"exclude\": [{\"name\": \"x*\"}], \"partition\": [1, 2],"
    " \"share\": 0.25, \"build_options\": [\"-w\", \"-cl-mad-enable\"]}]}";

/* Frees the profile. */
static tutti_status apply(tutti_status status, tutti_profile *profile) {
    tutti_selection *chosen = NULL;
    char **reasons = NULL;
    int32_t count = 0;
    if (status == TUTTI_OK) {
        status = tutti_profile_apply(profile, &inventory, &chosen, &count, &reasons);
        assert_int_equal(count, status == TUTTI_OK);
    }
    assert_true(status == TUTTI_OK || (reasons == NULL && chosen == NULL));
    tutti_free(chosen);
    tutti_free(reasons);
    tutti_profile_free(profile);
    return status;
}

static tutti_status use_file(void) {
    tutti_profile *profile;
    const tutti_status status = tutti_profile_parse("dir/p.json", text, sizeof text - 1, &profile);
    assert_true((status == TUTTI_OK) == (profile != NULL));
    return apply(status, profile);
}

static tutti_status use_expression(void) {
    tutti_profile *profile;
    const tutti_status status = tutti_profile_select("cpu, gpu:c*, !gpu.0, v:*", &profile);
    assert_true((status == TUTTI_OK) == (profile != NULL));
    if (status == TUTTI_OK)
        profile->on_missing = TUTTI_ON_FAILURE_CONTINUE;
    return apply(status, profile);
}

static void a_file(void **state) {
    (void)state;
    oom_each(use_file);
}

static void an_expression(void **state) {
    (void)state;
    oom_each(use_expression);
}

int main(void) {
    setenv("TUTTI_LOG", "off", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_file), cmocka_unit_test(an_expression)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
