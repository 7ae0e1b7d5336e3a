/* Counts for each step, moved by what steps were measured to take.
 *
 * For each batch size seen there is an entry with its shares. Every window of steps, the shares
 * that the policy would now choose are compared with the present ones under the present time
 * models; a gain of more than 5 % in three windows moves the shares half the way, and one of half
 * the time at once and all the way. Two things that models cannot know are measured: whether a split
 * beats the best device alone (devices may share hardware), and whether a device that gets nothing
 * has become useful (it is probed now and then, within a small part of the time). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "sched/model.h"
#include "sched/policy.h"

#define ENTRIES       4
#define MOVE_GAIN     0.05 /* predicted */
#define MOVE_WINDOWS  3
#define MOVE_PART     0.5
#define URGENT_GAIN   0.5 /* so large a gain after a few steps moves at once and all the way … */
#define URGENT_STEPS  3   /* … since a first guess may be off by any factor */
#define DROP_GAIN     0.02
#define CHANGED       1.25 /* a device that takes so much longer has changed; less is noise */
#define PROBE_STEPS   4    /* in a row: enough for a median */
#define PROBE_BUDGET  0.01 /* of the time since the last probe */
#define RETRY_WINDOWS 50   /* a dropped split is tried again after so many, doubling */

typedef struct entry {
    int64_t n; /* 0: unused */
    int64_t counts[TUTTI_SHARE_DEVICES_MAX];
    double step_s[TUTTI_SHARE_WINDOW]; /* whole steps with these counts */
    int32_t steps;                     /* in this window */
    int32_t better, worse; /* windows in a row: a better split is known; alone is better */
    int32_t alone;         /* windows left to run alone; 0: not dropped */
    int32_t retry;         /* length of the next such time */
    double split_s;        /* what the dropped split took */
    int64_t last_step;
} entry;

struct tutti_balancer {
    const tutti_policy *policy;
    int32_t count;
    bool fixed;
    tutti_share_device devices[TUTTI_SHARE_DEVICES_MAX]; /* with the present models */
    tutti_model models[TUTTI_SHARE_DEVICES_MAX];
    tutti_share_device solo[TUTTI_SHARE_DEVICES_MAX]; /* measured while the others were idle */
    tutti_model solo_models[TUTTI_SHARE_DEVICES_MAX];
    /* The models in the first window of working together after that: a device that has become
     * slower since is slower alone, too. per_sample_s 0: none yet. */
    tutti_share_device base[TUTTI_SHARE_DEVICES_MAX];
    entry entries[ENTRIES];
    int64_t step;
    double since_probe_s;
    int32_t probed, probe_left; /* device, steps */
    bool probe_given; /* since the last report: steps that are not reported are not probes */
    int32_t last_probed;
};

tutti_status tutti_balancer_make(const tutti_policy *policy, const tutti_share_device *devices,
                                 int32_t count, bool fixed, tutti_balancer **out) {
    *out = NULL;
    if (count < 1 || count >= TUTTI_SHARE_DEVICES_MAX)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "balancer: %d devices, expected 1 to %d",
                          (int)count, TUTTI_SHARE_DEVICES_MAX - 1);
    tutti_balancer *b = calloc(1, sizeof *b);
    if (b == NULL)
        return tutti_fail_memory(sizeof *b, "a balancer");
    b->policy = policy;
    b->count = count;
    b->fixed = fixed || count == 1;
    b->probed = b->last_probed = -1;
    for (int32_t i = 0; i < count; i++) {
        b->devices[i] = b->solo[i] = devices[i];
        tutti_model_begin(&b->models[i], devices[i].fixed_s, devices[i].per_sample_s);
        b->solo_models[i] = b->models[i];
    }
    *out = b;
    return TUTTI_OK;
}

void tutti_balancer_free(tutti_balancer *balancer) {
    free(balancer);
}

static entry *find_entry(tutti_balancer *b, int64_t n) {
    for (int32_t i = 0; i < ENTRIES; i++)
        if (b->entries[i].n == n)
            return &b->entries[i];
    return NULL;
}

static int32_t participants(const tutti_balancer *b, const int64_t *counts) {
    int32_t taking_part = 0;
    for (int32_t i = 0; i < b->count; i++)
        taking_part += counts[i] > 0;
    return taking_part;
}

/* The best device alone, and how long it should take. */
static tutti_status counts_alone(const tutti_balancer *b, int64_t n, int64_t *counts,
                                 double *out_s) {
    tutti_share_device now[TUTTI_SHARE_DEVICES_MAX];
    for (int32_t i = 0; i < b->count; i++) {
        now[i] = b->solo[i];
        const double base_s = tutti_share_time_s(&b->base[i], n);
        if (base_s > 0) {
            double change = tutti_share_time_s(&b->devices[i], n) / base_s;
            change = change > CHANGED ? change : 1;
            now[i].fixed_s *= change;
            now[i].per_sample_s *= change;
        }
    }
    TUTTI_TRY(tutti_policy_single.split(now, b->count, n, counts));
    *out_s = tutti_shares_step_s(now, b->count, counts);
    return TUTTI_OK;
}

