/* Each family of ops at a large size, beside a copy. */
#include <math.h>

#include "base/status.h"
#include "bench.h"
#include "limit_kernels.h"
#include "op.h"
#include "op_cases.h"

#define COPY_BYTES ((size_t)32 << 20)

static tutti_status put_row(const bench *b, const op_case *c, const bench_op *op,
                            const bench_rival *own, const bench_rival *copy, bench_mean *shares) {
    cJSON *row = bench_row("op");
    const double share = bench_rate(own) / bench_rate(copy);
    bench_text(row, "name", c->name);
    bench_text(row, "kernel", op->kernels);
    bench_number(row, "launches", op->n_launches);
    bench_number(row, "us", own->median_s * 1e6);
    bench_number(row, "mib", own->work / 1048576);
    bench_number(row, "gb_per_s", bench_rate(own));
    bench_number(row, "best_gb_per_s", own->work / own->best_s * 1e-9);
    bench_number(row, "copy_gb_per_s", bench_rate(copy));
    bench_number(row, "share", share);
    bench_number(row, "gflops", op->flops / own->median_s * 1e-9);
    bench_mean_add(shares, share);
    return bench_put(b, row);
}

static tutti_status open_case(const bench *b, const op_case *c, bench_op *op) {
    tutti_graph *g;
    TUTTI_TRY(tutti_graph_make(&g));
    c->build(g);
    const int64_t n = bench_quick() && c->n > 64 ? 64 : c->n;
    return bench_op_open(b, g, c->mode, n, c->classes > 0 ? c->classes : 1, c->only, op);
}

static tutti_status compete(const bench *b, const op_case *c, bench_op *op, bench_limit *copy,
                            bench_mean *shares) {
    if (op->n_launches == 0) {
        cJSON *row = bench_row("problem");
        bench_text(row, "name", c->name);
        bench_text(row, "problem", "the plan has merged it with other ops");
        return bench_put(b, row);
    }
    double bytes = op->bytes;
    if (c->passes > 0) {
        const tutti_tensor x = tutti_graph_find(op->graph, "x");
        const tutti_shape shape = tutti_graph_tensor_shape(op->graph, x);
        bytes = c->passes * (double)tutti_shape_count(&shape, op->n) * sizeof(float);
    }
    bench_rival rivals[] = {{"tutti", bytes, bench_op_call, op, 0, 0},
                            bench_limit_rival(copy, "copy")};
    TUTTI_TRY(bench_compete(b, rivals, 2));
    return put_row(b, c, op, &rivals[0], &rivals[1], shares);
}

static tutti_status run_cases(const bench *b, const op_case *cases, int32_t count,
                              bench_limit *copy, bench_mean *shares) {
    for (int32_t i = 0; i < count; i++) {
        const op_case *c = &cases[i];
        bench_op op;
        if (!bench_wants(b, c->name))
            continue;
        tutti_status status = open_case(b, c, &op);
        if (status == TUTTI_OK) {
            status = compete(b, c, &op, copy, shares);
            bench_op_close(&op);
        }
        if (status != TUTTI_OK)
            return tutti_fail_context(status, "%s", c->name);
    }
    return TUTTI_OK;
}

static tutti_status run_all(const bench *b, bench_limit *copy) {
    bench_mean shares = {0};
    TUTTI_TRY(run_cases(b, bench_op_cases, bench_op_case_count, copy, &shares));
    TUTTI_TRY(run_cases(b, bench_op_data_cases, bench_op_data_case_count, copy, &shares));
    if (shares.count == 0)
        return TUTTI_OK;
    cJSON *row = bench_row("mean");
    bench_text(row, "over", "ops");
    bench_number(row, "count", shares.count);
    bench_number(row, "share", bench_mean_value(&shares));
    bench_number(row, "share_least", shares.least);
    return bench_put(b, row);
}

static void names(bench_name_fn each, void *user) {
    for (int32_t i = 0; i < bench_op_case_count; i++)
        each(user, bench_op_cases[i].name);
    for (int32_t i = 0; i < bench_op_data_case_count; i++)
        each(user, bench_op_data_cases[i].name);
}

static tutti_status ops(bench *b, int32_t index) {
    (void)index;
    bench_limit copy;
    TUTTI_TRY(bench_open_first(b));
    TUTTI_TRY(bench_limit_copy(b, bench_quick() ? COPY_BYTES / 64 : COPY_BYTES, &copy));
    const tutti_status status = run_all(b, &copy);
    bench_limit_close(&copy);
    return status;
}

static const bench_column op_columns[] = {
    {"name", "op", -20, 0},
    {"kernel", "kernels", -20, 0},
    {"launches", "launches", 8, 0},
    {"us", "us", 10, 1},
    {"mib", "MiB", 8, 1},
    {"gb_per_s", "GB/s", 8, 1},
    {"copy_gb_per_s", "copy", 8, 1},
    {"share", "/copy", 6, 2},
    {"gflops", "GFLOP/s", 8, 1},
};
static const bench_column mean_columns[] = {
    {"over", "geometric mean", -20, 0},
    {"count", "of", 4, 0},
    {"share", "/copy", 6, 2},
    {"share_least", "least", 6, 2},
};
static const bench_column problem_columns[] = {{"name", "op", -20, 0},
                                               {"problem", "not measured", -40, 0}};
static const bench_table tables[] = {
    {"op", op_columns, sizeof op_columns / sizeof *op_columns},
    {"problem", problem_columns, sizeof problem_columns / sizeof *problem_columns},
    {"mean", mean_columns, sizeof mean_columns / sizeof *mean_columns},
};

const bench_noun bench_ops = {
    .name = "ops",
    .summary = "each family of ops at a large size, beside a copy",
    .tables = tables,
    .n_tables = sizeof tables / sizeof *tables,
    .names = names,
    .one_device = true,
    .run = ops,
};
