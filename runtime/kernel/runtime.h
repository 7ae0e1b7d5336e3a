/* The runtime: open devices with their kernels. */
#ifndef TUTTI_KERNEL_RUNTIME_H
#define TUTTI_KERNEL_RUNTIME_H

#include "device/open.h"
#include "tutti/runtime.h"

struct tutti_kernels;

struct tutti_runtime {
    const tutti_profile *profile;
    tutti_inventory *inventory;
    tutti_device *devices;
    struct tutti_kernels **kernels; /* one per device */
    int32_t n_devices;
    double opened_s; /* tutti_clock_s() when opening began */
};

#endif
