/* A walk on its way through a pipe: it comes back as it was, and damaged bytes, which a driver that
 * spoils memory may leave, are refused or harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "device/walk.h"
#include "seed.h"

static uint64_t seed;

static void make(tutti_strbuf *out) {
    tutti_walk_platform platforms[2] = {{.info = {.name = "P",
                                                  .vendor = "",
                                                  .version = "OpenCL 3.0",
                                                  .profile = "FULL_PROFILE",
                                                  .extensions = "",
                                                  .icd = "",
                                                  .problem = "",
                                                  .n_devices = 2},
                                         .library = "/lib/p.so",
                                         .id = (cl_platform_id)(uintptr_t)1}};
    platforms[1] = platforms[0];
    platforms[1].info.first_device = 2;
    platforms[1].info.n_devices = 0;
    tutti_device_info devices[2] = {{.id = "",
                                     .type = TUTTI_DEVICE_CPU,
                                     .name = "one",
                                     .vendor = "v",
                                     .platform_name = "P",
                                     .platform_version = "OpenCL 3.0",
                                     .driver_version = "1",
                                     .opencl_version = "OpenCL 3.0",
                                     .opencl_c_version = "OpenCL C 1.2",
                                     .profile = "FULL_PROFILE",
                                     .extensions = "cl_khr_fp64",
                                     .uuid = "",
                                     .pci = "",
                                     .duplicate_of = -1,
                                     .unusable = ""}};
    devices[1] = devices[0];
    devices[1].type = TUTTI_DEVICE_CUSTOM;
    devices[1].name = "two";
    devices[1].index = 1;
    const tutti_walk walk = {platforms, 2, devices, 2};
    tutti_walk_put(out, &walk);
    assert_false(out->failed);
}

static void it_comes_back(void **state) {
    (void)state;
    tutti_strbuf bytes = {0};
    tutti_arena arena = {0};
    tutti_walk walk;
    make(&bytes);
    assert_true(tutti_walk_get(&arena, bytes.text, bytes.length, &walk));
    assert_int_equal(walk.n_platforms, 2);
    assert_int_equal(walk.n_devices, 2);
    assert_string_equal(walk.platforms[0].library, "/lib/p.so");
    assert_null(walk.platforms[0].id);
    assert_string_equal(walk.devices[1].name, "two");
    assert_int_equal(walk.devices[1].type, TUTTI_DEVICE_CUSTOM);
    for (size_t size = 0; size < bytes.length; size++)
        assert_false(tutti_walk_get(&arena, bytes.text, size, &walk));
    tutti_arena_free(&arena);
    tutti_strbuf_free(&bytes);
}

static void damage_is_refused_or_harmless(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    tutti_strbuf bytes = {0};
    make(&bytes);
    char *spoilt = malloc(bytes.length);
    assert_non_null(spoilt);
    int accepted = 0, refused = 0;
    for (int i = 0; i < 20000; i++) {
        tutti_arena arena = {0};
        tutti_walk walk;
        memcpy(spoilt, bytes.text, bytes.length);
        for (uint64_t k = tutti_rng_below(&rng, 3); k < 3; k++)
            spoilt[tutti_rng_below(&rng, bytes.length)] = (char)tutti_rng_u32(&rng);
        const bool good = tutti_walk_get(&arena, spoilt, bytes.length, &walk);
        accepted += good;
        refused += !good;
        int32_t owned = 0;
        for (int32_t p = 0; good && p < walk.n_platforms; p++) {
            const tutti_platform_info *info = &walk.platforms[p].info;
            assert_int_equal(info->first_device, owned);
            assert_true(info->n_devices >= 0);
            assert_true(strlen(info->name) < bytes.length);
            owned += info->n_devices;
        }
        assert_true(!good || owned == walk.n_devices);
        for (int32_t d = 0; good && d < walk.n_devices; d++) {
            /* Ids are counted per type: the table has room for these four. */
            const uint32_t type = walk.devices[d].type;
            if (type != TUTTI_DEVICE_CPU && type != TUTTI_DEVICE_GPU &&
                type != TUTTI_DEVICE_ACCELERATOR && type != TUTTI_DEVICE_CUSTOM)
                fail_msg("type %u", type);
            assert_int_equal(walk.devices[d].duplicate_of, -1);
            assert_true(walk.devices[d].index >= 0);
        }
        tutti_arena_free(&arena);
    }
    assert_true(accepted > 100 && refused > 100);
    free(spoilt);
    tutti_strbuf_free(&bytes);
}

int main(void) {
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back),
        cmocka_unit_test(damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests_name("device.walk", tests, NULL, NULL);
}
