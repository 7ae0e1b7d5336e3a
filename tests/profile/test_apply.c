/* Expressions, and profiles applied to made-up inventories. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/status.h"
#include "tutti/device.h"

#define GIB (UINT64_C(1) << 30)

/* A machine with most of what there is: two NVIDIA twins and an AMD card, each seen by a generic
 * platform too, an integrated GPU, a processor of two platforms, an accelerator, a custom device
 * and broken ones. */
static const tutti_device_info machine[] = {
    {.id = "cpu.0",
     .type = TUTTI_DEVICE_CPU,
     .name = "pthread-EPYC",
     .vendor = "AuthenticAMD",
     .platform_name = "Portable Computing Language",
     .vendor_id = 0x8086,
     .memory_bytes = 16 * GIB,
     .compute_units = 8,
     .max_sub_devices = 8,
     .extensions = "cl_khr_fp64 cl_khr_int64_base_atomics",
     .uuid = "",
     .pci = "",
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "gpu.0",
     .type = TUTTI_DEVICE_GPU,
     .name = "NVIDIA GeForce RTX 4090",
     .vendor = "NVIDIA Corporation",
     .platform_name = "NVIDIA CUDA",
     .vendor_id = 0x10de,
     .memory_bytes = 24 * GIB,
     .compute_units = 128,
     .max_sub_devices = 1,
     .extensions = "cl_khr_fp64 cl_nv_device_attribute_query",
     .uuid = "11111111222233334444000000000001",
     .pci = "0000:01:00.0",
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "gpu.1",
     .type = TUTTI_DEVICE_GPU,
     .name = "NVIDIA GeForce RTX 4090",
     .vendor = "NVIDIA Corporation",
     .platform_name = "NVIDIA CUDA",
     .vendor_id = 0x10de,
     .memory_bytes = 24 * GIB,
     .compute_units = 128,
     .max_sub_devices = 1,
     .extensions = "cl_khr_fp64 cl_nv_device_attribute_query",
     .uuid = "11111111222233334444000000000002",
     .pci = "0000:02:00.0",
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "gpu.2@2",
     .type = TUTTI_DEVICE_GPU,
     .name = "AMD Radeon RX 7900 (radeonsi)",
     .vendor = "AMD",
     .platform_name = "rusticl",
     .vendor_id = 0x1002,
     .memory_bytes = 20 * GIB,
     .compute_units = 48,
     .max_sub_devices = 1,
     .extensions = "cl_khr_fp16",
     .uuid = "",
     .pci = "0000:03:00.0",
     .duplicate_of = 4,
     .unusable = ""},
    {.id = "gpu.2",
     .type = TUTTI_DEVICE_GPU,
     .name = "gfx1100",
     .vendor = "Advanced Micro Devices, Inc.",
     .platform_name = "AMD Accelerated Parallel Processing",
     .vendor_id = 0x1002,
     .memory_bytes = 20 * GIB,
     .compute_units = 48,
     .max_sub_devices = 1,
     .extensions = "cl_khr_fp16 cl_khr_fp64",
     .uuid = "",
     .pci = "0000:03:00.0",
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "gpu.3",
     .type = TUTTI_DEVICE_GPU,
     .name = "Intel(R) UHD Graphics 770",
     .vendor = "Intel(R) Corporation",
     .platform_name = "Intel(R) OpenCL Graphics",
     .vendor_id = 0x8086,
     .memory_bytes = 4 * GIB,
     .compute_units = 32,
     .max_sub_devices = 0,
     .extensions = "cl_khr_fp16",
     .uuid = "868680a7040000000002000000000000",
     .pci = "0000:00:02.0",
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "accelerator.0",
     .type = TUTTI_DEVICE_ACCELERATOR,
     .name = "ft3000 dsp",
     .vendor = "Phytium",
     .platform_name = "MT",
     .vendor_id = 1,
     .memory_bytes = 2 * GIB,
     .compute_units = 24,
     .max_sub_devices = 24,
     .extensions = "",
     .uuid = "",
     .pci = "",
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "custom.0",
     .type = TUTTI_DEVICE_CUSTOM,
     .name = "video block",
     .vendor = "Video Charm",
     .platform_name = "MT",
     .vendor_id = 2,
     .memory_bytes = GIB,
     .compute_units = 1,
     .extensions = "",
     .uuid = "",
     .pci = "",
     .duplicate_of = -1,
     .unusable = ""},
    {.id = "",
     .type = TUTTI_DEVICE_GPU,
     .name = "old gpu",
     .vendor = "NVIDIA Corporation",
     .platform_name = "NVIDIA CUDA",
     .vendor_id = 0x10de,
     .memory_bytes = GIB,
     .compute_units = 2,
     .extensions = "",
     .uuid = "",
     .pci = "",
     .duplicate_of = -1,
     .unusable = "it has no compiler"},
    {.id = "gpu.0@2",
     .type = TUTTI_DEVICE_GPU,
     .name = "NV192",
     .vendor = "NVIDIA",
     .platform_name = "rusticl",
     .vendor_id = 0x10de,
     .memory_bytes = 24 * GIB,
     .compute_units = 1,
     .extensions = "",
     .uuid = "",
     .pci = "0000:01:00.0",
     .duplicate_of = 1,
     .unusable = ""},
    {.id = "",
     .type = TUTTI_DEVICE_GPU,
     .name = "NV192 broken",
     .vendor = "NVIDIA",
     .platform_name = "rusticl",
     .vendor_id = 0x10de,
     .memory_bytes = 24 * GIB,
     .compute_units = 1,
     .extensions = "",
     .uuid = "",
     .pci = "0000:02:00.0",
     .duplicate_of = 2,
     .unusable = "it is not available"},
};
#define N_MACHINE ((int32_t)(sizeof machine / sizeof *machine))
static const tutti_inventory inventory = {
    .devices = machine, .n_devices = N_MACHINE, .searched = "/etc/OpenCL/vendors"};

