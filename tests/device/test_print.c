/* The emitted profile against the parser and the selection, and JSON of odd names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "device/print.h"
#include "device/quirks.h"

#define N 7

static tutti_device_info make(const char *name, const char *platform, uint32_t type) {
    return (tutti_device_info){.id = "x",
                               .type = type,
                               .name = name,
                               .vendor = "V \"quoted\" \\ vendor",
                               .platform_name = platform,
                               .platform_version = "OpenCL 3.0",
                               .driver_version = "1",
                               .opencl_version = "OpenCL 3.0",
                               .opencl_c_version = "OpenCL C 1.2",
                               .profile = "FULL_PROFILE",
                               .extensions = "cl_khr_fp64 cl_khr_other",
                               .uuid = "",
                               .pci = "",
                               .compute_units = 4,
                               .max_sub_devices = 4,
                               .memory_bytes = (uint64_t)1 << 40,
                               .available = true,
                               .compiler = true,
                               .fp64 = true,
                               .duplicate_of = -1,
                               .unusable = ""};
}

/* Twins, a UUID, a PCI address, characters that globs and JSON treat in their own way, one that is
 * unusable and one that is a duplicate. */
static void fill(tutti_device_info *d, tutti_platform_info *p, tutti_inventory *inventory) {
    d[0] = make("Twin", "P", TUTTI_DEVICE_GPU);
    d[1] = make("Twin", "P", TUTTI_DEVICE_GPU);
    d[2] = make("Card * [x] ? \xC2\xB5", "P", TUTTI_DEVICE_GPU);
    d[2].uuid = "0123456789abcdef0123456789abcdef";
    d[3] = make("Card", "Q (R) \"z\"", TUTTI_DEVICE_ACCELERATOR);
    d[3].pci = "0000:0a:00.1";
    d[4] = make("CPU @ 3.0GHz", "Q (R) \"z\"", TUTTI_DEVICE_CPU);
    d[5] = make("Broken", "Q (R) \"z\"", TUTTI_DEVICE_CPU);
    d[5].unusable = "too old";
    d[5].id = "";
    d[6] = make("Card", "Q (R) \"z\"", TUTTI_DEVICE_GPU);
    d[6].uuid = d[2].uuid;
    d[6].duplicate_of = 2;
    p[0] = (tutti_platform_info){.name = "P",
                                 .vendor = "",
                                 .version = "OpenCL 3.0",
                                 .profile = "FULL_PROFILE",
                                 .extensions = "",
                                 .icd = "/x.icd",
                                 .problem = "",
                                 .n_devices = 3};
    p[1] = p[0];
    p[1].name = "Q (R) \"z\"";
    p[1].first_device = 3;
    p[1].n_devices = 4;
    for (int32_t i = 3; i < N; i++)
        d[i].platform = 1;
    *inventory = (tutti_inventory){p, 2, d, N, "somewhere"};
}

static void an_emitted_profile_takes_its_devices(void **state) {
    (void)state;
    tutti_device_info devices[N];
    tutti_platform_info platforms[2];
    tutti_inventory inventory;
    fill(devices, platforms, &inventory);
    /* Every subset, one of two twins included. */
    for (unsigned set = 1; set < 1 << 5; set++) {
        tutti_device_report reports[N] = {0};
        int32_t wanted = 0;
        for (int32_t i = 0; i < N; i++) {
            const bool in = i < 5 && (set >> i & 1) != 0;
            wanted += in;
            if (!in)
                reports[i].skipped = "not wanted";
        }
        tutti_strbuf text = {0};
        tutti_print_profile(&text, &inventory, reports);
        tutti_profile *profile;
        if (tutti_profile_parse("emitted", text.text, text.length, &profile) != TUTTI_OK)
            fail_msg("%s\n%s", tutti_error_message(), text.text);
        tutti_selection *chosen;
        int32_t count;
        if (tutti_profile_apply(profile, &inventory, &chosen, &count, NULL) != TUTTI_OK)
            fail_msg("%s\n%s", tutti_error_message(), text.text);
        assert_int_equal(count, wanted);
        for (int32_t k = 0; k < count; k++)
            assert_true((set >> chosen[k].device & 1) != 0);
        free(chosen);
        tutti_profile_free(profile);
        tutti_strbuf_free(&text);
    }
}