/* Takes samples for the probed device from the one that has most; as many as it should manage in
 * half a step. */
static void add_probe(const tutti_balancer *b, int64_t *counts) {
    const tutti_share_device *device = &b->devices[b->probed];
    const double step_s = tutti_shares_step_s(b->devices, b->count, counts);
    int32_t most = 0;
    for (int32_t i = 1; i < b->count; i++)
        if (counts[i] > counts[most])
            most = i;
    if (counts[b->probed] > 0 || counts[most] < 2)
        return;
    int64_t n = 1;
    if (device->per_sample_s > 0) {
        const double fit = (step_s / 2 - device->fixed_s) / device->per_sample_s;
        const int64_t cap =
            device->capacity < counts[most] / 2 ? device->capacity : counts[most] / 2;
        n = fit < 1 ? 1 : fit > (double)cap ? cap : (int64_t)fit;
    }
    counts[most] -= n;
    counts[b->probed] += n;
}

tutti_status tutti_balancer_counts(tutti_balancer *b, int64_t n, int64_t *counts) {
    if (b->fixed)
        return b->policy->split(b->devices, b->count, n, counts);
    entry *e = find_entry(b, n);
    if (e == NULL) {
        TUTTI_TRY(b->policy->split(b->devices, b->count, n, counts));
        e = &b->entries[0];
        for (int32_t i = 1; i < ENTRIES; i++)
            if (b->entries[i].n == 0 || (e->n != 0 && b->entries[i].last_step < e->last_step))
                e = &b->entries[i];
        *e = (entry){.n = n, .retry = RETRY_WINDOWS, .last_step = b->step};
        memcpy(e->counts, counts, (size_t)b->count * sizeof *counts);
    }
    memcpy(counts, e->counts, (size_t)b->count * sizeof *counts);
    if (b->probe_left > 0 && !b->probe_given) {
        add_probe(b, counts);
        b->probe_given = true;
    }
    return TUTTI_OK;
}

static void set_counts(tutti_balancer *b, entry *e, const int64_t *counts) {
    memcpy(e->counts, counts, (size_t)b->count * sizeof *counts);
    e->steps = e->better = e->worse = 0;
}

/* Moves the entry's shares towards the target: devices that should have nothing lose all at once,
 * the others go part of the way. */
static void move(tutti_balancer *b, entry *e, const int64_t *target) {
    double shares[TUTTI_SHARE_DEVICES_MAX];
    int64_t counts[TUTTI_SHARE_DEVICES_MAX];
    for (int32_t i = 0; i < b->count; i++) {
        const double now = (double)e->counts[i], then = (double)target[i];
        shares[i] = target[i] == 0 ? 0 : now + MOVE_PART * (then - now);
        if (target[i] > 0 && e->counts[i] == 0)
            shares[i] = fmax(shares[i], 1);
    }
    if (tutti_shares_proportional(shares, b->devices, b->count, e->n, counts) != TUTTI_OK)
        return;
    /* Rounding must not stop the last step of the way. */
    set_counts(b, e,
               memcmp(counts, e->counts, (size_t)b->count * sizeof *counts) ? counts : target);
}

/* True when every sample goes where the profile wants it, so that no other split is to be had. */
static bool wants_all(const tutti_balancer *b) {
    for (int32_t i = 0; i < b->count; i++)
        if (b->devices[i].usable && b->devices[i].wanted >= 0)
            return true;
    return false;
}

/* Back to a split, after a try alone. */
static void split_again(tutti_balancer *b, entry *e) {
    int64_t target[TUTTI_SHARE_DEVICES_MAX];
    e->alone = 0;
    e->retry = e->retry < 1 << 20 ? e->retry * 2 : e->retry;
    if (b->policy->split(b->devices, b->count, e->n, target) == TUTTI_OK)
        set_counts(b, e, target);
}

/* A split that takes longer than the best device alone would is dropped for a while. True when that
 * decides the entry's counts. */
