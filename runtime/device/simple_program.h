/* Programs of a single source without includes or cache: what the probe needs. */
#ifndef TUTTI_DEVICE_SIMPLE_PROGRAM_H
#define TUTTI_DEVICE_SIMPLE_PROGRAM_H

#include "device/open.h"

/* Builds the source; name stands for it in errors: TUTTI_BUILD_FAILED with the log's first line. */
TUTTI_MUST_USE tutti_status tutti_simple_program(const tutti_device *device, const char *name,
                                                 const char *source, cl_program *out);

/* A kernel's argument: memory when not NULL, else the bytes. */
typedef struct tutti_simple_arg {
    cl_mem memory;
    size_t size_bytes;
    const void *value;
} tutti_simple_arg;

TUTTI_MUST_USE tutti_status tutti_simple_kernel(const tutti_device *device, cl_program program,
                                                const char *name, const tutti_simple_arg *args,
                                                int32_t n_args, cl_kernel *out);
/* Enqueues in one dimension; local 0 leaves the group's size to the driver. */
TUTTI_MUST_USE tutti_status tutti_simple_enqueue(const tutti_device *device, cl_kernel kernel,
                                                 size_t global, size_t local);

#endif
