/* Several ways to do the same, measured side by side: bursts of calls, in changing order. */
#ifndef TUTTI_TOOLS_BENCH_COMPETE_H
#define TUTTI_TOOLS_BENCH_COMPETE_H

#include "bench.h"

typedef struct bench_rival {
    const char *name;
    double work; /* of a call: operations or bytes */
    /* Does it so many times and waits for the end. */
    tutti_status (*call)(void *user, int32_t times);
    void *user;
    /* Results, per call. */
    double median_s, best_s;
} bench_rival;

/* A burst lasts about that long. */
#define BENCH_BURST_S 0.01

TUTTI_MUST_USE tutti_status bench_compete(const bench *b, bench_rival *rivals, int32_t count);
/* 1e9 units of work per second, by the median; NaN for NULL. */
double bench_rate(const bench_rival *rival);
/* Geometric mean; NaN without values. */
typedef struct bench_mean {
    double log_sum;
    int32_t count;
    double least;
} bench_mean;
/* Values that are not finite do not count. */
void bench_mean_add(bench_mean *mean, double value);
double bench_mean_value(const bench_mean *mean);

#endif