static bool drop_or_return(tutti_balancer *b, entry *e, double step_s) {
    if (b->policy != &tutti_policy_auto || wants_all(b))
        return false;
    if (e->alone > 0) {
        if (--e->alone == 0 || step_s > e->split_s * (1 + MOVE_GAIN))
            split_again(b, e);
        return true;
    }
    if (participants(b, e->counts) < 2)
        return false;
    for (int32_t i = 0; i < b->count; i++)
        if (e->counts[i] > 0 && !(b->base[i].per_sample_s > 0))
            b->base[i] = b->devices[i];
    int64_t alone[TUTTI_SHARE_DEVICES_MAX];
    double alone_s;
    if (counts_alone(b, e->n, alone, &alone_s) != TUTTI_OK)
        return false;
    e->worse = alone_s < step_s * (1 - DROP_GAIN) ? e->worse + 1 : 0;
    if (e->worse < MOVE_WINDOWS)
        return false;
    set_counts(b, e, alone);
    e->alone = e->retry;
    e->split_s = step_s;
    return true;
}

static void end_window(tutti_balancer *b, entry *e) {
    const double step_s = tutti_median(e->step_s, e->steps);
    e->steps = 0;
    if (drop_or_return(b, e, step_s))
        return;
    int64_t target[TUTTI_SHARE_DEVICES_MAX];
    if (b->policy->split(b->devices, b->count, e->n, target) != TUTTI_OK)
        return;
    const double now_s = tutti_shares_step_s(b->devices, b->count, e->counts);
    const double then_s = tutti_shares_step_s(b->devices, b->count, target);
    e->better = then_s < now_s * (1 - MOVE_GAIN) ? e->better + 1 : 0;
    if (e->better >= MOVE_WINDOWS)
        move(b, e, target);
}

static void act_at_once(tutti_balancer *b, entry *e) {
    int64_t target[TUTTI_SHARE_DEVICES_MAX];
    if (e->alone > 0) {
        if (tutti_median(e->step_s, e->steps) > e->split_s / (1 - URGENT_GAIN))
            split_again(b, e);
        return;
    }
    if (b->policy->split(b->devices, b->count, e->n, target) != TUTTI_OK)
        return;
    const double now_s = tutti_shares_step_s(b->devices, b->count, e->counts);
    if (tutti_shares_step_s(b->devices, b->count, target) < now_s * (1 - URGENT_GAIN))
        set_counts(b, e, target);
}

/* Begins a probe of the next idle device when its cost fits in the budget. */
static void consider_probe(tutti_balancer *b, const entry *e) {
    if (b->policy == &tutti_policy_single || e->alone > 0)
        return;
    for (int32_t k = 1; k <= b->count; k++) {
        const int32_t i = (b->last_probed + k + b->count) % b->count;
        const tutti_share_device *device = &b->devices[i];
        if (!device->usable || device->capacity < 1 || device->wanted >= 0 || e->counts[i] > 0)
            continue;
        const double cost_s = PROBE_STEPS * (tutti_share_time_s(device, 1) + device->sync_s);
        if (cost_s > PROBE_BUDGET * b->since_probe_s)
            continue;
        b->probed = b->last_probed = i;
        b->probe_left = PROBE_STEPS;
        b->since_probe_s = 0;
        return;
    }
}

void tutti_balancer_report(tutti_balancer *b, const int64_t *counts, const double *busy_s,
                           double step_s) {
    if (b->fixed || !(step_s > 0) || !isfinite(step_s))
        return;
    b->step++;
    b->probe_given = false;
    int64_t n = 0;
    for (int32_t i = 0; i < b->count; i++)
        n += counts[i];
    const bool alone = participants(b, counts) == 1;
    for (int32_t i = 0; i < b->count; i++) {
        if (counts[i] <= 0)
            continue;
        tutti_model_add(&b->models[i], b->step, counts[i], busy_s[i]);
        b->devices[i].fixed_s = b->models[i].fixed_s;
        b->devices[i].per_sample_s = b->models[i].per_sample_s;
        if (alone) {
            tutti_model_add(&b->solo_models[i], b->step, counts[i], busy_s[i]);
            b->solo[i].fixed_s = b->solo_models[i].fixed_s;
            b->solo[i].per_sample_s = b->solo_models[i].per_sample_s;
            b->base[i] = (tutti_share_device){0};
        }
    }
    entry *e = find_entry(b, n);
    if (b->probe_left > 0) {
        b->probe_left--;
        return;
    }
    b->since_probe_s += step_s;
    if (e == NULL || memcmp(e->counts, counts, (size_t)b->count * sizeof *counts) != 0)
        return;
    e->last_step = b->step;
    e->step_s[e->steps++] = step_s;
    if (e->steps == URGENT_STEPS)
        act_at_once(b, e);
    if (e->steps == TUTTI_SHARE_WINDOW) {
        end_window(b, e);
        consider_probe(b, e);
    }
}

void tutti_balancer_lose(tutti_balancer *b, int32_t device) {
    if (device < 0 || device >= b->count)
        return;
    b->devices[device].usable = b->solo[device].usable = false;
    memset(b->entries, 0, sizeof b->entries);
    if (b->probed == device)
        b->probe_left = 0;
}