/* The chosen devices as "0 1 4", or "STATUS: message". */
static char *choose(tutti_profile *profile, char text[1200]) {
    tutti_selection *chosen = (tutti_selection *)(uintptr_t)1;
    int32_t count = 77;
    char **reasons = NULL;
    tutti_status status = tutti_profile_apply(profile, &inventory, &chosen, &count, &reasons);
    text[0] = '\0';
    if (status != TUTTI_OK) {
        assert_null(chosen);
        assert_int_equal(count, 0);
        snprintf(text, 1200, "%s: %s", tutti_status_name(status), tutti_error_message());
    }
    bool taken[sizeof machine / sizeof *machine] = {false};
    for (int32_t i = 0; i < count; i++) {
        snprintf(text + strlen(text), 8, "%s%d", i == 0 ? "" : " ", chosen[i].device);
        taken[chosen[i].device] = true;
        assert_true(chosen[i].entry >= profile->devices &&
                    chosen[i].entry < profile->devices + profile->n_devices);
    }
    assert_non_null(reasons);
    if (status == TUTTI_OK)
        for (int32_t i = 0; i < N_MACHINE; i++) {
            assert_true(taken[i] == (reasons[i] == NULL));
            assert_true(taken[i] || reasons[i][0] != '\0');
        }
    tutti_free(reasons);
    tutti_free(chosen);
    /* Nobody has to ask for the reasons. */
    assert_int_equal(tutti_profile_apply(profile, &inventory, &chosen, &count, NULL), status);
    tutti_free(chosen);
    tutti_profile_free(profile);
    return text;
}

static tutti_profile *select_one(const char *expression) {
    tutti_profile *profile = NULL;
    if (tutti_profile_select(expression, &profile) != TUTTI_OK)
        fail_msg("%s: %s", expression, tutti_error_message());
    assert_string_equal(profile->source, expression);
    return profile;
}

