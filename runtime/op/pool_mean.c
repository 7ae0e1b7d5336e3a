/* The mean of rows over the whole batch: a sum, so that the devices' results add up. */
#include "op/norm.h"

tutti_tensor tutti_pool_mean(tutti_graph *graph, tutti_tensor m, tutti_extent rows) {
    const tutti_pool_rows_attr attr = {1, rows};
    return tutti_op_apply1(graph, &tutti_op_pool_mean, &m, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *m = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT];
    if (m->dtype != TUTTI_F32 || m->shape.rank < 2)
        return tutti_op_fail(node, TUTTI_SHAPE, "m is %s %s: expected f32 rows of channels",
                             tutti_dtype_name(m->dtype), tutti_shape_text(&m->shape, text));
    out->type = (tutti_type){TUTTI_F32, {.rank = m->shape.rank - 1}};
    for (int32_t i = 1; i < m->shape.rank; i++)
        out->type.shape.dim[i - 1] = m->shape.dim[i];
    out->batch_sum = m->shape.batched;
    return TUTTI_OK;
}

static double count_of(const tutti_run_values *run, const tutti_pool_rows_attr *attr) {
    return (double)tutti_extent_value(attr->rows, run->n_global);
}

static float factor(const tutti_run_values *run, const void *attr) {
    return (float)(1 / count_of(run, attr));
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){count, 4 * count};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    return tutti_pool_lower(node, device, out, factor);
}

static void ref(const tutti_ref_call *call) {
    const tutti_norm_view v = tutti_pool_view(&call->node->in_type[0].shape);
    const int64_t rows = tutti_extent_value(v.rows, call->run->n);
    const float *m = call->in[0];
    for (int64_t c = 0; c < v.channels; c++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += (double)m[r * v.channels + c];
        ((float *)call->out[0])[c] = (float)(sum / count_of(call->run, call->node->attr));
    }
}

static const tutti_pool_rows_attr batch = {1, {0, 1}}, fixed = {1, {4500, 0}};
/* Mostly positive, so that the sums do not cancel to nothing. */
static const tutti_op_example examples[] = {
    {.label = "planes",
     .n = 9,
     .n_in = 1,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 5, 1, 1}, .lo = -0.25F, .hi = 1}},
     .attr = &batch},
    {.label = "two launches",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {4500, 3}, .lo = -0.25F, .hi = 1}},
     .attr = &fixed},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 3}, .hi = 3}},
     .attr = &batch,
     .refused = "pool_mean: m is i32 Nx3: expected f32 rows of channels"},
    {.label = "no channels",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {TUTTI_BATCH}}},
     .attr = &batch,
     .refused = "pool_mean: m is f32 N: expected f32 rows of channels"},
};

const tutti_op tutti_op_pool_mean = {
    .name = "pool_mean",
    .summary = "mean of rows over the whole batch",
    .shapes = "m (N,C,...) -> (C,...)",
    .options = "rows of the batch",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_pool_rows_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
