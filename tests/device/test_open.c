/* Opening devices, sub-devices, buffers and copies on every usable device of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "device/open.h"
#include "seed.h"

static tutti_inventory *inventory;
static uint64_t seed;

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != TUTTI_OK)                                                                    \
            fail_msg("%s: %s", #call, tutti_error_message());                                      \
    } while (0)

static int setup(void **state) {
    (void)state;
    seed = test_seed();
    return tutti_discover(NULL, &inventory) == TUTTI_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    tutti_inventory_free(inventory);
    return 0;
}

static int32_t first_usable(void) {
    for (int32_t i = 0; i < inventory->n_devices; i++)
        if (inventory->devices[i].unusable[0] == '\0')
            return i;
    fail_msg("no usable device; looked in %s", inventory->searched);
    return -1;
}

static void copies_of_all_sizes_come_back(void **state) {
    (void)state;
    static const tutti_profile profile = {.source = "test"};
    const tutti_profile_device entry = {.share = TUTTI_SHARE_AUTO, .build_options = ""};
    const tutti_selection selection = {first_usable(), &entry};
    tutti_device *devices;
    int32_t count;
    OK(tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count));
    assert_int_equal(count, 1);
    const tutti_device *device = &devices[0];
    assert_string_equal(device->info.id, inventory->devices[selection.device].id);
    assert_true(device->memory_limit_bytes == device->info.memory_bytes);
    assert_string_equal(getenv("POCL_AFFINITY"), "1");

    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    static const size_t sizes[] = {4, 4096, 65536, 1000004, 4 << 20};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const size_t size = sizes[s];
        unsigned char *in = malloc(size), *back = malloc(size);
        for (size_t i = 0; i < size; i++)
            in[i] = (unsigned char)tutti_rng_u32(&rng);
        memset(back, 0xAB, size);
        cl_mem buffer;
        OK(tutti_buffer_make(device, size, &buffer));
        OK(tutti_buffer_write(device, buffer, 0, in, size));
        OK(tutti_buffer_read(device, buffer, 0, back, size));
        assert_memory_equal(in, back, size);
        /* A part of it: the rest stays. */
        const size_t half = size / 8 * 4;
        memset(in + half, 0x5C, size - half);
        OK(tutti_buffer_write(device, buffer, half, in + half, size - half));
        OK(tutti_buffer_read(device, buffer, 0, back, size));
        assert_memory_equal(in, back, size);
        OK(tutti_buffer_fill(device, buffer, 0, size, 0x7FC00001u));
        OK(tutti_buffer_read(device, buffer, 0, back, size));
        for (size_t i = 0; i < size / 4; i++) {
            uint32_t word;
            memcpy(&word, back + 4 * i, 4);
            assert_int_equal(word, 0x7FC00001u);
        }
        clReleaseMemObject(buffer);
        free(in);
        free(back);
    }

    const size_t align = device->info.base_align_bytes;
    uint32_t words[64], part[4] = {0};
    for (uint32_t i = 0; i < 64; i++)
        words[i] = tutti_rng_u32(&rng);
    cl_mem buffer, view;
    OK(tutti_buffer_make(device, 2 * align + sizeof words, &buffer));
    OK(tutti_buffer_view(device, buffer, align, sizeof words, &view));
    OK(tutti_buffer_write(device, view, 0, words, sizeof words));
    OK(tutti_buffer_read(device, buffer, align + 16, part, sizeof part));
    assert_memory_equal(part, words + 4, sizeof part);
    clReleaseMemObject(view);
    clReleaseMemObject(buffer);

    cl_mem none;
    assert_int_equal(tutti_buffer_make(device, 0, &none), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_buffer_make(device, (size_t)device->info.max_alloc_bytes + 4, &none),
                     TUTTI_OUT_OF_MEMORY);
    assert_non_null(strstr(tutti_error_message(), "largest allocation"));
    assert_null(none);
    tutti_devices_close(devices, count);
}

static void a_cpu_splits_into_sub_devices(void **state) {
    (void)state;
    const int32_t cpu = first_usable();
    const tutti_device_info *info = &inventory->devices[cpu];
    if (info->compute_units < 2 || info->max_sub_devices < 2)
        skip();
    static const tutti_profile profile = {.source = "test"};
    const uint32_t ones[] = {1, 1}, too_many[] = {info->compute_units, 1}, zero[] = {0, 1};
    tutti_profile_device entry = {.share = 0.5,
                                  .build_options = "-cl-fast-relaxed-math",
                                  .partitions = ones,
                                  .n_partitions = 2,
                                  .memory_limit_bytes = 1 << 20,
                                  .queue_profiling = true};
    const tutti_selection selection = {cpu, &entry};
    tutti_device *devices;
    int32_t count;
    OK(tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count));
    assert_int_equal(count, 2);
    for (int32_t i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s/%d", info->id, i);
        assert_string_equal(devices[i].info.id, id);
        assert_int_equal(devices[i].info.compute_units, 1);
        assert_true(devices[i].is_sub_device);
        assert_true(devices[i].memory_limit_bytes == 1 << 20);
        assert_true(devices[i].share == 0.5);
        assert_string_equal(devices[i].build_options, "-cl-fast-relaxed-math");
        cl_command_queue_properties properties = 0;
        assert_int_equal(clGetCommandQueueInfo(devices[i].queue, CL_QUEUE_PROPERTIES,
                                               sizeof properties, &properties, NULL),
                         CL_SUCCESS);
        assert_true(properties == CL_QUEUE_PROFILING_ENABLE);
        cl_mem buffer;
        uint32_t word = 0, wrote = (uint32_t)seed;
        OK(tutti_buffer_make(&devices[i], 4, &buffer));
        OK(tutti_buffer_write(&devices[i], buffer, 0, &wrote, 4));
        OK(tutti_buffer_read(&devices[i], buffer, 0, &word, 4));
        assert_int_equal(word, wrote);
        clReleaseMemObject(buffer);
    }
    tutti_devices_close(devices, count);

    entry.partitions = too_many;
    assert_int_equal(
        tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count),
        TUTTI_UNSUPPORTED);
    assert_null(devices);
    entry.partitions = zero;
    assert_int_equal(
        tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count),
        TUTTI_INVALID_ARGUMENT);
    /* One device fails, the other is left. */
    const tutti_profile_device plain = {.share = TUTTI_SHARE_AUTO};
    const tutti_selection two[] = {{cpu, &entry}, {cpu, &plain}};
    const tutti_profile forgiving = {.on_failure = TUTTI_ON_FAILURE_CONTINUE};
    OK(tutti_devices_open_selected(&forgiving, inventory, two, 2, &devices, &count));
    assert_int_equal(count, 1);
    assert_string_equal(devices[0].build_options, "");
    tutti_devices_close(devices, count);
    assert_int_equal(tutti_devices_open_selected(&forgiving, inventory, two, 1, &devices, &count),
                     TUTTI_NO_DEVICE);
}

