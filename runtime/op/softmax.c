/* exp(x) over its sum along the last axis */
#include <math.h>

#include "op/rows.h"

tutti_tensor tutti_softmax(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_softmax, &x, 1, NULL, 0);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_rows_cost(node, n, 20);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_softmax_grad,
                                 (tutti_tensor[]){node->out[0], dout[0]}, 2, NULL, 0);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0] + r * columns;
        float *y = (float *)call->out[0] + r * columns;
        const double log_sum = tutti_rows_log_sum(x, columns);
        for (int64_t c = 0; c < columns; c++)
            y[c] = (float)exp((double)x[c] - log_sum);
    }
}

static const tutti_op_example examples[] = {
    {.label = "batched", .n = 7, .n_in = 1, .in = {{.rank = 2, .dim = {TUTTI_BATCH, 10}}}},
    {.label = "one column", .n_in = 1, .in = {{.rank = 2, .dim = {3, 1}}}},
    {.label = "one row", .n_in = 1, .in = {{.rank = 1, .dim = {37}}}},
    {.label = "long rows", .n_in = 1, .in = {{.rank = 2, .dim = {3, 1037}}}},
    {.label = "rank 3", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 48}}}},
    {.label = "large values", .n_in = 1, .in = {{.rank = 2, .dim = {5, 33}, .lo = 500, .hi = 501}}},
    {.label = "batch alone",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {TUTTI_BATCH}}},
     .refused = "softmax: x is N: expected a last axis that is not the batch"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {2, 2}, .hi = 3}},
     .refused = "softmax: x is i32, expected f32"},
};

const tutti_op tutti_op_softmax = {
    .name = "softmax",
    .summary = "exp(x) over its sum along the last axis",
    .shapes = "x (..., C) -> (..., C)",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .infer = tutti_rows_infer,
    .cost = cost,
    .lower = tutti_rows_lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
