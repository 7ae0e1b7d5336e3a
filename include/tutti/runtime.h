/* The runtime: the devices that a profile selects, opened.
 *
 *     tutti_profile *profile;
 *     tutti_runtime *runtime;
 *     TRY(tutti_profile_open("auto", &profile));
 *     TRY(tutti_runtime_open(profile, &runtime));
 */
#ifndef TUTTI_RUNTIME_H
#define TUTTI_RUNTIME_H

#include "tutti/device.h"
#include "tutti/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_runtime tutti_runtime;

/* Discovers, selects and opens devices: a context and a queue each. The profile must outlive the
 * runtime. The caller owns it: tutti_runtime_close. Errors: TUTTI_NO_DEVICE with what was searched
 * and why each device was skipped; TUTTI_OPENCL naming call, error and device. Sets
 * variables for PoCL, as tutti_discover does. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_runtime_open(const tutti_profile *profile,
                                                         tutti_runtime **out);
/* Takes NULL. Plans and runs on it must be freed before. */
TUTTI_API void tutti_runtime_close(tutti_runtime *runtime);

TUTTI_API int32_t tutti_runtime_device_count(const tutti_runtime *runtime);
/* Borrowed; index 0 to count - 1, in the profile's order. */
TUTTI_API const tutti_device_info *tutti_runtime_device(const tutti_runtime *runtime,
                                                        int32_t index);
/* Everything that was discovered, borrowed. */
TUTTI_API const tutti_inventory *tutti_runtime_inventory(const tutti_runtime *runtime);

/* What happened to kernels since the runtime was opened, over all devices. */
typedef struct tutti_kernel_stats {
    int32_t programs;    /* made */
    int32_t compiled;    /* handed to the driver as source with no earlier trace in its own cache */
    int32_t from_disk;   /* loaded from Tutti's cache */
    int32_t from_driver; /* built again from source that this driver's own cache has seen */
    double build_s;      /* wall time spent building, on the device where it took longest */
} tutti_kernel_stats;
TUTTI_API tutti_kernel_stats tutti_runtime_kernel_stats(const tutti_runtime *runtime);

#ifdef __cplusplus
}
#endif
#endif
