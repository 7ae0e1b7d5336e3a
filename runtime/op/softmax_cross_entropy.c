/* log(sum over c of exp(x[r][c])) - x[r][label[r]] for each row r */
#include <math.h>

#include "op/rows.h"

tutti_tensor tutti_softmax_cross_entropy(tutti_graph *g, tutti_tensor logits, tutti_tensor labels) {
    const tutti_tensor rows = tutti_op_apply1(g, &tutti_op_softmax_cross_entropy,
                                              (tutti_tensor[]){logits, labels}, 2, NULL, 0);
    return tutti_mean(g, rows, 0, NULL, false);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    tutti_status status = tutti_rows_check_labels(node);
    if (status == TUTTI_OK)
        out->type = (tutti_type){TUTTI_F32, node->in_type[1].shape};
    return status;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_rows_cost(node, n, 20);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_softmax_cross_entropy_grad,
                                 (tutti_tensor[]){node->in[0], node->in[1], dout[0]}, 3, NULL, 0);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    const int32_t *labels = call->in[1];
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0] + r * columns;
        ((float *)call->out[0])[r] =
            labels[r] < 0 || labels[r] >= columns
                ? NAN
                : (float)(tutti_rows_log_sum(x, columns) - (double)x[labels[r]]);
    }
}

static const tutti_op_example examples[] = {
    {.label = "digits",
     .n = 32,
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 10}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {TUTTI_BATCH}, .hi = 10}}},
    {.label = "one class",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {3, 1}, .lo = 1, .hi = 2},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {3}, .hi = 1}}},
    {.label = "two classes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {7, 2}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {7}, .hi = 2}}},
    {.label = "many classes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {3, 1037}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {3}, .hi = 1037}}},
    {.label = "more than a short row",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 49}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {TUTTI_BATCH}, .hi = 49}}},
    {.label = "large logits",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {5, 33}, .lo = -90, .hi = 90},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 33}}},
    {.label = "labels outside",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {12, 4}, .no_grad = true},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {12}, .lo = -3, .hi = 7}}},
    {.label = "too few labels",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {5, 3}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "softmax_cross_entropy: logits are 5x3, labels are 4: expected one label per row"},
    {.label = "float labels",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {5, 3}}, {.rank = 1, .dim = {5}}},
     .refused = "softmax_cross_entropy: logits are f32, labels are f32: expected f32 and i32"},
    {.label = "vector of logits",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {5}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3}},
     .refused = "softmax_cross_entropy: logits are 5: expected a matrix"},
};

const tutti_op tutti_op_softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .summary = "per row: log of the sum of exp(logits), minus the logit at the label",
    .shapes = "logits (N,C), labels (N) i32 -> (N)",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .infer = infer,
    .cost = cost,
    .lower = tutti_rows_lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