static void json_is_json_whatever_drivers_say(void **state) {
    (void)state;
    tutti_device_info devices[N];
    tutti_platform_info platforms[2];
    tutti_inventory inventory;
    fill(devices, platforms, &inventory);
    devices[0].name = "bad \xff\xfe \x01 bytes";
    tutti_selftest_result test = {.seed = UINT64_MAX, .n_items = 2};
    strcpy(test.items[0].name, "integer");
    test.items[0].passed = true;
    strcpy(test.items[1].name, "float");
    strcpy(test.items[1].detail, "sum is \"wrong\"");
    const tutti_bench_result bench = {.fp32_gflops = 123.456789, .fp32_width = 8};
    tutti_device_report reports[N] = {0};
    reports[0].selftest = &test;
    reports[0].bench = &bench;
    reports[1].selftest_problem = "crashed";
    reports[1].bench_problem = "hung";
    reports[4].skipped = "its type is CPU";
    tutti_strbuf text = {0};
    tutti_print_json(&text, &inventory, reports, "!cpu");
    cJSON *root = cJSON_Parse(text.text);
    assert_non_null(root);
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "platforms"), 0);
    const cJSON *list = cJSON_GetObjectItem(first, "devices");
    assert_int_equal(cJSON_GetArraySize(list), 3);
    const cJSON *d = cJSON_GetArrayItem(list, 0);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(cJSON_GetObjectItem(d, "self_test"), "passed")));
    const cJSON *flops = cJSON_GetObjectItem(cJSON_GetObjectItem(d, "bench"), "fp32_gflops");
    assert_true(flops->valuedouble == 123.46);
    assert_true(cJSON_GetObjectItem(d, "memory_bytes")->valuedouble == 1099511627776.0);
    d = cJSON_GetArrayItem(list, 1);
    assert_string_equal(
        cJSON_GetObjectItem(cJSON_GetObjectItem(d, "self_test"), "problem")->valuestring,
        "crashed");
    cJSON_Delete(root);
    tutti_strbuf_free(&text);

    tutti_print_tree(&text, &inventory, reports, "!cpu", false);
    assert_non_null(strstr(text.text, "not selected    its type is CPU"));
    assert_non_null(strstr(text.text, "not usable      too old"));
    assert_non_null(strstr(text.text, "WRONG: sum is \"wrong\""));
    assert_non_null(strstr(text.text, "memory          1 TiB"));
    assert_null(strchr(text.text, '\033'));
    tutti_strbuf_free(&text);
    tutti_print_tree(&text, &inventory, reports, NULL, true);
    assert_non_null(strchr(text.text, '\033'));
    tutti_strbuf_free(&text);
}

static void quirks_are_matched_by_platform(void **state) {
    (void)state;
    tutti_device_info d = make("x", "Portable Computing Language", TUTTI_DEVICE_CPU);
    assert_int_equal(tutti_quirks_find(&d), TUTTI_QUIRK_DRIVER_CACHE | TUTTI_QUIRK_BINARY_SLOW);
    d.platform_name = "NVIDIA CUDA";
    assert_int_equal(tutti_quirks_find(&d), TUTTI_QUIRK_DRIVER_CACHE);
    d.platform_name = "Oclgrind";
    assert_int_equal(tutti_quirks_find(&d), TUTTI_QUIRK_INTERPRETER | TUTTI_QUIRK_NO_ROUTINES);
    d.platform_name = "Somebody";
    assert_int_equal(tutti_quirks_find(&d), 0);
    static const struct {
        const char *platform, *version;
        bool bad;
    } cases[] = {
        {"Portable Computing Language", "1.4", true},
        {"Portable Computing Language", "1.4-pre2", true},
        {"Portable Computing Language", "1.5", false},
        {"Portable Computing Language", "3.1+debian", false},
        {"Portable Computing Language", "10.0", false},
        {"Portable Computing Language", "0.14", true},
        {"Portable Computing Language", "1", true},
        {"Clover", "99", true},
        {"Intel Gen OCL Driver", "1.3", true},
        {"Intel(R) OpenCL Graphics", "0.1", false},
    };
    unsetenv("TUTTI_ALLOW_BAD_DRIVERS");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        d.platform_name = cases[i].platform;
        d.driver_version = cases[i].version;
        if ((tutti_quirks_bad_driver(&d)[0] != '\0') != cases[i].bad)
            fail_msg("%s %s", cases[i].platform, cases[i].version);
    }
    setenv("TUTTI_ALLOW_BAD_DRIVERS", "1", 1);
    d.platform_name = "Clover";
    assert_string_equal(tutti_quirks_bad_driver(&d), "");
    unsetenv("TUTTI_ALLOW_BAD_DRIVERS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_emitted_profile_takes_its_devices),
        cmocka_unit_test(json_is_json_whatever_drivers_say),
        cmocka_unit_test(quirks_are_matched_by_platform),
    };
    return cmocka_run_group_tests_name("device.print", tests, NULL, NULL);
}
