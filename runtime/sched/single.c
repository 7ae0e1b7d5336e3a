/* Everything on one device: the one with the least predicted time. */
#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "sched/policy.h"

static tutti_status split(const tutti_share_device *devices, int32_t count, int64_t n,
                          int64_t *counts) {
    int32_t best = -1;
    int64_t largest = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!devices[i].usable)
            continue;
        largest = devices[i].capacity > largest ? devices[i].capacity : largest;
        if (devices[i].capacity >= n && (best < 0 || tutti_share_time_s(&devices[i], n) <
                                                         tutti_share_time_s(&devices[best], n)))
            best = i;
    }
    if (best < 0)
        return tutti_fail(TUTTI_OUT_OF_MEMORY,
                          "no single device holds %" PRId64 " samples, the largest %" PRId64, n,
                          largest);
    memset(counts, 0, (size_t)count * sizeof *counts);
    counts[best] = n;
    return TUTTI_OK;
}

const tutti_policy tutti_policy_single = {
    "single", "the whole batch on the device with the least predicted time", split};