static void test_expressions(void **state) {
    (void)state;
    static const struct {
        const char *expression, *chosen;
    } cases[] = {
        {"auto", "0 1 2 4 5 6"},
        {"all", "0 1 2 4 5 6 7"},
        {"gpu", "1 2 4 5"},
        {"GPU", "1 2 4 5"},
        {"cpu", "0"},
        {"accelerator", "6"},
        {"custom", "7"},
        {"gpu.0", "1"},
        {"gpu.2", "4"},
        {"cpu.0", "0"},
        {"auto.5", "6"},
        {"!cpu", "1 2 4 5 6"},
        {"!gpu", "0 6"},
        {"!gpu.0", "0 2 4 5 6"},
        {"gpu,!gpu.1", "1 4 5"},
        {"!cpu,!accelerator", "1 2 4 5"},
        {" gpu.3 , cpu ", "5 0"},
        {"! cpu", "1 2 4 5 6"},
        {"cpu,gpu", "0 1 2 4 5"},
        {"gpu.1,gpu", "2 1 4 5"},
        {"auto,gpu", "0 1 2 4 5 6"},
        {"nvidia:*", "1 2"},
        {"NVIDIA:*4090", "1 2"},
        {"nvidia:*.1", "2"},
        {"nvidia:*,!nvidia:*.0", "2"},
        {"amd:*", "0 4"},
        {"amd:gfx*", "4"},
        {"amd:*radeonsi*", "3"},
        {"gpu,!amd:*", "1 2 5"},
        {"intel:*", "5"},
        {"phyt:*", "6"},
        {"*:*graphics*", "5"},
        {"gpu:*radeon*", "3"},
        {"cpu:pthread*", "0"},
        {"!video*:*", "0 1 2 4 5 6"},
        {"all,!custom", "0 1 2 4 5 6"},
        {"gpu.4", "TUTTI_NO_DEVICE: profile \"gpu.4\" matches no usable device: "},
        {"apple:*", "TUTTI_NO_DEVICE: profile \"apple:*\" matches no usable device: "},
        {"arm:*", "TUTTI_NO_DEVICE: profile \"arm:*\" matches no usable device: "},
        {"cpu,!cpu", "TUTTI_NO_DEVICE: "},
        {"nvidia:old*", "TUTTI_NO_DEVICE: "},
        {"*:*broken", "TUTTI_NO_DEVICE: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1200];
        choose(select_one(cases[i].expression), text);
        bool prefix = cases[i].chosen[0] == 'T';
        if (prefix ? strncmp(text, cases[i].chosen, strlen(cases[i].chosen)) != 0
                   : strcmp(text, cases[i].chosen) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].expression, text, cases[i].chosen);
    }
    tutti_profile *profile = NULL;
    assert_int_equal(tutti_profile_open(NULL, &profile), TUTTI_OK);
    assert_string_equal(profile->source, "auto");
    tutti_profile_free(profile);
    assert_int_equal(tutti_profile_open("gpu.0", &profile), TUTTI_OK);
    assert_int_equal(profile->devices[0].line, 0);
    assert_true(profile->devices[0].share == TUTTI_SHARE_AUTO);
    assert_string_equal(profile->devices[0].build_options, "");
    tutti_profile_free(profile);
}

