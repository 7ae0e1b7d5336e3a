#include "sched/shares.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "sched/policy.h"

const tutti_policy *tutti_policy_find(tutti_schedule schedule) {
    static const tutti_policy *const policies[] = {
#define POLICY(name) &tutti_policy_##name,
#include "sched/policies.def"
#undef POLICY
    };
    _Static_assert(TUTTI_SCHEDULE_AUTO == 0 && TUTTI_SCHEDULE_SINGLE == 1 &&
                       TUTTI_SCHEDULE_DATA == 2,
                   "policies.def is in the order of tutti_schedule");
    return policies[schedule];
}

static int64_t capacity_of(const tutti_share_device *device) {
    return device->usable && device->capacity > 0 ? device->capacity : 0;
}

static tutti_status fail_capacity(const tutti_share_device *devices, int32_t count, int64_t n) {
    int64_t sum = 0;
    int32_t usable = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += capacity_of(&devices[i]);
        usable += devices[i].usable;
    }
    return tutti_fail(TUTTI_OUT_OF_MEMORY,
                      "%" PRId64 " samples do not fit: %" PRId32 " usable devices hold %" PRId64, n,
                      usable, sum);
}

tutti_status tutti_shares_check(const tutti_share_device *devices, int32_t count, int64_t n) {
    if (count < 1 || count > TUTTI_SHARE_DEVICES_MAX || n < 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "shares of %" PRId64 " samples for %" PRId32
                          " devices, expected 1 to %d devices",
                          n, count, TUTTI_SHARE_DEVICES_MAX);
    int64_t left = n;
    for (int32_t i = 0; i < count && left > 0; i++)
        left -= capacity_of(&devices[i]) < left ? capacity_of(&devices[i]) : left;
    return left > 0 ? fail_capacity(devices, count, n) : TUTTI_OK;
}

double tutti_shares_step_s(const tutti_share_device *devices, int32_t count,
                           const int64_t *counts) {
    double slowest = 0, sync = 0;
    int32_t taking_part = 0;
    bool remote = false;
    for (int32_t i = 0; i < count; i++) {
        if (counts[i] <= 0)
            continue;
        const double time_s = tutti_share_time_s(&devices[i], counts[i]);
        slowest = time_s > slowest ? time_s : slowest;
        sync += devices[i].sync_s;
        remote = remote || devices[i].remote;
        taking_part++;
    }
    return taking_part > 1 || remote ? slowest + sync : slowest;
}

/* One round of tutti_shares_proportional over the devices with weight > 0. Returns what did not
 * fit. */
static int64_t spread(double *weights, const tutti_share_device *devices, int32_t count, int64_t n,
                      int64_t *counts) {
    /* Devices that would overflow are filled and leave; the others share what is left. */
    for (;;) {
        double sum = 0;
        for (int32_t i = 0; i < count; i++)
            sum += weights[i];
        if (!(sum > 0) || n == 0)
            return n;
        bool filled = false;
        const int64_t before = n;
        for (int32_t i = 0; i < count; i++) {
            const int64_t room = capacity_of(&devices[i]) - counts[i];
            if (weights[i] > 0 && (double)before * weights[i] / sum >= (double)room) {
                const int64_t given = room < n ? room : n;
                counts[i] += given;
                n -= given;
                weights[i] = 0;
                filled = true;
            }
        }
        if (filled)
            continue;
        /* Largest remainder; the first of equals. */
        double rest[TUTTI_SHARE_DEVICES_MAX];
        for (int32_t i = 0; i < count; i++) {
            const double quota = (double)before * weights[i] / sum;
            const int64_t whole = (int64_t)floor(quota) < n ? (int64_t)floor(quota) : n;
            rest[i] = weights[i] > 0 ? quota - floor(quota) : -1;
            counts[i] += whole;
            n -= whole;
        }
        while (n > 0) {
            int32_t best = -1;
            for (int32_t i = 0; i < count; i++)
                if (weights[i] > 0 && counts[i] < capacity_of(&devices[i]) &&
                    (best < 0 || rest[i] > rest[best]))
                    best = i;
            if (best < 0)
                return n;
            counts[best]++;
            rest[best] -= 1;
            n--;
        }
        return 0;
    }
}

tutti_status tutti_shares_proportional(const double *shares, const tutti_share_device *devices,
                                       int32_t count, int64_t n, int64_t *counts) {
    TUTTI_TRY(tutti_shares_check(devices, count, n));
    memset(counts, 0, (size_t)count * sizeof *counts);
    double weights[TUTTI_SHARE_DEVICES_MAX];
    for (int32_t i = 0; i < count; i++)
        weights[i] = capacity_of(&devices[i]) > 0 && shares[i] > 0 ? shares[i] : 0;
    int64_t left = spread(weights, devices, count, n, counts);
    if (left > 0) {
        /* Devices with a share are lost or full: better one without a share than no step. */
        for (int32_t i = 0; i < count; i++)
            weights[i] = capacity_of(&devices[i]) > counts[i] ? 1 : 0;
        left = spread(weights, devices, count, left, counts);
    }
    TUTTI_ASSERT(left == 0);
    return TUTTI_OK;
}

