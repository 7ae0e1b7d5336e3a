/* The balancer on simulated devices: noise, changes, hiccups, devices that share hardware. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sched/policy.h"
#include "seed.h"

#define MANY 3

static tutti_rng rng;

/* What the devices really do. */
typedef struct world {
    int32_t count;
    double fixed_s[MANY], per_sample_s[MANY];
    double noise;      /* relative, standard deviation */
    double contention; /* factor on each device's time when several work */
    double sync_s;     /* of a step with several */
    double total_s;
} world;

static double noisy(const world *w, double value) {
    return value * fmax(0.2, 1 + w->noise * (double)tutti_rng_normal(&rng));
}

/* One step of n samples; returns its duration. */
static double step(world *w, tutti_balancer *b, int64_t n, int64_t *counts) {
    double busy[MANY] = {0}, slowest = 0;
    int64_t sum = 0;
    int32_t parts = 0;
    assert_int_equal(tutti_balancer_counts(b, n, counts), TUTTI_OK);
    for (int32_t i = 0; i < w->count; i++)
        parts += counts[i] > 0;
    for (int32_t i = 0; i < w->count; i++) {
        sum += counts[i];
        if (counts[i] == 0)
            continue;
        const double base = w->fixed_s[i] + w->per_sample_s[i] * (double)counts[i];
        busy[i] = noisy(w, base) * (parts > 1 ? w->contention : 1);
        slowest = fmax(slowest, busy[i]);
    }
    assert_int_equal(sum, n);
    const double step_s = slowest + (parts > 1 ? w->sync_s : 0);
    tutti_balancer_report(b, counts, busy, step_s);
    w->total_s += step_s;
    return step_s;
}

static tutti_balancer *make(const world *w, tutti_schedule schedule, bool fixed, double sync_s) {
    tutti_share_device devices[MANY];
    for (int32_t i = 0; i < w->count; i++)
        devices[i] = (tutti_share_device){.fixed_s = w->fixed_s[i],
                                          .per_sample_s = w->per_sample_s[i],
                                          .sync_s = sync_s,
                                          .capacity = 1000,
                                          .wanted = TUTTI_SHARE_AUTO,
                                          .usable = true};
    tutti_balancer *b = NULL;
    assert_int_equal(tutti_balancer_make(tutti_policy_find(schedule), devices, w->count, fixed, &b),
                     TUTTI_OK);
    return b;
}

/* The best step time for the world as it is. */
static double best_s(const world *w, int64_t n) {
    tutti_share_device devices[MANY];
    int64_t counts[MANY];
    for (int32_t i = 0; i < w->count; i++)
        devices[i] = (tutti_share_device){.fixed_s = w->fixed_s[i],
                                          .per_sample_s = w->per_sample_s[i],
                                          .sync_s = w->sync_s / w->count,
                                          .capacity = 1000,
                                          .wanted = TUTTI_SHARE_AUTO,
                                          .usable = true};
    assert_int_equal(tutti_policy_find(TUTTI_SCHEDULE_AUTO)->split(devices, w->count, n, counts),
                     TUTTI_OK);
    return tutti_shares_step_s(devices, w->count, counts);
}

static double mean_of(world *w, tutti_balancer *b, int64_t n, int32_t steps, int64_t *counts) {
    double sum = 0;
    for (int32_t i = 0; i < steps; i++)
        sum += step(w, b, n, counts);
    return sum / steps;
}

static void noise_moves_nothing(void **state) {
    (void)state;
    world w = {.count = 2, .per_sample_s = {1e-4, 2e-4}, .noise = 0.1, .contention = 1};
    tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 0);
    int64_t counts[MANY], first[MANY];
    step(&w, b, 96, first);
    assert_int_equal(first[0], 64);
    int32_t moved = 0;
    for (int32_t i = 0; i < 1000; i++) {
        step(&w, b, 96, counts);
        moved += counts[0] < 58 || counts[0] > 70;
    }
    assert_int_equal(moved, 0);
    tutti_balancer_free(b);
}

