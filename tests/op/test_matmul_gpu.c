/* Which GPU kernels a matrix product is offered, by shape and device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "op/matmul.h"

static const tutti_matmul_attr nn = {0, 0};

static tutti_device_info gpu(uint32_t units) {
    return (tutti_device_info){.type = TUTTI_DEVICE_GPU,
                               .compute_units = units,
                               .max_work_group = 1024,
                               .local_memory_bytes = 48 << 10,
                               .extensions = ""};
}

/* The names in order, with a blank behind each, and the widest tolerance. */
static const char *offered_rounding(const tutti_device_info *device, tutti_matmul_size size,
                                    tutti_matmul_rounding rounding, float *out_tolerance) {
    static char text[256];
    tutti_matmul_gpu out[TUTTI_MATMUL_GPU_MAX];
    const int32_t n = tutti_matmul_gpu_fit(device, &size, &nn, rounding, out);
    *out_tolerance = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < n; i++) {
        /* The ranges that the kernels expect. */
        assert_int_equal(out[i].per_item[0] * out[i].local[0], out[i].columns);
        strcat(text, out[i].name);
        strcat(text, " ");
        /* Only what rounds differs from what multiplies f32. */
        assert_int_equal(strstr(out[i].options, "-DMMA=") != NULL,
                         strncmp(out[i].name, "tf32_", 5) == 0 ||
                             strncmp(out[i].name, "bf16_", 5) == 0);
        *out_tolerance = out[i].tolerance > *out_tolerance ? out[i].tolerance : *out_tolerance;
    }
    return text;
}

static const char *offered(const tutti_device_info *device, tutti_matmul_size size) {
    float tolerance;
    const char *text = offered_rounding(device, size, (tutti_matmul_rounding){false}, &tolerance);
    assert_true(tolerance == 0);
    return text;
}

static bool starts(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static void tiles_suit_the_shape(void **state) {
    (void)state;
    const tutti_device_info device = gpu(100);
    assert_string_equal(offered(&device, (tutti_matmul_size){1, 4096, 4096, 1024, true}),
                        "tile128 tile64 ");
    /* Few outputs: small tiles reach more compute units. */
    assert_true(starts(offered(&device, (tutti_matmul_size){1, 64, 64, 64, true}), "tile32 "));
    assert_true(starts(offered(&device, (tutti_matmul_size){200, 32, 32, 32, false}), "tile32 "));
    /* A weight gradient: and K in parts, where results can be added up. */
    assert_non_null(
        strstr(offered(&device, (tutti_matmul_size){1, 128, 128, 16384, true}), "_split"));
    assert_null(strstr(offered(&device, (tutti_matmul_size){1, 128, 128, 16384, false}), "_split"));
}

static void small_devices_get_what_fits(void **state) {
    (void)state;
    tutti_device_info device = gpu(4);
    device.max_work_group = 64;
    assert_string_equal(offered(&device, (tutti_matmul_size){1, 512, 512, 64, false}), "tile32 ");
    device.local_memory_bytes = 4096;
    assert_string_equal(offered(&device, (tutti_matmul_size){1, 512, 512, 64, false}), "");
}

static void units_are_used_where_they_are(void **state) {
    (void)state;
    const tutti_matmul_size size = {1, 4096, 4096, 1024, true};
    tutti_device_info device = gpu(100);
    static const struct {
        uint32_t capability;
        bool is_fast;
    } chips[] = {{75, false}, {80, true},  {86, false}, {89, false},
                 {90, true},  {100, true}, {103, true}, {120, false}};
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        device.compute_capability = chips[i].capability;
        const char *text = offered(&device, size);
        /* Never first: that one is taken unchecked where nothing is measured. */
        assert_true(starts(text, "tile128 "));
        assert_int_equal(strstr(text, "tf32x3_128 ") != NULL, chips[i].is_fast);
    }
    device.compute_capability = 0;
    device.sub_group_size = 16;
    assert_null(strstr(offered(&device, size), "sub_group"));
    device.extensions = "cl_khr_subgroups cl_intel_subgroups";
    assert_non_null(strstr(offered(&device, size), "sub_group16 "));
    device.sub_group_size = 8;
    assert_non_null(strstr(offered(&device, size), "sub_group8 "));
    device.sub_group_size = 32;
    assert_null(strstr(offered(&device, size), "sub_group"));
}

static void rounding_is_offered_where_it_is_allowed(void **state) {
    (void)state;
    const tutti_matmul_size size = {1, 4096, 4096, 1024, true};
    const tutti_matmul_rounding high = {.tf32 = true}, medium = {true, true, 1.6e-2F};
    tutti_device_info device = gpu(100);
    float tolerance;
    assert_null(strstr(offered_rounding(&device, size, medium, &tolerance), "16"));
    device.compute_capability = 80;
    const char *text = offered_rounding(&device, size, high, &tolerance);
    assert_true(starts(text, "tile128 "));
    assert_non_null(strstr(text, " tf32x3_128 "));
    assert_non_null(strstr(text, " tf32_128 "));
    assert_null(strstr(text, "bf16"));
    assert_true(tolerance == TUTTI_MATMUL_TF32_TOLERANCE);
    text = offered_rounding(&device, size, medium, &tolerance);
    /* tf32 as well, which may be near enough where bf16 is not. */
    assert_non_null(strstr(text, " tf32x3_128 "));
    assert_non_null(strstr(text, " tf32_128 "));
    assert_non_null(strstr(text, " bf16_128 "));
    assert_true(tolerance == 1.6e-2F);
    /* Operands that are bf16 already: a product as exact as others. */
    text = offered_rounding(&device, size, (tutti_matmul_rounding){.bf16 = true}, &tolerance);
    assert_non_null(strstr(text, " bf16_128 "));
    assert_true(tolerance == 0);
    /* Units whose tf32 is no faster than f32. */
    device.compute_capability = 86;
    assert_null(strstr(offered_rounding(&device, size, high, &tolerance), "tf32"));
    assert_non_null(strstr(offered_rounding(&device, size, medium, &tolerance), " bf16_128 "));
    device.compute_capability = 75;
    assert_null(strstr(offered_rounding(&device, size, medium, &tolerance), "bf16"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rounding_is_offered_where_it_is_allowed),
                                       cmocka_unit_test(tiles_suit_the_shape),
                                       cmocka_unit_test(small_devices_get_what_fits),
                                       cmocka_unit_test(units_are_used_where_they_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