static void test_bad_expressions(void **state) {
    (void)state;
    static const struct {
        const char *expression, *term, *problem;
    } cases[] = {
        {"", "", "nothing in it"},
        {" ", "", "nothing in it"},
        {"gpu,", "", "nothing in it"},
        {",gpu", "", "nothing in it"},
        {"!", "!", "nothing in it"},
        {"!!cpu", "!!cpu", "negated twice"},
        {"cpu, gup ,auto", "gup", "unknown word (did you mean \"gpu\"?)"},
        {"gpus", "gpus", "unknown word (did you mean \"gpu\"?)"},
        {"nvidia", "nvidia", "unknown word (a vendor is written \"nvidia:*\""},
        {"0", "0", "a bare number"},
        {"gpu.", "gpu.", "unknown word"},
        {"gpu.x", "gpu.x", "unknown word"},
        {"gpu.-1", "gpu.-1", "unknown word"},
        {"gpu.256", "gpu.256", "its index is larger than 255"},
        {"gpu.99999999999", "gpu.99999999999", "its index is larger than 255"},
        {"gpu 0", "gpu 0", "unknown word"},
        {":*", ":*", "no vendor before ':'"},
        {"nvidia:", "nvidia:", "no name after ':'"},
        {"nvidia:.0", "nvidia:.0", "no name after ':'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_profile *profile = NULL;
        assert_int_equal(tutti_profile_select(cases[i].expression, &profile), TUTTI_BAD_INPUT);
        assert_null(profile);
        char wanted[200];
        snprintf(wanted, sizeof wanted, "profile \"%s\": term \"%s\": %s", cases[i].expression,
                 cases[i].term, cases[i].problem);
        if (strncmp(tutti_error_message(), wanted, strlen(wanted)) != 0 ||
            strstr(tutti_error_message(), ", expected auto, all, cpu") == NULL)
            fail_msg("\"%s\" instead of \"%s\"", tutti_error_message(), wanted);
    }
    tutti_profile *profile = NULL;
    assert_int_equal(tutti_profile_select("cpu\n", &profile), TUTTI_BAD_INPUT);
    char text[1100];
    memset(text, ',', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(tutti_profile_select(text, &profile), TUTTI_BAD_INPUT);
    text[0] = '\0';
    for (int i = 0; i < 65; i++)
        strcat(text, i == 0 ? "cpu" : ",cpu");
    assert_int_equal(tutti_profile_select(text, &profile), TUTTI_BAD_INPUT);
    assert_non_null(strstr(tutti_error_message(), "too many terms, expected at most 64"));
    text[63 * 4 + 3] = '\0';
    assert_int_equal(tutti_profile_select(text, &profile), TUTTI_OK);
    tutti_profile_free(profile);
}

static void test_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *chosen;
    } cases[] = {
        {"{}", "0 1 2 4 5 6"},
        {"{\"devices\": [{\"match\": {}}]}", "0 1 2 4 5 6 7"},
        {"{\"devices\": [{\"match\": {\"uuid\": \"11111111-2222-3333-4444-000000000002\"}}]}", "2"},
        {"{\"devices\": [{\"match\": {\"uuid\": \"868680A7040000000002000000000000\"}}]}", "5"},
        {"{\"devices\": [{\"match\": {\"pci\": \"02:00.0\"}}]}", "2"},
        {"{\"devices\": [{\"match\": {\"pci\": \"0000:03:00.0\"}}]}", "4"},
        {"{\"devices\": [{\"match\": {\"platform\": \"rusticl\"}}]}", "3 9"},
        {"{\"devices\": [{\"match\": {\"platform\": \"rusticl\", \"index\": 1}}]}", "9"},
        {"{\"devices\": [{\"match\": {\"platform\": \"rusticl\"}}, {\"match\": {\"type\": "
         "\"gpu\"}}]}",
         "3 9 2 5"},
        {"{\"devices\": [{\"match\": {\"platform\": \"NVIDIA*\", \"min_memory\": \"24GiB\"}}]}",
         "1 2"},
        {"{\"devices\": [{\"match\": {\"type\": \"gpu\", \"min_memory\": \"8GiB\"}}]}", "1 2 4"},
        {"{\"devices\": [{\"match\": {\"extensions\": [\"cl_khr_fp16\"]}}]}", "4 5"},
        {"{\"devices\": [{\"match\": {\"extensions\": [\"cl_khr_fp16\", \"cl_khr_fp64\"]}}]}", "4"},
        {"{\"devices\": [{\"match\": {\"extensions\": [\"cl_khr_fp1\"]}}]}", "TUTTI_NO_DEVICE: "},
        {"{\"devices\": [{\"match\": {\"type\": [\"cpu\", \"custom\"]}}]}", "0 7"},
        {"{\"devices\": [{\"match\": {\"name\": \"nvidia GEFORCE rtx ????\"}}]}", "1 2"},
        {"{\"devices\": [{\"match\": {\"name\": \"GeForce\"}}]}", "TUTTI_NO_DEVICE: "},
        {"{\"devices\": [{\"match\": {\"type\": \"gpu\"}, \"exclude\": [{\"vendor\": \"nvidia\"}, "
         "{\"pci\": \"00:02.0\"}]}]}",
         "4"},
        {"{\"devices\": [{\"match\": {\"type\": \"gpu\"}, \"exclude\": [{\"vendor\": \"nvidia\", "
         "\"index\": 0}]}]}",
         "2 4 5"},
        /* Order is the profile's. */
        {"{\"devices\": [{\"match\": {\"type\": \"cpu\"}}, {\"match\": {\"vendor\": \"amd\"}}]}",
         "0 4"},
        {"{\"devices\": [{\"match\": {\"type\": \"gpu\", \"index\": 3}}, {\"match\": {}}]}",
         "5 0 1 2 4 6 7"},
        /* What nothing matches. */
        {"{\"devices\": [{\"match\": {\"type\": \"cpu\"}},\n {\"match\": {\"vendor\": "
         "\"apple\"}}]}",
         "TUTTI_NO_DEVICE: t.json:2: devices[1]: matches no usable device: cpu.0 pthread-EPYC: its "
         "vendor is \"AuthenticAMD\", wanted \"apple\"; gpu.0 NVIDIA"},
        {"{\"devices\": [{\"match\": {\"type\": \"cpu\"}}, {\"match\": {\"type\": \"cpu\"}}]}",
         "TUTTI_NO_DEVICE: t.json:1: devices[1]: matches no usable device: cpu.0 pthread-EPYC: an "
         "earlier entry takes it"},
        {"{\"devices\": [{\"match\": {\"vendor\": \"apple\"}, \"optional\": true}, {\"match\": "
         "{\"type\": \"cpu\"}}]}",
         "0"},
        {"{\"on_missing\": \"continue\", \"devices\": [{\"match\": {\"vendor\": \"apple\"}}, "
         "{\"match\": {\"type\": \"cpu\"}}]}",
         "0"},
        {"{\"on_missing\": \"continue\", \"devices\": [{\"match\": {\"vendor\": \"apple\"}}]}",
         "TUTTI_NO_DEVICE: t.json: no entry matches a usable device: cpu.0 pthread-EPYC: its "
         "vendor"},
        {"{\"devices\": [{\"match\": {\"vendor\": \"apple\"}, \"optional\": true}]}",
         "TUTTI_NO_DEVICE: t.json: no entry matches a usable device: cpu.0 pthread-EPYC: its "
         "vendor"},
        /* Shares are for each device and each sub-device. */
        {"{\"devices\": [{\"match\": {\"vendor\": \"nvidia\"}, \"share\": 0.5}]}", "1 2"},
        {"{\"devices\": [{\"match\": {\"vendor\": \"nvidia\"}, \"share\": 0.6}]}",
         "TUTTI_BAD_INPUT: t.json: devices: the shares of the 2 chosen devices sum to 1.2, "
         "expected "
         "at most 1"},
        {"{\"devices\": [{\"match\": {\"type\": \"cpu\"}, \"partition\": 4, \"share\": 0.25}]}",
         "0"},
        {"{\"devices\": [{\"match\": {\"type\": \"cpu\"}, \"partition\": 9}]}",
         "TUTTI_UNSUPPORTED: t.json:1: devices[0].partition: pthread-EPYC has 8 compute units, the "
         "profile asks for 9 in 9 sub-devices"},
        {"{\"devices\": [{\"match\": {\"type\": \"cpu\"}, \"compute_units\": 9}]}",
         "TUTTI_UNSUPPORTED: t.json:1: devices[0].compute_units: pthread-EPYC has 8 compute units, "
         "the profile asks for 9"},
        {"{\"devices\": [{\"match\": {\"pci\": \"01:00.0\"}, \"partition\": [1, 1]}]}",
         "TUTTI_UNSUPPORTED: t.json:1: devices[0].partition: NVIDIA GeForce RTX 4090 can be "
         "partitioned in at most 1 sub-devices, the profile asks for 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_profile *profile = NULL;
        if (tutti_profile_parse("t.json", cases[i].text, strlen(cases[i].text), &profile) !=
            TUTTI_OK)
            fail_msg("%s: %s", cases[i].text, tutti_error_message());
        char text[1200];
        choose(profile, text);
        bool prefix = cases[i].chosen[0] == 'T';
        if (prefix ? strncmp(text, cases[i].chosen, strlen(cases[i].chosen)) != 0
                   : strcmp(text, cases[i].chosen) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].text, text, cases[i].chosen);
    }
}

