#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "exec/timing.h"

const bench_column bench_kernel_columns[BENCH_KERNEL_COLUMNS] = {
    {"net", "net", -9, 0},       {"op", "op", -32, 0},       {"in", "first input", -12, 0},
    {"in2", "second", -12, 0},   {"out", "output", -12, 0},  {"kernel", "kernel", -12, 0},
    {"count", "count", 5, 0},    {"us", "us/step", 9, 1},    {"share", "of step", 7, 3},
    {"gflops", "GFLOP/s", 8, 1}, {"gb_per_s", "GB/s", 7, 1},
};

/* Steps of the plan that are alike: op, shapes and kernel. */
typedef struct group {
    const tutti_item *item;
    const char *candidate;
    int32_t count;
    double time_s;
    tutti_cost cost;
} group;

typedef struct profile {
    const tutti_plan_mode *mode;
    int64_t batch;
    double *step_s; /* round by round: rounds x n_steps */
    double *sum_s, *between_s, *span_s;
    group *groups;
    int32_t n_groups;
} profile;

/* Sums of one step of training: per step of the plan, and what passes between launches. */
static void add_round(profile *p, int32_t round, const tutti_launch_time *times, int32_t count) {
    double *steps = p->step_s + (size_t)round * (size_t)p->mode->n_steps;
    double sum_s = 0;
    for (int32_t i = 0; i < count; i++) {
        const double time_s = (double)(times[i].end_ns - times[i].begin_ns) * 1e-9;
        steps[times[i].step] += time_s;
        sum_s += time_s;
    }
    p->sum_s[round] = sum_s;
    p->span_s[round] =
        count == 0 ? 0 : (double)(times[count - 1].end_ns - times[0].begin_ns) * 1e-9;
    p->between_s[round] = p->span_s[round] - sum_s;
}

static bool alike(const group *g, const tutti_item *item, const char *candidate) {
    const tutti_node_info *a = &g->item->node, *b = &item->node;
    if (strcmp(g->candidate, candidate) != 0 || a->n_in != b->n_in || a->n_out != b->n_out ||
        strcmp(tutti_fused_label(a), tutti_fused_label(b)) != 0)
        return false;
    /* What a fused node points to differs, but not what it does, when its label is the same. */
    if (a->op == b->op && a->op != &tutti_op_fused && a->op->attr_size > 0 &&
        memcmp(a->attr, b->attr, a->op->attr_size) != 0)
        return false;
    for (int32_t i = 0; i < a->n_in; i++)
        if (!tutti_shape_equal(&a->in_type[i].shape, &b->in_type[i].shape))
            return false;
    for (int32_t i = 0; i < a->n_out; i++)
        if (!tutti_shape_equal(&a->out_type[i].shape, &b->out_type[i].shape))
            return false;
    return true;
}

static void add_step(profile *p, const tutti_plan_step *step, double time_s) {
    const tutti_item *item = &p->mode->program.items[step->item];
    if (item->kind != TUTTI_ITEM_NODE || step->candidate == NULL)
        return;
    int32_t i = 0;
    while (i < p->n_groups && !alike(&p->groups[i], item, step->candidate->name))
        i++;
    if (i == p->n_groups)
        p->groups[p->n_groups++] = (group){.item = item, .candidate = step->candidate->name};
    group *g = &p->groups[i];
    const tutti_cost cost =
        item->node.op->cost != NULL ? item->node.op->cost(&item->node, p->batch) : (tutti_cost){0};
    g->count++;
    g->time_s += time_s;
    g->cost.flops += cost.flops;
    g->cost.bytes += cost.bytes;
}

static int by_time(const void *x, const void *y) {
    const double a = ((const group *)x)->time_s, b = ((const group *)y)->time_s;
    return (a < b) - (a > b);
}

static cJSON *row_of(const char *net, const char *op, int32_t count, double time_s, double step_s) {
    cJSON *row = bench_row("kernel");
    bench_text(row, "net", net);
    bench_text(row, "op", op);
    bench_number(row, "count", count > 0 ? (double)count : (double)NAN);
    bench_number(row, "us", time_s * 1e6);
    bench_number(row, "share", time_s / step_s);
    return row;
}

