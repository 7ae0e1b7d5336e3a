/* OpenCL's answers about a platform or device as plain data. */
#ifndef TUTTI_DEVICE_DESCRIBE_H
#define TUTTI_DEVICE_DESCRIBE_H

#include <CL/cl.h>

#include "base/arena.h"
#include "tutti/device.h"

/* All devices of the platform: those of CL_DEVICE_TYPE_ALL in the driver's order, then the CUSTOM
 * ones, which ALL leaves out. A device's place in it is info.index. Free *out with free(). */
TUTTI_MUST_USE tutti_status tutti_describe_list(cl_platform_id platform, cl_device_id **out,
                                                uint32_t *out_count);
/* Fills name, vendor, version, profile and extensions. */
TUTTI_MUST_USE tutti_status tutti_describe_platform(tutti_arena *arena, cl_platform_id platform,
                                                    tutti_platform_info *out);
/* Fills everything but id, platform, index and duplicate_of; unusable as far as the device itself
 * tells. Also for sub-devices. */
TUTTI_MUST_USE tutti_status tutti_describe_device(tutti_arena *arena, cl_platform_id platform,
                                                  cl_device_id device, tutti_device_info *out);
/* The real path of the library that implements the platform, "" when it cannot be told. */
TUTTI_MUST_USE tutti_status tutti_describe_library(tutti_arena *arena, cl_platform_id platform,
                                                   const char **out);

#endif
