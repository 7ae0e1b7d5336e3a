/* What a step costs beside its kernels: tiny graphs, whose kernels have next to nothing to do, beside as many
 * launches of an empty kernel. */
#include <stdlib.h>

#include "base/status.h"
#include "bench.h"
#include "limit_kernels.h"
#include "models/mlp.h"
#include "op.h"

static void build_one(tutti_graph *g) {
    const int64_t dims[] = {TUTTI_BATCH, 8};
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, dims);
    (void)tutti_graph_set_output(g, "out", tutti_softmax(g, x));
}

/* Eight that cannot be merged. */
static void build_eight(tutti_graph *g) {
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 8});
    for (int i = 0; i < 8; i++)
        x = tutti_softmax(g, x);
    (void)tutti_graph_set_output(g, "out", x);
}

static void build_training(tutti_graph *g) {
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 8});
    const tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    (void)tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, mlp(g, x, 2, 8, 2), y));
    (void)tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM});
}

enum { CASES = 3, SAMPLES = 4 };
static const char *const names[CASES] = {"one", "eight", "training"};
static void (*const builders[CASES])(tutti_graph *) = {build_one, build_eight, build_training};

typedef struct replay {
    bench_op op;
    tutti_tensor fetch;
    float result[64];
} replay;

/* Whole steps: feeds written, launches, one result fetched. */
static tutti_status call_steps(void *user, int32_t times) {
    replay *r = user;
    for (int32_t i = 0; i < times; i++)
        TUTTI_TRY(bench_op_fetch(&r->op, r->fetch, r->result));
    return TUTTI_OK;
}

typedef struct bare {
    bench_limit limit;
    int32_t launches;
} bare;

/* As many launches, and the wait at the end. */
static tutti_status call_bare(void *user, int32_t times) {
    bare *b = user;
    for (int32_t i = 0; i < times; i++) {
        const bench_rival rival = bench_limit_rival(&b->limit, "");
        TUTTI_TRY(rival.call(rival.user, b->launches));
    }
    return TUTTI_OK;
}

static tutti_status put_row(const bench *b, const char *name, const replay *r,
                            const bench_rival *steps, const bench_rival *empty) {
    const double n = r->op.n_launches;
    cJSON *row = bench_row("replay");
    bench_text(row, "name", name);
    bench_number(row, "launches", n);
    bench_number(row, "us", steps->median_s * 1e6);
    bench_number(row, "best_us", steps->best_s * 1e6);
    bench_number(row, "us_per_launch", steps->median_s * 1e6 / n);
    bench_number(row, "empty_us", empty->median_s * 1e6);
    bench_number(row, "empty_us_per_launch", empty->median_s * 1e6 / n);
    bench_number(row, "ratio", steps->median_s / empty->median_s);
    return bench_put(b, row);
}

static tutti_status measure(const bench *b, const char *name, replay *r) {
    bare empty = {.launches = r->op.n_launches};
    TUTTI_TRY(bench_limit_nothing(b, &empty.limit));
    bench_rival rivals[] = {{"tutti", 1, call_steps, r, 0, 0},
                            {"empty", 1, call_bare, &empty, 0, 0}};
    tutti_status status = bench_compete(b, rivals, 2);
    if (status == TUTTI_OK)
        status = put_row(b, name, r, &rivals[0], &rivals[1]);
    bench_limit_close(&empty.limit);
    return status;
}

static tutti_status run_replay(bench *b, int32_t index) {
    replay r = {0};
    tutti_graph *g;
    TUTTI_TRY(bench_open_first(b));
    TUTTI_TRY(tutti_graph_make(&g));
    builders[index](g);
    const bool training = builders[index] == build_training;
    TUTTI_TRY(bench_op_open(b, g, training ? TUTTI_TRAIN : TUTTI_PREDICT, SAMPLES, 2, NULL, &r.op));
    r.fetch = training ? tutti_graph_loss(g) : tutti_graph_find(g, "out");
    const tutti_status status = measure(b, names[index], &r);
    bench_op_close(&r.op);
    return status;
}

static const bench_column replay_columns[] = {
    {"name", "graph", -10, 0},
    {"launches", "launches", 8, 0},
    {"us", "us/step", 9, 1},
    {"best_us", "best", 9, 1},
    {"us_per_launch", "us/launch", 9, 2},
    {"empty_us", "empty us", 9, 1},
    {"empty_us_per_launch", "us/launch", 9, 2},
    {"ratio", "x", 6, 2},
};
static const bench_table tables[] = {
    {"replay", replay_columns, sizeof replay_columns / sizeof *replay_columns}};

const bench_noun bench_replay = {
    .name = "replay",
    .summary = "steps of tiny graphs, beside empty kernels",
    .cases = names,
    .n_cases = CASES,
    .tables = tables,
    .n_tables = 1,
    .one_device = true,
    .run = run_replay,
};
