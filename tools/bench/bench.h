/* tutti-bench: what its parts share.
 *
 * A benchmark (a noun of the command line) has cases. Each case runs in a child process, so that
 * memory and caches of one do not show in the next, and puts rows: JSON objects whose member "kind"
 * names one of the noun's tables. The parent prints them, as text or as one JSON document.
 */
#ifndef TUTTI_TOOLS_BENCH_H
#define TUTTI_TOOLS_BENCH_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#include "tutti/tutti.h"

#define BENCH_SCHEMA_VERSION 1
#define BENCH_ROUNDS_MIN     7
#define BENCH_ROUNDS_MAX     999
#define BENCH_ROUND_S        0.3 /* how long a round lasts where a step is shorter */

typedef struct bench_options {
    bool json, kernels, precisions;
    const char *select, *filter, *peers; /* filter NULL: everything; peers NULL: all of the noun */
    int32_t rounds;
} bench_options;

typedef struct bench_limits {
    double fma_gflops; /* multiply-adds count two */
    double copy_gbs;   /* reads and writes counted */
} bench_limits;

/* What a case gets, in its child process. */
typedef struct bench {
    const bench_options *options;
    bench_limits limits;
    tutti_profile *profile;        /* as selected, and */
    tutti_profile used;            /* the same with */
    tutti_profile_device *entries; /* queues for profiling where asked */
    tutti_runtime *runtime;        /* NULL until bench_open */
    FILE *rows;                    /* to the parent */
} bench;

typedef struct bench_column {
    const char *key, *title;
    int width;    /* of text at most; negative: to the left */
    int decimals; /* of numbers */
} bench_column;

typedef struct bench_table {
    const char *kind;
    const bench_column *columns;
    int n_columns;
} bench_table;

typedef void (*bench_name_fn)(void *user, const char *name);

typedef struct bench_noun {
    const char *name, *summary;
    const char *const *cases; /* NULL: one case, whose parts have names, which */
    int32_t n_cases;
    void (*names)(bench_name_fn each, void *user); /* tells */
    bool one_device;                               /* it measures the first device only */
    const bench_table *tables;
    int n_tables;
    const char *all_peers, *peers; /* separated by commas: all, and the default; NULL: none */
    tutti_status (*run)(bench *b, int32_t index);
} bench_noun;

extern const bench_noun bench_ops, bench_gemm, bench_conv, bench_train, bench_start, bench_replay;

/* Opens the runtime on what --select names; profiling for times of launches. */
TUTTI_MUST_USE tutti_status bench_open(bench *b, bool profiling);
/* The same with the first of these devices only. */
TUTTI_MUST_USE tutti_status bench_open_first(bench *b);
void bench_close(bench *b);
/* Sends a row, which it frees; NULL is out of memory. */
TUTTI_MUST_USE tutti_status bench_put(const bench *b, cJSON *row);
/* An empty row of that kind. */
cJSON *bench_row(const char *kind);
/* NaN, infinity and NULL become null. */
void bench_number(cJSON *row, const char *key, double value);
void bench_text(cJSON *row, const char *key, const char *value);
/* Puts all names that a benchmark knows, by `each`. */
void bench_names(const bench_noun *noun, bench_name_fn each, void *user);
/* Whether --filter takes a name, and --peers a peer. */
bool bench_wants(const bench *b, const char *name);
bool bench_wants_peer(const bench *b, const bench_noun *noun, const char *peer);

/* Measures the device's limits (limits.c); device receives what the report says of it. */
TUTTI_MUST_USE tutti_status bench_limits_run(bench *b, bench_limits *out, cJSON *device);

/* Runs a case in a child; each row goes to `take` as it comes (child.c). */
typedef tutti_status (*bench_work)(bench *b, void *user);
typedef void (*bench_take)(void *user, cJSON *row);
TUTTI_MUST_USE tutti_status bench_child(const bench *b, bench_work work, void *work_user,
                                        bench_take take, void *take_user);

/* Prints a row in its table's columns, with a heading when the table is another than last (NULL: none
 * yet). */
void bench_print(const bench_noun *noun, const cJSON *row, const bench_table **last);

/* TUTTI_BENCH_QUICK: for tests, which want to see everything once. */
bool bench_quick(void);
/* Sorts the values. */
double bench_median(double *values, int32_t count);

/* A process's memory in MiB from /proc/self/status: "VmHWM" is the most so far, "VmRSS" the
 * present; NaN when unknown. bench_memory_reset starts VmHWM again. */
double bench_memory_mib(const char *what);
void bench_memory_reset(void);

#endif