static void wrong_start_heals(void **state) {
    (void)state;
    for (int32_t round = 0; round < 20; round++) {
        world w = {.count = 2, .per_sample_s = {1e-4, 1e-4}, .noise = 0.05, .contention = 1};
        tutti_balancer *b = make(&w, TUTTI_SCHEDULE_DATA, false, 0);
        int64_t counts[MANY];
        w.per_sample_s[1] = 1e-4 * (2 + 3 * (double)tutti_rng_uniform(&rng));
        mean_of(&w, b, 128, 400, counts);
        assert_true(mean_of(&w, b, 128, 100, counts) < 1.15 * best_s(&w, 128));
        tutti_balancer_free(b);
    }
}

/* A first guess that is off by orders of magnitude costs a handful of steps. */
static void wild_start_heals_at_once(void **state) {
    (void)state;
    world w = {.count = 2, .per_sample_s = {1e-4, 1e-4}, .noise = 0.05, .contention = 1};
    tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 0);
    int64_t counts[MANY];
    w.fixed_s[1] = 1;
    w.per_sample_s[1] = 0.1;
    mean_of(&w, b, 64, 4, counts);
    assert_int_equal(counts[0], 64);
    tutti_balancer_free(b);
}

static void change_is_followed(void **state) {
    (void)state;
    for (int32_t round = 0; round < 20; round++) {
        world w = {.count = 3,
                   .fixed_s = {1e-4, 5e-4, 2e-4},
                   .per_sample_s = {1e-4, 3e-5, 6e-5},
                   .noise = 0.05,
                   .contention = 1};
        tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 0);
        int64_t counts[MANY];
        mean_of(&w, b, 200, 100, counts);
        const int32_t slow = (int32_t)tutti_rng_below(&rng, 3);
        w.fixed_s[slow] *= 4;
        w.per_sample_s[slow] *= 4;
        mean_of(&w, b, 200, 500, counts);
        assert_true(mean_of(&w, b, 200, 100, counts) < 1.2 * best_s(&w, 200));
        /* And back: a device that may have got nothing is found again. */
        w.fixed_s[slow] /= 4;
        w.per_sample_s[slow] /= 4;
        mean_of(&w, b, 200, 3000, counts);
        assert_true(mean_of(&w, b, 200, 100, counts) < 1.2 * best_s(&w, 200));
        tutti_balancer_free(b);
    }
}

/* A device measured far too slow at start gets nothing at first, and is found out. */
static void bad_seed_heals(void **state) {
    (void)state;
    world w = {.count = 2, .per_sample_s = {1e-4, 1e-4}, .noise = 0.05, .contention = 1};
    world seen = w;
    seen.per_sample_s[1] = 1;
    tutti_balancer *b = make(&seen, TUTTI_SCHEDULE_AUTO, false, 0);
    int64_t counts[MANY];
    step(&w, b, 64, counts);
    assert_int_equal(counts[1], 0);
    /* The bad estimate makes a probe look dear: at 1 % of the time it takes 400 s of steps. */
    for (int32_t i = 0; i < 80000; i++)
        step(&w, b, 64, counts);
    assert_true(mean_of(&w, b, 64, 100, counts) < 1.2 * best_s(&w, 64));
    tutti_balancer_free(b);
}

/* Exploring costs little when the idle device is rightly idle. */
static void probes_are_cheap(void **state) {
    (void)state;
    world w = {.count = 2, .per_sample_s = {1e-4, 0.05}, .contention = 1};
    tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 0);
    int64_t counts[MANY], probes = 0;
    const double alone_s = 64e-4;
    for (int32_t i = 0; i < 20000; i++) {
        step(&w, b, 64, counts);
        probes += counts[1];
    }
    assert_true(probes > 0);
    assert_true(w.total_s < 20000 * alone_s * 1.02);
    tutti_balancer_free(b);
}

