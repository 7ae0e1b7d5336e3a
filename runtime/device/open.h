/* An open device: context, in-order queue, and what was learnt of it. */
#ifndef TUTTI_DEVICE_OPEN_H
#define TUTTI_DEVICE_OPEN_H

#include <CL/cl.h>

#include "tutti/device.h"

/* What a driver is known to need, from the table in device/quirks.c, matched by platform name and
 * version. */
enum {
    TUTTI_QUIRK_DRIVER_CACHE = 1 << 0, /* keeps compiled kernels on disk itself: serve from there */
    TUTTI_QUIRK_BINARY_SLOW =
        1 << 1, /* asking for binaries compiles again: never do it on a live path */
    TUTTI_QUIRK_INTERPRETER = 1 << 2, /* thousands of times slower than hardware: measure little */
    TUTTI_QUIRK_NO_ROUTINES = 1 << 3  /* kernels of libraries (CLBlast) break it: refuse them */
};

typedef struct tutti_device {
    tutti_device_info info; /* strings owned by the runtime's inventory or arena */
    uint32_t quirks;
    cl_platform_id platform;
    cl_device_id id; /* a sub-device when partitioned */
    bool is_sub_device;
    cl_context context;
    cl_command_queue queue;
    uint64_t memory_limit_bytes; /* from the profile, else info.memory_bytes, of which a sub-device
                                    gets an equal part */
    bool memory_limited;         /* it is the profile's */
    double share;                /* from the profile */
    const char *build_options;   /* from the profile */
} tutti_device;

/* Opens the selected devices of the profile, partitions included, into an array in the profile's
 * order. The inventory is one that tutti_discover made; it and the profile must outlive the
 * devices. The first call loads the drivers into this process. A device that does not open is an
 * error, or a warning when profile->on_failure says to continue. */
TUTTI_MUST_USE tutti_status tutti_devices_open(const tutti_profile *profile,
                                               const tutti_inventory *inventory, tutti_device **out,
                                               int32_t *out_count);
/* The same for selections that are made already; at least one. */
TUTTI_MUST_USE tutti_status tutti_devices_open_selected(const tutti_profile *profile,
                                                        const tutti_inventory *inventory,
                                                        const tutti_selection *selections,
                                                        int32_t n_selections, tutti_device **out,
                                                        int32_t *out_count);
void tutti_devices_close(tutti_device *devices, int32_t count);

/* "CL_OUT_OF_RESOURCES" for -5; "CL error -1234" for unknown codes. */
const char *tutti_cl_error_name(cl_int code);
/* The status for an OpenCL error: OK, DEVICE_LOST, OUT_OF_MEMORY, BUILD_FAILED or OPENCL. */
tutti_status tutti_cl_status(cl_int code);
/* Fails as "<call>: CL_NAME (-5) on <device>"; device may be NULL. */
tutti_status tutti_cl_fail(cl_int code, const char *call, const tutti_device *device);
/* TUTTI_TRY for OpenCL calls that return a code. */
#define TUTTI_CL(device, call, ...)                                                                \
    do {                                                                                           \
        cl_int tutti_cl_code = call(__VA_ARGS__);                                                  \
        if (tutti_cl_code != CL_SUCCESS)                                                           \
            return tutti_cl_fail(tutti_cl_code, #call, device);                                    \
    } while (0)

/* Creates a buffer of size_bytes and touches it, since drivers allocate lazily and would fail
 * later. */
TUTTI_MUST_USE tutti_status tutti_buffer_make(const tutti_device *device, size_t size_bytes,
                                              cl_mem *out);
/* A view of [offset, offset + size) of a buffer; offset is a multiple of info.base_align_bytes. */
TUTTI_MUST_USE tutti_status tutti_buffer_view(const tutti_device *device, cl_mem buffer,
                                              size_t offset_bytes, size_t size_bytes, cl_mem *out);
/* Blocking copies. Larger ones on unified memory that is not a CPU's map, others are read and write
 * commands. */
TUTTI_MUST_USE tutti_status tutti_buffer_write(const tutti_device *device, cl_mem buffer,
                                               size_t offset_bytes, const void *data,
                                               size_t size_bytes);
TUTTI_MUST_USE tutti_status tutti_buffer_read(const tutti_device *device, cl_mem buffer,
                                              size_t offset_bytes, void *data, size_t size_bytes);
/* Enqueues a fill with a 32-bit pattern; offset and size are multiples of 4. Does not wait. */
TUTTI_MUST_USE tutti_status tutti_buffer_fill(const tutti_device *device, cl_mem buffer,
                                              size_t offset_bytes, size_t size_bytes,
                                              uint32_t pattern);

#endif
