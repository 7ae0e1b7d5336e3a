/* Data parallel over all devices: the profile's shares, and balanced finish times for the rest. */
#include "base/status.h"
#include "sched/policy.h"

static tutti_status split(const tutti_share_device *devices, int32_t count, int64_t n,
                          int64_t *counts) {
    bool keep[TUTTI_SHARE_DEVICES_MAX];
    int64_t rest, part[TUTTI_SHARE_DEVICES_MAX];
    double ignored_s;
    TUTTI_TRY(tutti_shares_wanted(devices, count, n, counts, keep, &rest));
    TUTTI_TRY(tutti_shares_balance(devices, keep, count, rest, part, &ignored_s));
    for (int32_t i = 0; i < count; i++)
        counts[i] += part[i];
    return TUTTI_OK;
}

const tutti_policy tutti_policy_data = {
    "data", "the batch over all devices, so that they finish together", split};
