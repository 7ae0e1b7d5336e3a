/* The variance of rows about the mean of them all: sums of squared deviations (Chan, Golub, LeVeque:
 * Updating formulae and a pairwise algorithm for computing sample variances, 1979) over the elements
 * of the whole batch. With one mean for it the devices' results add up, and a large mean costs no
 * digits. */
#include "op/norm.h"

tutti_tensor tutti_pool_variance(tutti_graph *graph, tutti_tensor m, tutti_tensor m2,
                                 tutti_tensor mean, const tutti_pool_rows_attr *attr) {
    const tutti_tensor in[] = {m, mean, m2};
    return tutti_op_apply1(graph, &tutti_op_pool_variance, in, m2.id == 0 ? 2 : 3, attr,
                           sizeof *attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *m = &node->in_type[0], *mean = &node->in_type[1];
    char text_m[TUTTI_SHAPE_TEXT], text_other[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in_type[i].dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %d is %s, expected f32", (int)i,
                                 tutti_dtype_name(node->in_type[i].dtype));
    if (m->shape.rank < 2)
        return tutti_op_fail(node, TUTTI_SHAPE, "m is %s: expected rows of channels",
                             tutti_shape_text(&m->shape, text_m));
    tutti_shape channels = {.rank = m->shape.rank - 1};
    for (int32_t i = 1; i < m->shape.rank; i++)
        channels.dim[i - 1] = m->shape.dim[i];
    if (!tutti_shape_equal(&channels, &mean->shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "m is %s, mean is %s: expected a row of m",
                             tutti_shape_text(&m->shape, text_m),
                             tutti_shape_text(&mean->shape, text_other));
    if (node->n_in == 3 && !tutti_shape_equal(&m->shape, &node->in_type[2].shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "m is %s, m2 is %s: expected equal shapes",
                             tutti_shape_text(&m->shape, text_m),
                             tutti_shape_text(&node->in_type[2].shape, text_other));
    out->type = *mean;
    out->batch_sum = m->shape.batched;
    return TUTTI_OK;
}

static double count_of(const tutti_run_values *run, const tutti_pool_rows_attr *attr) {
    return (double)tutti_extent_value(attr->rows, run->n_global) * attr->weight;
}

static float factor(const tutti_run_values *run, const void *attr) {
    return (float)(1 / count_of(run, attr));
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){4 * count, 4 * count * (node->n_in - 1)};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    return tutti_pool_lower(node, device, out, factor);
}

static void ref(const tutti_ref_call *call) {
    const tutti_pool_rows_attr *attr = call->node->attr;
    const tutti_norm_view v = tutti_pool_view(&call->node->in_type[0].shape);
    const int64_t rows = tutti_extent_value(v.rows, call->run->n);
    const float *m = call->in[0], *mean = call->in[1];
    const float *m2 = call->node->n_in == 3 ? call->in[2] : NULL;
    for (int64_t c = 0; c < v.channels; c++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) {
            const double d = (double)m[r * v.channels + c] - (double)mean[c];
            sum += attr->weight * d * d + (m2 != NULL ? (double)m2[r * v.channels + c] : 0);
        }
        ((float *)call->out[0])[c] = (float)(sum / count_of(call->run, attr));
    }
}

static const tutti_pool_rows_attr unit = {1, {0, 1}}, plane = {35, {0, 1}}, fixed = {1, {4500, 0}};
static const tutti_op_example examples[] = {
    {.label = "planes",
     .n = 9,
     .n_in = 3,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 5, 1, 1}},
            {.rank = 3, .dim = {5, 1, 1}},
            {.rank = 4, .dim = {TUTTI_BATCH, 5, 1, 1}, .lo = 0.1F, .hi = 3}},
     .attr = &plane},
    {.label = "features",
     .n = 9,
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 19}}, {.rank = 1, .dim = {19}}},
     .attr = &unit},
    {.label = "two launches",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {4500, 3}}, {.rank = 1, .dim = {3}}},
     .attr = &fixed},
    {.label = "labels",
     .n_in = 2,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 3}, .hi = 3},
            {.rank = 1, .dim = {3}}},
     .attr = &unit,
     .refused = "pool_variance: input 0 is i32, expected f32"},
    {.label = "no channels",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {TUTTI_BATCH}}, {.rank = 0}},
     .attr = &unit,
     .refused = "pool_variance: m is N: expected rows of channels"},
    {.label = "other mean",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}}, {.rank = 1, .dim = {4}}},
     .attr = &unit,
     .refused = "pool_variance: m is Nx3, mean is 4: expected a row of m"},
    {.label = "other m2",
     .n_in = 3,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.rank = 1, .dim = {3}},
            {.rank = 2, .dim = {7, 3}}},
     .attr = &unit,
     .refused = "pool_variance: m is Nx3, m2 is 7x3: expected equal shapes"},
};

const tutti_op tutti_op_pool_variance = {
    .name = "pool_variance",
    .summary = "variance of rows about the mean of all, over the whole batch",
    .shapes = "m (N,C,...), mean (C,...), m2 like m (optional) -> (C,...)",
    .options = "weight of (m - mean)^2; rows of the batch",
    .source = "Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing "
              "sample variances, 1979",
    .n_in_min = 2,
    .n_in_max = 3,
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
