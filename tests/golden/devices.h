/* The devices that goldens run on, and how they share a batch. */
#ifndef TUTTI_TESTS_GOLDEN_DEVICES_H
#define TUTTI_TESTS_GOLDEN_DEVICES_H

#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "tutti/tutti.h"

enum { SPLITS = 2, DEVICES_MAX = 16 };

typedef struct devices {
    tutti_profile *profile;
    tutti_runtime *runtime;
} devices;

/* Of the profile in TUTTI_TEST_PROFILE, else one processor as two devices. */
static inline void devices_open(devices *d) {
    char split[4096];
    const char *name = getenv("TUTTI_TEST_PROFILE"), *source = getenv("TUTTI_SOURCE_DIR");
    snprintf(split, sizeof split, "%s/samples/profiles/split-cpu.json",
             source != NULL ? source : ".");
    if (tutti_profile_open(name != NULL ? name : split, &d->profile) != TUTTI_OK ||
        tutti_runtime_open(d->profile, &d->runtime) != TUTTI_OK) {
        fprintf(stderr, "%s\n", tutti_error_message());
        exit(1);
    }
}

static inline void devices_close(devices *d) {
    tutti_runtime_close(d->runtime);
    tutti_profile_free(d->profile);
}

/* 0: everything on the first device; 1: equal parts. The plan, and with it the kernels, are the
 * same. */
static inline tutti_status set_split(const devices *d, tutti_run *run, int split) {
    double shares[DEVICES_MAX] = {1.0};
    const int32_t n = tutti_runtime_device_count(d->runtime);
    if (n > DEVICES_MAX)
        return tutti_fail(TUTTI_UNSUPPORTED, "%d devices, at most %d here", (int)n, DEVICES_MAX);
    for (int32_t i = 0; i < n && split == 1; i++)
        shares[i] = 1.0 / n;
    return tutti_run_set_shares(run, shares);
}

#endif