static void a_part_of_a_name_gets_a_hint(void **state) {
    (void)state;
    static const struct {
        const char *name, *hint; /* NULL: none */
    } cases[] = {{"GeForce", "wanted \"GeForce\" (\"*GeForce*\" would match)"},
                 {"GeForce*", NULL},
                 {"Voodoo", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"devices\": [{\"match\": {\"name\": \"%s\"}}]}",
                 cases[i].name);
        tutti_profile *profile = NULL;
        assert_int_equal(tutti_profile_parse("t.json", text, strlen(text), &profile), TUTTI_OK);
        tutti_selection *chosen = NULL;
        int32_t count = 0;
        assert_int_equal(tutti_profile_apply(profile, &inventory, &chosen, &count, NULL),
                         TUTTI_NO_DEVICE);
        const char *wanted = cases[i].hint != NULL ? cases[i].hint : "would match";
        if ((strstr(tutti_error_message(), wanted) != NULL) != (cases[i].hint != NULL))
            fail_msg("%s: \"%s\"", cases[i].name, tutti_error_message());
        tutti_profile_free(profile);
    }
}

static void expect_reasons(const char *text, const char *const wanted[]) {
    tutti_profile *profile = NULL;
    assert_int_equal(tutti_profile_parse("t.json", text, strlen(text), &profile), TUTTI_OK);
    tutti_selection *chosen = NULL;
    int32_t count = 0;
    char **reasons = NULL;
    assert_int_equal(tutti_profile_apply(profile, &inventory, &chosen, &count, &reasons), TUTTI_OK);
    for (int32_t i = 0; i < N_MACHINE; i++) {
        if (wanted[i] == NULL)
            assert_null(reasons[i]);
        else
            assert_string_equal(reasons[i], wanted[i]);
    }
    tutti_free(reasons);
    tutti_free(chosen);
    tutti_profile_free(profile);
}

