/* What the policies share. */
#ifndef TUTTI_SCHED_POLICY_H
#define TUTTI_SCHED_POLICY_H

#include "sched/shares.h"

#define POLICY(name) extern const tutti_policy tutti_policy_##name;
#include "sched/policies.def"
#undef POLICY

#define TUTTI_SHARE_DEVICES_MAX 64

/* The device's predicted time for n samples: 0 for none. */
static inline double tutti_share_time_s(const tutti_share_device *device, int64_t n) {
    return n > 0 ? device->fixed_s + device->per_sample_s * (double)n : 0;
}
/* Predicted duration of a step with these counts: the slowest device, and the synchronisation of
 * all that take part, when there are several or one without the weights. */
double tutti_shares_step_s(const tutti_share_device *devices, int32_t count, const int64_t *counts);
/* Gives the devices with wanted shares their parts of n; *out_rest samples are left for the others,
 * of which out_free[i] is true. */
tutti_status tutti_shares_wanted(const tutti_share_device *devices, int32_t count, int64_t n,
                                 int64_t *counts, bool *out_free, int64_t *out_rest);
/* Fails when the usable devices' capacities sum to less than n. */
tutti_status tutti_shares_check(const tutti_share_device *devices, int32_t count, int64_t n);

#endif
