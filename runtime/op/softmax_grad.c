/* The gradient of softmax from its result y: y (dy - sum over the last axis of y dy) */
#include "op/rows.h"

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *y = &node->in_type[0], *dy = &node->in_type[1];
    char text_y[TUTTI_SHAPE_TEXT], text_dy[TUTTI_SHAPE_TEXT];
    if (y->dtype != TUTTI_F32 || dy->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "y is %s, dy is %s: expected f32",
                             tutti_dtype_name(y->dtype), tutti_dtype_name(dy->dtype));
    if (y->shape.rank == 0 || !tutti_shape_equal(&y->shape, &dy->shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "y is %s, dy is %s: expected equal shapes",
                             tutti_shape_text(&y->shape, text_y),
                             tutti_shape_text(&dy->shape, text_dy));
    out->type = *y;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_rows_cost(node, n, 4);
}

static void ref(const tutti_ref_call *call) {
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    for (int64_t r = 0; r < rows; r++) {
        const float *y = (const float *)call->in[0] + r * columns;
        const float *dy = (const float *)call->in[1] + r * columns;
        float *dx = (float *)call->out[0] + r * columns;
        double sum = 0;
        for (int64_t c = 0; c < columns; c++)
            sum += (double)y[c] * (double)dy[c];
        for (int64_t c = 0; c < columns; c++)
            dx[c] = (float)((double)y[c] * ((double)dy[c] - sum));
    }
}

static const tutti_op_example examples[] = {
    {.label = "batched",
     .n = 7,
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 10}}, {.rank = 2, .dim = {TUTTI_BATCH, 10}}}},
    {.label = "one column",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {3, 1}}, {.rank = 2, .dim = {3, 1}}}},
    {.label = "long rows",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {3, 1037}}, {.rank = 2, .dim = {3, 1037}}}},
    {.label = "rank 3",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {2, 3, 49}}, {.rank = 3, .dim = {2, 3, 49}}}},
    {.label = "unequal",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {3, 4}}, {.rank = 2, .dim = {4, 3}}},
     .refused = "softmax_grad: y is 3x4, dy is 4x3: expected equal shapes"},
};

const tutti_op tutti_op_softmax_grad = {
    .name = "softmax_grad",
    .summary = "gradient of softmax from its result",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .infer = infer,
    .cost = cost,
    .lower = tutti_rows_lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