/* Two devices on the same silicon: models say half the time, steps take longer than one alone. */
static void split_that_does_not_pay(void **state) {
    (void)state;
    world w = {.count = 2,
               .per_sample_s = {1e-4, 1.1e-4},
               .noise = 0.03,
               .contention = 2.2,
               .sync_s = 1e-4};
    tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 5e-5);
    int64_t counts[MANY];
    step(&w, b, 64, counts);
    assert_true(counts[0] > 0 && counts[1] > 0);
    mean_of(&w, b, 64, 100, counts);
    assert_int_equal(counts[0], 64);
    assert_int_equal(counts[1], 0);
    w.total_s = 0;
    mean_of(&w, b, 64, 5000, counts);
    assert_true(w.total_s < 5000 * 64e-4 * 1.05);
    tutti_balancer_free(b);

    /* The schedule "data" means all devices: it stays. */
    b = make(&w, TUTTI_SCHEDULE_DATA, false, 5e-5);
    mean_of(&w, b, 64, 500, counts);
    assert_true(counts[0] > 0 && counts[1] > 0);
    tutti_balancer_free(b);
}

static void split_that_pays_stays(void **state) {
    (void)state;
    world w = {
        .count = 2, .per_sample_s = {1e-4, 1e-4}, .noise = 0.1, .contention = 1.3, .sync_s = 1e-4};
    tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 5e-5);
    int64_t counts[MANY];
    int32_t alone = 0;
    for (int32_t i = 0; i < 3000; i++) {
        step(&w, b, 64, counts);
        alone += counts[0] == 0 || counts[1] == 0;
    }
    assert_int_equal(alone, 0);
    tutti_balancer_free(b);
}

static void fixed_stays(void **state) {
    (void)state;
    world w = {.count = 2, .per_sample_s = {1e-4, 1e-4}, .contention = 1};
    tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, true, 0);
    int64_t counts[MANY];
    w.per_sample_s[1] = 1e-2;
    for (int32_t i = 0; i < 500; i++) {
        step(&w, b, 64, counts);
        assert_int_equal(counts[0], 32);
    }
    tutti_balancer_free(b);
}

static void lost_device(void **state) {
    (void)state;
    world w = {.count = 3, .per_sample_s = {1e-4, 1e-4, 1e-4}, .contention = 1};
    tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 0);
    int64_t counts[MANY];
    mean_of(&w, b, 60, 50, counts);
    assert_int_equal(counts[1], 20);
    tutti_balancer_lose(b, 1);
    for (int32_t i = 0; i < 200; i++) {
        step(&w, b, 60, counts);
        assert_int_equal(counts[1], 0);
    }
    tutti_balancer_lose(b, 0);
    tutti_balancer_lose(b, 2);
    assert_int_equal(tutti_balancer_counts(b, 60, counts), TUTTI_OUT_OF_MEMORY);
    tutti_balancer_free(b);
}

/* The same reports give the same counts. */
static void deterministic(void **state) {
    (void)state;
    int64_t all[2][600][MANY];
    for (int32_t run = 0; run < 2; run++) {
        tutti_rng_begin(&rng, 77, 0);
        world w = {.count = 2, .per_sample_s = {1e-4, 1.5e-4}, .noise = 0.2, .contention = 1};
        tutti_balancer *b = make(&w, TUTTI_SCHEDULE_AUTO, false, 1e-4);
        for (int32_t i = 0; i < 600; i++) {
            memset(all[run][i], 0, sizeof all[run][i]);
            if (i == 200)
                w.per_sample_s[0] = 5e-4;
            step(&w, b, i % 45 == 44 ? 37 : 64, all[run][i]);
        }
        tutti_balancer_free(b);
    }
    assert_memory_equal(all[0], all[1], sizeof all[0]);
}

int main(void) {
    const uint64_t seed = test_seed();
    tutti_rng_begin(&rng, seed, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_moves_nothing),
        cmocka_unit_test(wrong_start_heals),
        cmocka_unit_test(wild_start_heals_at_once),
        cmocka_unit_test(change_is_followed),
        cmocka_unit_test(bad_seed_heals),
        cmocka_unit_test(probes_are_cheap),
        cmocka_unit_test(split_that_does_not_pay),
        cmocka_unit_test(split_that_pays_stays),
        cmocka_unit_test(fixed_stays),
        cmocka_unit_test(lost_device),
        cmocka_unit_test(deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
