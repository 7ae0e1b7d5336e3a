/* Shares and policies against brute force on small instances. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sched/policy.h"
#include "seed.h"

#define MANY 4

static tutti_rng rng;

static int32_t below(int32_t bound) {
    return (int32_t)tutti_rng_below(&rng, (uint64_t)bound);
}

static double uniform(double low, double high) {
    return low + (high - low) * (double)tutti_rng_uniform(&rng);
}

static int32_t random_devices(tutti_share_device *devices, bool sync) {
    const int32_t count = 1 + below(MANY);
    for (int32_t i = 0; i < count; i++)
        devices[i] = (tutti_share_device){.fixed_s = below(2) ? 0 : uniform(0, 5),
                                          .per_sample_s = uniform(0.05, 2),
                                          .sync_s = sync && below(2) ? uniform(0, 3) : 0,
                                          .remote = sync && below(2),
                                          .capacity = below(3) ? 100 : below(8),
                                          .wanted = TUTTI_SHARE_AUTO,
                                          .usable = below(6) > 0};
    return count;
}

static int64_t room(const tutti_share_device *devices, const bool *keep, int32_t count) {
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += devices[i].usable && (keep == NULL || keep[i]) ? devices[i].capacity : 0;
    return sum;
}

static void check_counts(const tutti_share_device *devices, int32_t count, int64_t n,
                         const int64_t *counts) {
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        assert_true(counts[i] >= 0);
        assert_true(counts[i] <= (devices[i].usable ? devices[i].capacity : 0));
        sum += counts[i];
    }
    assert_int_equal(sum, n);
}

/* The least step time over all ways to split n; synced says whether sync_s counts. */
static double brute(const tutti_share_device *devices, const bool *keep, int32_t count,
                    int32_t from, int64_t n, int64_t *counts, bool synced) {
    if (from == count) {
        if (n > 0)
            return INFINITY;
        double slowest = 0, sync = 0;
        int32_t parts = 0;
        bool remote = false;
        for (int32_t i = 0; i < count; i++) {
            if (counts[i] == 0)
                continue;
            slowest =
                fmax(slowest, devices[i].fixed_s + devices[i].per_sample_s * (double)counts[i]);
            sync += devices[i].sync_s;
            remote = remote || devices[i].remote;
            parts++;
        }
        return synced && (parts > 1 || remote) ? slowest + sync : slowest;
    }
    const bool usable = devices[from].usable && (keep == NULL || keep[from]);
    double best = INFINITY;
    for (counts[from] = 0;
         counts[from] <= (usable ? devices[from].capacity : 0) && counts[from] <= n; counts[from]++)
        best = fmin(best, brute(devices, keep, count, from + 1, n - counts[from], counts, synced));
    return best;
}

static double slowest_of(const tutti_share_device *devices, int32_t count, const int64_t *counts) {
    double slowest = 0;
    for (int32_t i = 0; i < count; i++)
        slowest = fmax(slowest, tutti_share_time_s(&devices[i], counts[i]));
    return slowest;
}

static void balance_is_optimal(void **state) {
    (void)state;
    for (int32_t round = 0; round < 2000; round++) {
        tutti_share_device devices[MANY];
        bool keep[MANY];
        int64_t counts[MANY], scratch[MANY];
        const int32_t count = random_devices(devices, false);
        for (int32_t i = 0; i < count; i++)
            keep[i] = below(5) > 0;
        const int64_t n = below(14);
        double time_s = -1;
        const tutti_status status = tutti_shares_balance(devices, keep, count, n, counts, &time_s);
        if (room(devices, keep, count) < n) {
            assert_int_equal(status, TUTTI_OUT_OF_MEMORY);
            continue;
        }
        assert_int_equal(status, TUTTI_OK);
        check_counts(devices, count, n, counts);
        const double best = brute(devices, keep, count, 0, n, scratch, false);
        assert_true(slowest_of(devices, count, counts) <= best * (1 + 1e-9));
        assert_true(fabs(time_s - best) <= 1e-9 * (1 + best));
        for (int32_t i = 0; i < count; i++)
            assert_true(keep[i] || counts[i] == 0);
    }
}