/* Samples that the device finishes by time_s. */
static int64_t done_by(const tutti_share_device *device, double time_s) {
    const int64_t capacity = capacity_of(device);
    if (capacity == 0 || tutti_share_time_s(device, 1) > time_s)
        return 0;
    const double n = device->per_sample_s > 0 ? (time_s - device->fixed_s) / device->per_sample_s
                                              : (double)capacity;
    /* The division may land a hair below a whole number. */
    const double whole = floor(n * (1 + 1e-12) + 1e-9);
    return whole >= (double)capacity ? capacity : whole < 1 ? 1 : (int64_t)whole;
}

static int64_t done_by_all(const tutti_share_device *devices, const bool *keep, int32_t count,
                           double time_s) {
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        if (keep == NULL || keep[i]) {
            const int64_t n = done_by(&devices[i], time_s);
            sum = sum > INT64_MAX - n ? INT64_MAX : sum + n;
        }
    }
    return sum;
}

tutti_status tutti_shares_balance(const tutti_share_device *devices, const bool *keep,
                                  int32_t count, int64_t n, int64_t *counts, double *out_time_s) {
    TUTTI_TRY(tutti_shares_check(devices, count, n));
    memset(counts, 0, (size_t)count * sizeof *counts);
    *out_time_s = 0;
    if (n == 0)
        return TUTTI_OK;
    double high = 0;
    int64_t room = 0;
    for (int32_t i = 0; i < count; i++) {
        if (keep != NULL && !keep[i])
            continue;
        const int64_t capacity = capacity_of(&devices[i]) < n ? capacity_of(&devices[i]) : n;
        const double time_s = tutti_share_time_s(&devices[i], capacity);
        high = time_s > high ? time_s : high;
        room += capacity;
    }
    if (room < n)
        return fail_capacity(devices, count, n);

    double low = 0;
    for (int32_t i = 0; i < 200 && high - low > high * 1e-13; i++) {
        const double middle = low + (high - low) / 2;
        if (done_by_all(devices, keep, count, middle) >= n)
            high = middle;
        else
            low = middle;
    }
    int64_t excess = -n;
    for (int32_t i = 0; i < count; i++) {
        counts[i] = keep == NULL || keep[i] ? done_by(&devices[i], high) : 0;
        excess += counts[i];
    }
    /* The slowest give back what is too much; without a per-sample time, any number is as good. */
    while (excess > 0) {
        int32_t slowest = -1;
        double time_s = -1;
        for (int32_t i = 0; i < count; i++)
            if (counts[i] > 0 && tutti_share_time_s(&devices[i], counts[i]) > time_s) {
                slowest = i;
                time_s = tutti_share_time_s(&devices[i], counts[i]);
            }
        TUTTI_ASSERT(slowest >= 0);
        int64_t given = 1;
        if (!(devices[slowest].per_sample_s > 0))
            given = counts[slowest] < excess ? counts[slowest] : excess;
        counts[slowest] -= given;
        excess -= given;
    }
    TUTTI_ASSERT(excess == 0);
    *out_time_s = tutti_shares_step_s(devices, count, counts);
    return TUTTI_OK;
}

tutti_status tutti_shares_wanted(const tutti_share_device *devices, int32_t count, int64_t n,
                                 int64_t *counts, bool *out_free, int64_t *out_rest) {
    TUTTI_TRY(tutti_shares_check(devices, count, n));
    memset(counts, 0, (size_t)count * sizeof *counts);
    if (count == TUTTI_SHARE_DEVICES_MAX)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%" PRId32 " devices are too many", count);
    /* The free devices together stand as one more device. */
    double shares[TUTTI_SHARE_DEVICES_MAX], sum = 0;
    tutti_share_device all[TUTTI_SHARE_DEVICES_MAX];
    int64_t all_counts[TUTTI_SHARE_DEVICES_MAX], room = 0;
    for (int32_t i = 0; i < count; i++) {
        out_free[i] = devices[i].wanted < 0;
        all[i] = devices[i];
        all[i].usable = devices[i].usable && !out_free[i];
        shares[i] = out_free[i] ? 0 : devices[i].wanted;
        sum += shares[i];
        if (out_free[i])
            room += capacity_of(&devices[i]) < n ? capacity_of(&devices[i]) : n;
    }
    all[count] = (tutti_share_device){.capacity = room, .usable = room > 0};
    shares[count] = sum < 1 ? 1 - sum : 0;
    TUTTI_TRY(tutti_shares_proportional(shares, all, count + 1, n, all_counts));
    memcpy(counts, all_counts, (size_t)count * sizeof *counts);
    *out_rest = all_counts[count];
    return TUTTI_OK;
}
