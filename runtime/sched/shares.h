/* How many samples of a batch each device gets.
 *
 * Each device has a time model t(n) = fixed_s + per_sample_s * n for n > 0 and t(0) = 0, seeded by
 * a measurement at start and replaced by rolling medians of real steps. A policy (policies.def, one
 * file each: single, data, auto) turns models into counts; counts move only between steps, only for
 * a clear and lasting gain.
 */
#ifndef TUTTI_SCHED_SHARES_H
#define TUTTI_SCHED_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#include "tutti/profile.h"

#define TUTTI_SHARE_WINDOW 10 /* steps of a rolling median */

typedef struct tutti_share_device {
    double fixed_s, per_sample_s; /* time model; per_sample_s > 0 once known */
    double sync_s;    /* what taking part costs the whole step: reduction and broadcast */
    int64_t capacity; /* most samples in a step */
    bool remote;      /* the weights are elsewhere: even alone it must synchronise */
    double wanted;    /* share from the profile, or TUTTI_SHARE_AUTO */
    bool usable;      /* not lost */
} tutti_share_device;

/* A scheduling policy: one const table in a file of its own, listed in policies.def. */
typedef struct tutti_policy {
    const char *name, *description;
    /* Fills counts (>= 0, summing to n). TUTTI_OUT_OF_MEMORY when the capacities cannot hold n. */
    tutti_status (*split)(const tutti_share_device *devices, int32_t count, int64_t n,
                          int64_t *counts);
} tutti_policy;

/* The policy for a schedule of the profile. */
const tutti_policy *tutti_policy_find(tutti_schedule schedule);

/* Counts in proportion to shares (largest remainder), within the capacities. */
tutti_status tutti_shares_proportional(const double *shares, const tutti_share_device *devices,
                                       int32_t count, int64_t n, int64_t *counts);
/* Counts that minimise the slowest device's time (bisection on the finish time), each device with 0
 * or more samples; `keep` (may be NULL) restricts to some devices. Returns the predicted step time
 * in *out_time_s. */
tutti_status tutti_shares_balance(const tutti_share_device *devices, const bool *keep,
                                  int32_t count, int64_t n, int64_t *counts, double *out_time_s);

/* The balancer: current counts for batches of n, and the measurements that may change them. */
typedef struct tutti_balancer tutti_balancer;
TUTTI_MUST_USE tutti_status tutti_balancer_make(const tutti_policy *policy,
                                                const tutti_share_device *devices, int32_t count,
                                                bool fixed, tutti_balancer **out);
void tutti_balancer_free(tutti_balancer *balancer);
/* Counts for the next step of n samples. */
TUTTI_MUST_USE tutti_status tutti_balancer_counts(tutti_balancer *balancer, int64_t n,
                                                  int64_t *counts);
/* Reports a finished step: counts used, busy time per device, duration of the whole step. */
void tutti_balancer_report(tutti_balancer *balancer, const int64_t *counts, const double *busy_s,
                           double step_s);
/* A device is lost: it gets nothing from now on. */
void tutti_balancer_lose(tutti_balancer *balancer, int32_t device);

#endif