static void auto_is_optimal(void **state) {
    (void)state;
    const tutti_policy *policy = tutti_policy_find(TUTTI_SCHEDULE_AUTO);
    for (int32_t round = 0; round < 2000; round++) {
        tutti_share_device devices[MANY];
        int64_t counts[MANY], scratch[MANY];
        const int32_t count = random_devices(devices, true);
        const int64_t n = 1 + below(13);
        const tutti_status status = policy->split(devices, count, n, counts);
        if (room(devices, NULL, count) < n) {
            assert_int_equal(status, TUTTI_OUT_OF_MEMORY);
            continue;
        }
        assert_int_equal(status, TUTTI_OK);
        check_counts(devices, count, n, counts);
        const double best = brute(devices, NULL, count, 0, n, scratch, true);
        assert_true(tutti_shares_step_s(devices, count, counts) <= best * (1 + 1e-9));
    }
}

/* Many devices: the set grows greedily; never worse than the best device alone. */
static void auto_many_devices(void **state) {
    (void)state;
    const tutti_policy *policy = tutti_policy_find(TUTTI_SCHEDULE_AUTO);
    for (int32_t round = 0; round < 100; round++) {
        tutti_share_device devices[20];
        int64_t counts[20], single[20];
        for (int32_t i = 0; i < 20; i++)
            devices[i] = (tutti_share_device){.fixed_s = uniform(0, 1),
                                              .per_sample_s = uniform(0.01, 1),
                                              .sync_s = uniform(0, 0.5),
                                              .capacity = 40 + below(30),
                                              .wanted = TUTTI_SHARE_AUTO,
                                              .usable = true};
        assert_int_equal(policy->split(devices, 20, 200, counts), TUTTI_OK);
        check_counts(devices, 20, 200, counts);
        assert_int_equal(policy->split(devices, 20, 40, counts), TUTTI_OK);
        check_counts(devices, 20, 40, counts);
        assert_int_equal(tutti_policy_find(TUTTI_SCHEDULE_SINGLE)->split(devices, 20, 40, single),
                         TUTTI_OK);
        assert_true(tutti_shares_step_s(devices, 20, counts) <=
                    tutti_shares_step_s(devices, 20, single) * (1 + 1e-9));
    }
}

static void single_takes_the_fastest(void **state) {
    (void)state;
    const tutti_policy *policy = tutti_policy_find(TUTTI_SCHEDULE_SINGLE);
    tutti_share_device devices[3] = {
        {.per_sample_s = 1, .capacity = 100, .wanted = 0.5, .usable = true},
        {.fixed_s = 20, .per_sample_s = 0.1, .capacity = 100, .wanted = 0.5, .usable = true},
        {.per_sample_s = 0.01, .capacity = 8, .wanted = 0, .usable = true}};
    int64_t counts[3];
    assert_int_equal(policy->split(devices, 3, 8, counts), TUTTI_OK);
    assert_int_equal(counts[2], 8);
    assert_int_equal(policy->split(devices, 3, 10, counts), TUTTI_OK);
    assert_int_equal(counts[0], 10);
    assert_int_equal(policy->split(devices, 3, 100, counts), TUTTI_OK);
    assert_int_equal(counts[1], 100);
    assert_int_equal(policy->split(devices, 3, 101, counts), TUTTI_OUT_OF_MEMORY);
    devices[1].usable = false;
    assert_int_equal(policy->split(devices, 3, 100, counts), TUTTI_OK);
    assert_int_equal(counts[0], 100);
}

