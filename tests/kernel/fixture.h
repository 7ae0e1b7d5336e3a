/* One OpenCL device opened by hand, so that these tests need nothing above the kernels; and small
 * directories of kernels. Included by one file per test program. */
#ifndef TESTS_KERNEL_FIXTURE_H
#define TESTS_KERNEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/status.h"
#include "device/environment.h"
#include "device/quirks.h"
#include "kernel/library.h"
#include "seed.h"

#define OK(expr)                                                                                   \
    do {                                                                                           \
        tutti_status ok_status = (expr);                                                           \
        if (ok_status != TUTTI_OK)                                                                 \
            fail_msg("%s: %s: %s", #expr, tutti_status_name(ok_status), tutti_error_message());    \
    } while (0)

#define FAILS(expected, part, expr)                                                                \
    do {                                                                                           \
        tutti_status fails_status = (expr);                                                        \
        if (fails_status != (expected) || strstr(tutti_error_message(), part) == NULL)             \
            fail_msg("%s: %s: \"%s\", expected %s with \"%s\"", #expr,                             \
                     tutti_status_name(fails_status), tutti_error_message(),                       \
                     tutti_status_name(expected), part);                                           \
    } while (0)

static char fixture_text[2][5][256]; /* of up to two devices */
static int fixture_devices;

static inline const char *fixture_string(const tutti_device *device, int slot, cl_uint what,
                                         bool of_device) {
    char *text = fixture_text[fixture_devices % 2][slot];
    if (of_device)
        clGetDeviceInfo(device->id, what, 256, text, NULL);
    else
        clGetPlatformInfo(device->platform, what, 256, text, NULL);
    return text;
}

/* Opens the first device of the platform whose name holds `platform`; false when there is none. */
static inline bool fixture_open(const char *platform, tutti_device *out) {
    cl_platform_id platforms[8];
    cl_uint count = 0;
    tutti_environment_prepare();
    if (clGetPlatformIDs(8, platforms, &count) != CL_SUCCESS)
        return false;
    for (cl_uint i = 0; i < count && i < 8; i++) {
        tutti_device d = {.platform = platforms[i], .build_options = "", .share = 1.0};
        if (strstr(fixture_string(&d, 0, CL_PLATFORM_NAME, false), platform) == NULL)
            continue;
        cl_int code = clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &d.id, NULL);
        assert_int_equal(code, CL_SUCCESS);
        d.info.id = "cpu.0";
        d.info.type = TUTTI_DEVICE_CPU;
        d.info.platform_name = fixture_text[fixture_devices % 2][0];
        d.info.platform_version = fixture_string(&d, 1, CL_PLATFORM_VERSION, false);
        d.info.name = fixture_string(&d, 2, CL_DEVICE_NAME, true);
        d.info.driver_version = fixture_string(&d, 3, CL_DRIVER_VERSION, true);
        d.info.vendor = fixture_string(&d, 4, CL_DEVICE_VENDOR, true);
        d.info.unusable = "";
        d.quirks = tutti_quirks_find(&d.info);
        size_t group = 0, items[3] = {0};
        clGetDeviceInfo(d.id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
        clGetDeviceInfo(d.id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items, NULL);
        cl_ulong alloc = 0;
        clGetDeviceInfo(d.id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof alloc, &alloc, NULL);
        d.info.max_alloc_bytes = alloc;
        d.info.max_work_group = (uint32_t)group;
        for (int k = 0; k < 3; k++)
            d.info.max_work_item[k] = (uint32_t)items[k];
        d.context = clCreateContext(NULL, 1, &d.id, NULL, NULL, &code);
        assert_int_equal(code, CL_SUCCESS);
        /* The newer call is beyond the end of an OpenCL 1.2 driver's table of functions. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        d.queue = clCreateCommandQueue(d.context, d.id, 0, &code);
#pragma GCC diagnostic pop
        assert_int_equal(code, CL_SUCCESS);
        fixture_devices++;
        *out = d;
        return true;
    }
    return false;
}

static inline void fixture_close(tutti_device *device) {
    clReleaseCommandQueue(device->queue);
    clReleaseContext(device->context);
}

/* A fresh private directory below the build's. */
static inline const char *fixture_dir(char path[512]) {
    const char *base = getenv("TUTTI_BUILD_DIR");
    snprintf(path, 512, "%s/kernel-test-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void fixture_remove(const char *path) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static inline void fixture_put(const char *directory, const char *name, const char *text) {
    char path[768];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

/* A cache and a driver's cache of this test's own, so that what earlier runs left is not seen. */
static inline void fixture_environment(char directory[512]) {
    fixture_dir(directory);
    char path[600];
    snprintf(path, sizeof path, "%s/cache", directory);
    setenv("TUTTI_CACHE_DIR", path, 1);
    snprintf(path, sizeof path, "%s/pocl", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    setenv("POCL_CACHE_DIR", path, 1);
    unsetenv("TUTTI_KERNEL_PATH");
}

#define FIXTURE_OCLGRIND "/usr/lib/oclgrind/liboclgrind-rt-icd.so"

/* Puts oclgrind, where it is installed, beside the drivers of the machine. Before the first OpenCL
 * call. */
static inline void fixture_add_oclgrind(const char *directory) {
    if (access(FIXTURE_OCLGRIND, R_OK) != 0)
        return;
    char command[2600], icds[600];
    snprintf(icds, sizeof icds, "%s/icds", directory);
    snprintf(command, sizeof command,
             "mkdir '%s' && cp \"${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}\"/*.icd '%s' && echo "
             "%s > '%s/oclgrind.icd'",
             icds, icds, FIXTURE_OCLGRIND, icds);
    if (system(command) == 0)
        setenv("OCL_ICD_VENDORS", icds, 1);
}

static inline cl_mem fixture_buffer(const tutti_device *device, const void *data, size_t size) {
    cl_int code;
    cl_mem memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE, size, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(
        clEnqueueWriteBuffer(device->queue, memory, CL_TRUE, 0, size, data, 0, NULL, NULL),
        CL_SUCCESS);
    return memory;
}

static inline void fixture_read(const tutti_device *device, cl_mem memory, void *data,
                                size_t size) {
    assert_int_equal(
        clEnqueueReadBuffer(device->queue, memory, CL_TRUE, 0, size, data, 0, NULL, NULL),
        CL_SUCCESS);
}

/* Resolves tensor i to ((cl_mem *)user)[i]. */
static inline tutti_status fixture_resolve(void *user, const tutti_arg *arg, cl_mem *out) {
    *out = ((cl_mem *)user)[arg->u.tensor.id];
    return TUTTI_OK;
}

#endif
