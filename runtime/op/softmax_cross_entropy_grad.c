/* (softmax(x[r])[c] - [c == label[r]]) * dloss[r] */
#include <math.h>

#include "op/rows.h"

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    tutti_status status = tutti_rows_check_labels(node);
    if (status != TUTTI_OK)
        return status;
    const tutti_type *labels = &node->in_type[1], *dloss = &node->in_type[2];
    char text_labels[TUTTI_SHAPE_TEXT], text_dloss[TUTTI_SHAPE_TEXT];
    if (dloss->dtype != TUTTI_F32 || !tutti_shape_equal(&labels->shape, &dloss->shape))
        return tutti_op_fail(
            node, TUTTI_SHAPE, "labels are %s, dloss is %s %s: expected f32 and equal shapes",
            tutti_shape_text(&labels->shape, text_labels), tutti_dtype_name(dloss->dtype),
            tutti_shape_text(&dloss->shape, text_dloss));
    out->type = node->in_type[0];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_rows_cost(node, n, 20);
}

static void ref(const tutti_ref_call *call) {
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    const int32_t *labels = call->in[1];
    const float *dloss = call->in[2];
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0] + r * columns;
        float *dx = (float *)call->out[0] + r * columns;
        const bool known = labels[r] >= 0 && labels[r] < columns;
        const double log_sum = tutti_rows_log_sum(x, columns);
        for (int64_t c = 0; c < columns; c++)
            dx[c] = known ? (float)((exp((double)x[c] - log_sum) - (c == labels[r] ? 1 : 0)) *
                                    (double)dloss[r])
                          : NAN;
    }
}

#define CASE(text, rows, classes, low, high)                                                       \
    {                                                                                              \
        .label = text, .n_in = 3, .in = {                                                          \
            {.rank = 2, .dim = {rows, classes}},                                                   \
            {.dtype = TUTTI_I32, .rank = 1, .dim = {rows}, .lo = low, .hi = high},                 \
            {.rank = 1, .dim = {rows}}                                                             \
        }                                                                                          \
    }
static const tutti_op_example examples[] = {
    CASE("digits", TUTTI_BATCH, 10, 0, 10),
    CASE("one class", 3, 1, 0, 1),
    CASE("many classes", 3, 1037, 0, 1037),
    CASE("more than a short row", TUTTI_BATCH, 49, 0, 49),
    CASE("labels outside", 12, 4, -3, 7),
    {.label = "too few gradients",
     .n_in = 3,
     .in = {{.rank = 2, .dim = {5, 3}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3},
            {.rank = 1, .dim = {4}}},
     .refused = "softmax_cross_entropy_grad: labels are 5, dloss is f32 4: expected f32 and equal"},
};

const tutti_op tutti_op_softmax_cross_entropy_grad = {
    .name = "softmax_cross_entropy_grad",
    .summary = "gradient of softmax_cross_entropy by the logits",
    .n_in_min = 3,
    .n_in_max = 3,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .infer = infer,
    .cost = cost,
    .lower = tutti_rows_lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