static void wanted_shares(void **state) {
    (void)state;
    tutti_share_device devices[3] = {
        {.per_sample_s = 1, .capacity = 100, .wanted = 0.5, .usable = true},
        {.per_sample_s = 1, .capacity = 100, .wanted = 0.5, .usable = true},
        {.per_sample_s = 1, .capacity = 100, .wanted = 0, .usable = true}};
    int64_t counts[3];
    const tutti_schedule schedules[] = {TUTTI_SCHEDULE_DATA, TUTTI_SCHEDULE_AUTO};
    for (int32_t k = 0; k < 2; k++) {
        const tutti_policy *policy = tutti_policy_find(schedules[k]);
        devices[0].wanted = devices[1].wanted = 0.5;
        devices[2].wanted = 0;
        assert_int_equal(policy->split(devices, 3, 40, counts), TUTTI_OK);
        assert_int_equal(counts[0], 20);
        assert_int_equal(counts[1], 20);
        assert_int_equal(counts[2], 0);
        devices[0].wanted = 0.97;
        devices[1].wanted = 0.03;
        assert_int_equal(policy->split(devices, 3, 100, counts), TUTTI_OK);
        assert_int_equal(counts[0], 97);
        assert_int_equal(counts[1], 3);
        /* One wants a quarter; the others, one twice as fast, balance the rest. */
        devices[0].wanted = 0.25;
        devices[1].wanted = devices[2].wanted = TUTTI_SHARE_AUTO;
        devices[2].per_sample_s = 0.5;
        assert_int_equal(policy->split(devices, 3, 80, counts), TUTTI_OK);
        assert_int_equal(counts[0], 20);
        assert_int_equal(counts[1], 20);
        assert_int_equal(counts[2], 40);
        devices[2].per_sample_s = 1;
    }
}

static void proportional(void **state) {
    (void)state;
    for (int32_t round = 0; round < 3000; round++) {
        tutti_share_device devices[MANY];
        double shares[MANY], sum = 0;
        int64_t counts[MANY];
        const int32_t count = random_devices(devices, false);
        for (int32_t i = 0; i < count; i++) {
            shares[i] = below(4) ? uniform(0, 1) : 0;
            sum += devices[i].usable ? shares[i] : 0;
        }
        const int64_t n = below(120);
        const tutti_status status = tutti_shares_proportional(shares, devices, count, n, counts);
        if (room(devices, NULL, count) < n) {
            assert_int_equal(status, TUTTI_OUT_OF_MEMORY);
            continue;
        }
        assert_int_equal(status, TUTTI_OK);
        check_counts(devices, count, n, counts);
        bool full = false;
        for (int32_t i = 0; i < count; i++)
            full |= devices[i].usable && counts[i] == devices[i].capacity;
        /* Where no capacity bites, each is within one of its quota, and no share is no sample. */
        for (int32_t i = 0; i < count && !full && sum > 0; i++) {
            const double quota = devices[i].usable ? (double)n * shares[i] / sum : 0;
            assert_true(fabs((double)counts[i] - quota) < 1);
            assert_true(shares[i] > 0 || counts[i] == 0);
        }
    }
    /* Equal shares of what does not divide: the first ones get more. */
    tutti_share_device equal[3];
    for (int32_t i = 0; i < 3; i++)
        equal[i] = (tutti_share_device){.per_sample_s = 1, .capacity = 9, .usable = true};
    int64_t counts[3];
    const double third[3] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
    assert_int_equal(tutti_shares_proportional(third, equal, 3, 8, counts), TUTTI_OK);
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 3);
    assert_int_equal(counts[2], 2);
    assert_int_equal(tutti_shares_proportional(third, equal, 3, 28, counts), TUTTI_OUT_OF_MEMORY);
    assert_non_null(strstr(tutti_error_message(), "28"));
    assert_non_null(strstr(tutti_error_message(), "27"));
}

int main(void) {
    const uint64_t seed = test_seed();
    tutti_rng_begin(&rng, seed, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balance_is_optimal), cmocka_unit_test(auto_is_optimal),
        cmocka_unit_test(auto_many_devices),  cmocka_unit_test(single_takes_the_fastest),
        cmocka_unit_test(wanted_shares),      cmocka_unit_test(proportional),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
