/* For tests of what the passes make on a device: PoCL's, with random numbers and caches of the test's
 * own. Included by one file per test program. */
#ifndef TESTS_GRAPH_ON_DEVICE_H
#define TESTS_GRAPH_ON_DEVICE_H

#include "kernel/fixture.h"

#include "graph/interp.h"

static tutti_device device;
static tutti_rng rng;
static char directory[512];

/* A random number from low to high, both included. */
static inline int64_t from(int64_t low, int64_t high) {
    return low + (int64_t)tutti_rng_below(&rng, (uint64_t)(high - low + 1));
}

static inline int open_device(void **state) {
    (void)state;
    fixture_environment(directory);
    if (!fixture_open("Portable Computing Language", &device))
        return -1;
    /* Enough for the kernels of CPUs and of GPUs. */
    cl_ulong local = 0;
    clGetDeviceInfo(device.id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    device.info.local_memory_bytes = local;
    device.info.compute_units = 2;
    device.info.simd_floats = 16;
    return 0;
}

static inline int close_device(void **state) {
    (void)state;
    fixture_close(&device);
    fixture_remove(directory);
    return 0;
}

static inline void quiet(void *user, tutti_log_level level, const char *message) {
    (void)user, (void)level, (void)message;
}

#endif