static tutti_status put_span(const bench *b, const char *net, const char *what, double time_s,
                             double step_s) {
    static const char *const unknown[] = {"in", "in2", "out", "kernel", "gflops", "gb_per_s"};
    cJSON *row = row_of(net, what, 0, time_s, step_s);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        bench_text(row, unknown[i], NULL);
    return bench_put(b, row);
}

static tutti_status put_group(const bench *b, const char *net, const group *g, double step_s) {
    const tutti_node_info *node = &g->item->node;
    char in[TUTTI_SHAPE_TEXT] = "", in2[TUTTI_SHAPE_TEXT] = "", out[TUTTI_SHAPE_TEXT] = "";
    cJSON *row = row_of(net, tutti_fused_label(node), g->count, g->time_s, step_s);
    bench_text(row, "in", node->n_in > 0 ? tutti_shape_text(&node->in_type[0].shape, in) : NULL);
    bench_text(row, "in2", node->n_in > 1 ? tutti_shape_text(&node->in_type[1].shape, in2) : NULL);
    bench_text(row, "out",
               node->n_out > 0 ? tutti_shape_text(&node->out_type[0].shape, out) : NULL);
    bench_text(row, "kernel", g->candidate);
    bench_number(row, "gflops", g->cost.flops / g->time_s * 1e-9);
    bench_number(row, "gb_per_s", g->cost.bytes / g->time_s * 1e-9);
    return bench_put(b, row);
}

static tutti_status put_all(const bench *b, const char *net, profile *p, double *scratch) {
    const int32_t rounds = b->options->rounds, n_steps = p->mode->n_steps;
    for (int32_t s = 0; s < n_steps; s++) {
        for (int32_t i = 0; i < rounds; i++)
            scratch[i] = p->step_s[(size_t)i * (size_t)n_steps + (size_t)s];
        add_step(p, &p->mode->steps[s], bench_median(scratch, rounds));
    }
    qsort(p->groups, (size_t)p->n_groups, sizeof *p->groups, by_time);
    const double span_s = bench_median(p->span_s, rounds);
    for (int32_t i = 0; i < p->n_groups; i++)
        TUTTI_TRY(put_group(b, net, &p->groups[i], span_s));
    TUTTI_TRY(put_span(b, net, "between launches", bench_median(p->between_s, rounds), span_s));
    return put_span(b, net, "first launch to end of last", span_s, span_s);
}

static tutti_status measure(const bench *b, profile *p, tutti_run *run, tool_batch *data) {
    data->fetch.data = &data->loss;
    for (int32_t i = -1; i < b->options->rounds; i++) { /* the first does not count */
        int32_t count;
        TUTTI_TRY(tutti_run_step(run, TUTTI_TRAIN, p->batch, data->feeds, 2, &data->fetch, 1));
        const tutti_launch_time *times = tutti_run_launch_times(run, 0, &count);
        if (i >= 0)
            add_round(p, i, times, count);
    }
    return TUTTI_OK;
}

tutti_status bench_kernels(const bench *b, const char *net, const tutti_plan *plan, tutti_run *run,
                           int64_t batch, tool_batch *data) {
    const size_t rounds = (size_t)b->options->rounds;
    profile p = {.mode = &plan->devices[0].modes[TUTTI_TRAIN], .batch = batch};
    const size_t n_steps = (size_t)p.mode->n_steps + 1;
    double *numbers = calloc(rounds * (n_steps + 4), sizeof *numbers);
    p.groups = calloc(n_steps, sizeof *p.groups);
    tutti_status status = numbers == NULL || p.groups == NULL
                              ? tutti_fail_memory(rounds * n_steps * sizeof(double), "times")
                              : tutti_run_time_launches(run, true);
    if (status == TUTTI_OK) {
        p.sum_s = numbers;
        p.between_s = numbers + rounds;
        p.span_s = numbers + 2 * rounds;
        p.step_s = numbers + 4 * rounds;
        status = measure(b, &p, run, data);
    }
    if (status == TUTTI_OK)
        status = put_all(b, net, &p, numbers + 3 * rounds);
    free(numbers);
    free(p.groups);
    return status;
}