static void test_reasons(void **state) {
    (void)state;
    static const char *const one[] = {
        "its type is CPU, wanted GPU",
        "it is number 0 of those that match, wanted 1",
        NULL,
        "its platform is \"rusticl\", wanted \"N*\"",
        "its platform is \"AMD Accelerated Parallel Processing\", wanted \"N*\"",
        "its platform is \"Intel(R) OpenCL Graphics\", wanted \"N*\"",
        "its type is ACCELERATOR, wanted GPU",
        "its type is CUSTOM, wanted GPU",
        "it has no compiler",
        "its platform is \"rusticl\", wanted \"N*\"",
        "it is not available",
    };
    expect_reasons("{\"devices\": [{\"match\": {\"type\": \"gpu\", \"platform\": \"N*\", "
                   "\"index\": 1}}]}",
                   one);
    /* Of several entries, the one that the device came nearest to has the word. */
    static const char *const several[] = {
        "it has 17179869184 bytes of memory, wanted 34359738368",
        NULL,
        NULL,
        "the same hardware as gfx1100 of platform AMD Accelerated Parallel Processing",
        NULL,
        "it is excluded",
        "its type is ACCELERATOR, wanted GPU",
        "its type is CUSTOM, wanted GPU",
        "it has no compiler",
        "the same hardware as NVIDIA GeForce RTX 4090 of platform NVIDIA CUDA",
        "it is not available",
    };
    expect_reasons("{\"devices\": [{\"match\": {\"type\": \"gpu\"}, \"exclude\": [{\"vendor\": "
                   "\"intel\"}]}, {\"match\": {\"type\": \"cpu\", \"min_memory\": \"32GiB\"}, "
                   "\"optional\": true}]}",
                   several);
}

static void test_nothing_there(void **state) {
    (void)state;
    const tutti_inventory empty = {.searched = "/etc/OpenCL/vendors"};
    tutti_profile *profile = select_one("auto");
    tutti_selection *chosen = NULL;
    int32_t count = 0;
    char **reasons = NULL;
    assert_int_equal(tutti_profile_apply(profile, &empty, &chosen, &count, &reasons),
                     TUTTI_NO_DEVICE);
    assert_string_equal(tutti_error_message(),
                        "profile \"auto\" matches no usable device: no OpenCL device was found "
                        "(searched: /etc/OpenCL/vendors)");
    tutti_free(reasons);
    tutti_profile_free(profile);
}

static void test_partition(void **state) {
    (void)state;
    const tutti_device_info device = {.name = "d", .compute_units = 7, .max_sub_devices = 7};
    const uint32_t counts[] = {3, 4};
    const struct {
        tutti_profile_device entry;
        tutti_status status;
        int32_t parts;
        uint32_t first, last;
    } cases[] = {
        {{.share = 1}, TUTTI_OK, 0, 0, 0},
        {{.partitions = counts, .n_partitions = 2}, TUTTI_OK, 2, 3, 4},
        {{.partitions = counts, .n_partitions = 1}, TUTTI_OK, 1, 3, 3},
        {{.equal_parts = 2}, TUTTI_OK, 2, 3, 3},
        {{.equal_parts = 7}, TUTTI_OK, 7, 1, 1},
        {{.equal_parts = 8}, TUTTI_UNSUPPORTED, 0, 0, 0},
        {{.use_compute_units = 5}, TUTTI_OK, 1, 5, 5},
        {{.use_compute_units = 7}, TUTTI_OK, 0, 0, 0},
        {{.use_compute_units = 8}, TUTTI_UNSUPPORTED, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t *units = (uint32_t *)(uintptr_t)4;
        int32_t parts = 99;
        assert_int_equal(tutti_profile_partition(&cases[i].entry, &device, &units, &parts),
                         cases[i].status);
        assert_int_equal(parts, cases[i].parts);
        assert_true((units != NULL) == (parts > 0));
        if (parts > 0) {
            assert_int_equal(units[0], cases[i].first);
            assert_int_equal(units[parts - 1], cases[i].last);
        }
        tutti_free(units);
    }
}

int main(void) {
    tutti_log_set(NULL, NULL);
    setenv("TUTTI_LOG", "off", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_of_a_name_gets_a_hint),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_bad_expressions),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
