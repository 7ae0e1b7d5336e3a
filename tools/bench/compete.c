#include "compete.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/status.h"

#define TIMES_MAX 2000

/* Thread pools of libraries keep spinning for a while after a call, on the processors that the next
 * rival needs. */
static void let_spinning_end(void) {
    (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static tutti_status time_burst(const bench_rival *rival, int32_t times, double *out_s) {
    const double begin = tutti_clock_s();
    TUTTI_TRY(rival->call(rival->user, times));
    *out_s = (tutti_clock_s() - begin) / times;
    return TUTTI_OK;
}

/* The first call may compile; the second says how many make a burst. */
static tutti_status calibrate(const bench_rival *rival, int32_t *out_times) {
    double call_s;
    TUTTI_TRY(rival->call(rival->user, 1));
    TUTTI_TRY(time_burst(rival, 1, &call_s));
    const double wanted = bench_quick() ? 1 : ceil(BENCH_BURST_S / fmax(call_s, 1e-9));
    *out_times = wanted < 1 ? 1 : wanted > TIMES_MAX ? TIMES_MAX : (int32_t)wanted;
    return TUTTI_OK;
}

static tutti_status one_round(bench_rival *rivals, int32_t count, int32_t round,
                              const int32_t *times, double *out_s) {
    for (int32_t k = 0; k < count; k++) {
        const int32_t i = round % 2 == 0 ? k : count - 1 - k;
        if (count > 1 && !bench_quick())
            let_spinning_end();
        TUTTI_TRY(rivals[i].call(rivals[i].user, 1)); /* caches and threads wake up */
        TUTTI_TRY(time_burst(&rivals[i], times[i], &out_s[i]));
    }
    return TUTTI_OK;
}

tutti_status bench_compete(const bench *b, bench_rival *rivals, int32_t count) {
    const int32_t rounds = b->options->rounds;
    const size_t n = (size_t)count, size = n * ((size_t)rounds + 2);
    double *times_s = calloc(size, sizeof *times_s);
    int32_t *times = calloc(n + 1, sizeof *times);
    tutti_status status = times_s != NULL && times != NULL
                              ? TUTTI_OK
                              : tutti_fail_memory(size * sizeof *times_s, "times");
    for (int32_t i = 0; i < count && status == TUTTI_OK; i++)
        status = calibrate(&rivals[i], &times[i]);
    for (int32_t r = 0; r < rounds && status == TUTTI_OK; r++) {
        double *row = times_s + n * (size_t)rounds;
        status = one_round(rivals, count, r, times, row);
        for (int32_t i = 0; i < count; i++)
            times_s[(size_t)i * (size_t)rounds + (size_t)r] = row[i];
    }
    for (int32_t i = 0; i < count && status == TUTTI_OK; i++) {
        rivals[i].median_s = bench_median(times_s + (size_t)i * (size_t)rounds, rounds);
        rivals[i].best_s = times_s[(size_t)i * (size_t)rounds];
    }
    free(times_s);
    free(times);
    return status;
}

double bench_rate(const bench_rival *rival) {
    return rival == NULL ? NAN : rival->work / rival->median_s * 1e-9;
}

void bench_mean_add(bench_mean *mean, double value) {
    if (!isfinite(value) || value <= 0)
        return;
    mean->least = mean->count == 0 ? value : fmin(mean->least, value);
    mean->log_sum += log(value);
    mean->count++;
}

double bench_mean_value(const bench_mean *mean) {
    return mean->count == 0 ? NAN : exp(mean->log_sum / mean->count);
}
