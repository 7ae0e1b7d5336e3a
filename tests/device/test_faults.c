/* Errors of the driver, made by tests/layers/layer_fault.c: each becomes the right status with the
 * call, the error's name and the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/open.h"

static tutti_inventory *inventory;
static tutti_device *devices;

static void assert_fails(tutti_status got, tutti_status wanted, const char *part) {
    if (got != wanted)
        fail_msg("%s: %s, expected %s", tutti_status_name(got), tutti_error_message(),
                 tutti_status_name(wanted));
    if (strstr(tutti_error_message(), part) == NULL ||
        strstr(tutti_error_message(), devices[0].info.id) == NULL)
        fail_msg("\"%s\" does not name %s and the device", tutti_error_message(), part);
}

/* The faults of main, in order. */
static void each_error_has_its_status(void **state) {
    (void)state;
    cl_mem buffer, none;
    uint32_t word = 1;
    assert_int_equal(tutti_buffer_make(devices, 4, &buffer), TUTTI_OK);
    assert_fails(tutti_buffer_make(devices, 4096, &none), TUTTI_OUT_OF_MEMORY,
                 "a buffer of 4096 bytes: clCreateBuffer: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)");
    assert_null(none);
    assert_fails(tutti_buffer_make(devices, 4096, &none), TUTTI_OUT_OF_MEMORY,
                 "clCreateBuffer: CL_OUT_OF_RESOURCES (-5)");
    /* Lazy allocation fails at the first use: that is memory, too. */
    assert_fails(tutti_buffer_make(devices, 4096, &none), TUTTI_OUT_OF_MEMORY,
                 "touching a new buffer of 4096 bytes: clEnqueueFillBuffer: CL_OUT_OF_RESOURCES");
    assert_null(none);
    assert_fails(tutti_buffer_make(devices, 4096, &none), TUTTI_OUT_OF_MEMORY,
                 "clFinish: CL_OUT_OF_RESOURCES");
    assert_fails(tutti_buffer_write(devices, buffer, 0, &word, 4), TUTTI_DEVICE_LOST,
                 "clEnqueueWriteBuffer: CL_OUT_OF_RESOURCES (-5)");
    assert_fails(tutti_buffer_read(devices, buffer, 0, &word, 4), TUTTI_DEVICE_LOST,
                 "clEnqueueReadBuffer: CL error -9999");
    assert_fails(tutti_buffer_read(devices, buffer, 0, &word, 4), TUTTI_OPENCL, "CL_INVALID_VALUE");
    assert_int_equal(tutti_buffer_write(devices, buffer, 0, &word, 4), TUTTI_OK);
    assert_int_equal(tutti_buffer_read(devices, buffer, 0, &word, 4), TUTTI_OK);
    assert_int_equal(word, 1);
    assert_int_equal(tutti_buffer_view(devices, buffer, 4, 4, &none) == TUTTI_OK, 0);
    assert_int_equal(tutti_buffer_read(devices, buffer, 0, &word, 0), TUTTI_OK);
    clReleaseMemObject(buffer);
}

int main(void) {
    const char *build = getenv("TUTTI_BUILD_DIR");
    if (build == NULL)
        return 1;
    char layer[4096];
    snprintf(layer, sizeof layer, "%s/tests/layer_fault.so", build);
    setenv("LAYER_FAULT",
           "buffer=-4@2;buffer=-5@3;fill=-5@2;finish=-5@2;write=-5@1;read=-9999@1;read=-30@2", 1);
    if (tutti_discover(NULL, &inventory) != TUTTI_OK)
        return 1;
    setenv("OPENCL_LAYERS", layer, 1);
    static const tutti_profile profile = {.source = "test"};
    static const tutti_profile_device entry = {.share = TUTTI_SHARE_AUTO};
    const tutti_selection selection = {0, &entry};
    int32_t count;
    if (tutti_devices_open_selected(&profile, inventory, &selection, 1, &devices, &count) !=
        TUTTI_OK) {
        fprintf(stderr, "%s\n", tutti_error_message());
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_error_has_its_status)};
    const int failed = cmocka_run_group_tests_name("device.faults", tests, NULL, NULL);
    tutti_devices_close(devices, count);
    tutti_inventory_free(inventory);
    return failed;
}
