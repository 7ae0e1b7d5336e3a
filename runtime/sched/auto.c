/* The best set of devices: one that would slow the step down, its synchronisation counted, gets
 * nothing. Shares wanted by the profile are kept. */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "sched/policy.h"

#define ALL_SUBSETS_UP_TO 8 /* devices; beyond, the set grows greedily */

typedef struct search {
    const tutti_share_device *devices;
    int32_t count;
    int64_t rest;          /* samples for the free devices */
    const int64_t *wanted; /* counts of the others */
    int64_t *best;         /* counts of the best set so far */
    double best_s;
} search;

/* Tries a set; keeps it when it is faster by more than rounding. */
static void try_set(search *s, const bool *keep) {
    int64_t counts[TUTTI_SHARE_DEVICES_MAX];
    double time_s;
    int64_t room = 0;
    for (int32_t i = 0; i < s->count; i++)
        if (keep[i])
            room += s->devices[i].capacity < s->rest ? s->devices[i].capacity : s->rest;
    if (room < s->rest ||
        tutti_shares_balance(s->devices, keep, s->count, s->rest, counts, &time_s) != TUTTI_OK)
        return;
    for (int32_t i = 0; i < s->count; i++)
        counts[i] += s->wanted[i];
    time_s = tutti_shares_step_s(s->devices, s->count, counts);
    if (time_s < s->best_s * (1 - 1e-9)) {
        s->best_s = time_s;
        memcpy(s->best, counts, (size_t)s->count * sizeof *counts);
    }
}

static tutti_status split(const tutti_share_device *devices, int32_t count, int64_t n,
                          int64_t *counts) {
    bool is_free[TUTTI_SHARE_DEVICES_MAX];
    int64_t wanted[TUTTI_SHARE_DEVICES_MAX], rest;
    TUTTI_TRY(tutti_shares_wanted(devices, count, n, wanted, is_free, &rest));
    int32_t free_devices[TUTTI_SHARE_DEVICES_MAX], n_free = 0;
    for (int32_t i = 0; i < count; i++)
        if (is_free[i] && devices[i].usable && devices[i].capacity > 0)
            free_devices[n_free++] = i;
    search s = {devices, count, rest, wanted, counts, INFINITY};
    if (rest == 0 || n_free == 0) {
        memcpy(counts, wanted, (size_t)count * sizeof *counts);
        return TUTTI_OK;
    }
    bool keep[TUTTI_SHARE_DEVICES_MAX] = {false};
    if (n_free <= ALL_SUBSETS_UP_TO) {
        /* Small sets first, so that of equals the smaller wins. */
        for (int32_t size = 1; size <= n_free; size++)
            for (uint32_t set = 1; set < 1u << n_free; set++) {
                if (__builtin_popcount(set) != size)
                    continue;
                for (int32_t i = 0; i < n_free; i++)
                    keep[free_devices[i]] = set >> i & 1;
                try_set(&s, keep);
            }
        TUTTI_ASSERT(isfinite(s.best_s));
        return TUTTI_OK;
    }
    /* Grow from the most capable while it pays; a set that cannot hold the batch must grow. */
    for (int32_t added = 0; added < n_free; added++) {
        int32_t choice = -1;
        double choice_s = INFINITY;
        for (int32_t i = 0; i < n_free; i++) {
            const int32_t device = free_devices[i];
            if (keep[device])
                continue;
            search one = s;
            int64_t trial[TUTTI_SHARE_DEVICES_MAX];
            one.best = trial;
            one.best_s = INFINITY;
            keep[device] = true;
            try_set(&one, keep);
            keep[device] = false;
            const bool larger = choice < 0 || devices[device].capacity > devices[choice].capacity;
            if (one.best_s < choice_s || (isinf(choice_s) && isinf(one.best_s) && larger)) {
                choice = device;
                choice_s = one.best_s;
            }
        }
        if (isfinite(s.best_s) && !(choice_s < s.best_s * (1 - 1e-9)))
            break;
        keep[choice] = true;
        try_set(&s, keep);
    }
    TUTTI_ASSERT(isfinite(s.best_s));
    return TUTTI_OK;
}

const tutti_policy tutti_policy_auto = {
    "auto", "the batch over the set of devices with the shortest predicted step", split};