static void part_of_a_cpu_is_one_sub_device(void **state) {
    (void)state;
    const int32_t cpu = first_usable();
    if (inventory->devices[cpu].compute_units < 2 || inventory->devices[cpu].max_sub_devices < 2)
        skip();
    static const tutti_profile profile = {.source = "test"};
    const uint32_t one[] = {1}, all[] = {inventory->devices[cpu].compute_units};
    tutti_profile_device entry = {.partitions = one, .n_partitions = 1};
    const tutti_selection selection = {cpu, &entry};
    tutti_device *devices;
    int32_t count;
    OK(tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count));
    assert_int_equal(count, 1);
    assert_int_equal(devices[0].info.compute_units, 1);
    tutti_devices_close(devices, count);
    entry.partitions = all;
    OK(tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count));
    assert_false(devices[0].is_sub_device);
    tutti_devices_close(devices, count);
    entry = (tutti_profile_device){.equal_parts = 2};
    OK(tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count));
    assert_int_equal(count, 2);
    assert_int_equal(devices[0].info.compute_units, devices[1].info.compute_units);
    tutti_devices_close(devices, count);
    entry = (tutti_profile_device){.use_compute_units = 1};
    OK(tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count));
    assert_int_equal(count, 1);
    assert_true(devices[0].is_sub_device);
    tutti_devices_close(devices, count);
    tutti_devices_close(NULL, 0);
}

static void discovery_again_shows_the_same(void **state) {
    (void)state;
    tutti_inventory *again;
    OK(tutti_discover(NULL, &again));
    assert_int_equal(again->n_devices, inventory->n_devices);
    for (int32_t i = 0; i < again->n_devices; i++) {
        assert_string_equal(again->devices[i].name, inventory->devices[i].name);
        assert_string_equal(again->devices[i].id, inventory->devices[i].id);
        assert_string_equal(again->devices[i].unusable, inventory->devices[i].unusable);
        assert_string_equal(again->platforms[again->devices[i].platform].icd,
                            inventory->platforms[inventory->devices[i].platform].icd);
    }
    tutti_inventory_free(again);
    tutti_inventory_free(NULL);
}

static void errors_have_names_and_statuses(void **state) {
    (void)state;
    const tutti_device device = {.info = {.id = "gpu.0", .name = "Toy"}};
    assert_string_equal(tutti_cl_error_name(CL_OUT_OF_RESOURCES), "CL_OUT_OF_RESOURCES");
    assert_string_equal(tutti_cl_error_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
    assert_string_equal(tutti_cl_error_name(-4321), "CL error -4321");
    assert_int_equal(tutti_cl_status(CL_SUCCESS), TUTTI_OK);
    assert_int_equal(tutti_cl_status(CL_MEM_OBJECT_ALLOCATION_FAILURE), TUTTI_OUT_OF_MEMORY);
    assert_int_equal(tutti_cl_status(CL_OUT_OF_HOST_MEMORY), TUTTI_OUT_OF_MEMORY);
    assert_int_equal(tutti_cl_status(CL_OUT_OF_RESOURCES), TUTTI_DEVICE_LOST);
    assert_int_equal(tutti_cl_status(-9999), TUTTI_DEVICE_LOST);
    assert_int_equal(tutti_cl_status(CL_BUILD_PROGRAM_FAILURE), TUTTI_BUILD_FAILED);
    assert_int_equal(tutti_cl_status(CL_INVALID_VALUE), TUTTI_OPENCL);
    assert_int_equal(tutti_cl_fail(-5, "clFinish", &device), TUTTI_DEVICE_LOST);
    assert_string_equal(tutti_error_message(), "clFinish: CL_OUT_OF_RESOURCES (-5) on gpu.0 (Toy)");
    assert_int_equal(tutti_cl_fail(-5, "clCreateBuffer", NULL), TUTTI_OUT_OF_MEMORY);
    assert_string_equal(tutti_error_message(), "clCreateBuffer: CL_OUT_OF_RESOURCES (-5)");
    assert_int_equal(tutti_cl_fail(-4321, "clFlush", NULL), TUTTI_OPENCL);
    assert_string_equal(tutti_error_message(), "clFlush: CL error -4321");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_names_and_statuses),
        cmocka_unit_test(copies_of_all_sizes_come_back),
        cmocka_unit_test(a_cpu_splits_into_sub_devices),
        cmocka_unit_test(part_of_a_cpu_is_one_sub_device),
        cmocka_unit_test(discovery_again_shows_the_same),
    };
    return cmocka_run_group_tests_name("device.open", tests, setup, teardown);
}
