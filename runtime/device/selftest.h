/* Known-answer tests of a device: kernels of cl/selftest.cl against the host. */
#ifndef TUTTI_DEVICE_SELFTEST_H
#define TUTTI_DEVICE_SELFTEST_H

#include "device/open.h"

#define TUTTI_SELFTEST_COUNT 8

typedef struct tutti_selftest_item {
    char name[16];
    bool passed;
    char detail[200]; /* "" or what was wrong first */
} tutti_selftest_item;

/* Plain data, so that it passes through a pipe. */
typedef struct tutti_selftest_result {
    uint64_t seed;
    int32_t n_items;
    tutti_selftest_item items[TUTTI_SELFTEST_COUNT];
} tutti_selftest_result;

/* Runs all tests on random inputs from the seed; source is the text of cl/selftest.cl. A wrong
 * result is a result; an error is of OpenCL. */
TUTTI_MUST_USE tutti_status tutti_selftest_run(const tutti_device *device, const char *source,
                                               uint64_t seed, tutti_selftest_result *out);

#endif
