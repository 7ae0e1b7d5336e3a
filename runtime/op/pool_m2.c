/* Sums of squared deviations of rows about the mean of them all (Chan, Golub, LeVeque: Updating
 * formulae and a pairwise algorithm for computing sample variances, 1979). With one mean for the
 * whole batch the devices' results add up, and a large mean costs no digits. */
#include "op/norm.h"

tutti_tensor tutti_pool_m2(tutti_graph *graph, tutti_tensor m, tutti_tensor m2, tutti_tensor mean,
                           float weight) {
    const tutti_tensor in[] = {m, mean, m2};
    return tutti_op_apply1(graph, &tutti_op_pool_m2, in, m2.id == 0 ? 2 : 3, &weight,
                           sizeof weight);
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

static tutti_norm_view view_of(const tutti_node_info *node) {
    return tutti_norm_view_of(&node->in_type[0].shape, 1, node->in_type[0].shape.rank);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){4 * count, 4 * count * (node->n_in - 1)};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_norm_view v = view_of(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int64_t width = is_cpu ? 16 : 64;
    const int64_t parts =
        tutti_norm_parts(device, v.rows, (v.channels + width - 1) / width, is_cpu ? 16 : 64);
    const bool has_m2 = node->n_in == 3;
    tutti_candidate *candidate = tutti_lowering_candidate(out, is_cpu ? "columns" : "items");
    uint32_t scratch = 0;
    if (parts > 1)
        scratch =
            tutti_candidate_scratch(out, candidate, tutti_extent_const(4 * parts * v.channels));
    tutti_launch *launch = tutti_candidate_launch(out, candidate, "pool_m2.cl",
                                                  is_cpu ? "pool_m2_columns" : "pool_m2_items",
                                                  "%s", has_m2 ? "-DM2" : "");
    tutti_launch_tensor(out, launch, node->in[0]);
    if (has_m2)
        tutti_launch_tensor(out, launch, node->in[2]);
    tutti_launch_tensor(out, launch, node->in[1]);
    if (parts > 1)
        tutti_launch_scratch(out, launch, scratch);
    else
        tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_f32(out, launch, *(const float *)node->attr);
    tutti_launch_i32(out, launch, v.rows);
    tutti_launch_i32(out, launch, tutti_extent_const(v.channels));
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_range(launch, tutti_extent_const(v.channels), is_cpu ? 16 : 1, is_cpu ? 1 : 64);
    tutti_launch_range(launch, tutti_extent_const(parts), 1, 1);
    if (parts > 1)
        tutti_norm_add_parts(out, candidate, device, scratch, node->out[0], parts, v.channels);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_norm_view v = view_of(call->node);
    const double weight = (double)*(const float *)call->node->attr;
    const int64_t rows = tutti_extent_value(v.rows, call->run->n);
    const float *m = call->in[0], *mean = call->in[1];
    const float *m2 = call->node->n_in == 3 ? call->in[2] : NULL;
    for (int64_t c = 0; c < v.channels; c++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) {
            const double d = (double)m[r * v.channels + c] - (double)mean[c];
            sum += weight * d * d + (m2 != NULL ? (double)m2[r * v.channels + c] : 0);
        }
        ((float *)call->out[0])[c] = (float)sum;
    }
}

/* The derivative by the mean is 0 where it is the mean of the rows, the sum of deviations. */
static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const float weight = *(const float *)node->attr;
    if (want[0])
        din[0] = tutti_scale(graph,
                             tutti_mul(graph, tutti_sub(graph, node->in[0], node->in[1]), dout[0]),
                             2 * weight);
    if (node->n_in == 3 && want[2])
        din[2] = tutti_broadcast_like(graph, dout[0], node->in[2]);
    return tutti_graph_status(graph);
}

static const float unit = 1, plane = 35;
static const tutti_op_example examples[] = {
    {.label = "planes",
     .n = 9,
     .n_in = 3,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 5, 1, 1}},
            {.rank = 3, .dim = {5, 1, 1}, .no_grad = true},
            {.rank = 4, .dim = {TUTTI_BATCH, 5, 1, 1}, .lo = 0.1F, .hi = 3}},
     .attr = &plane},
    {.label = "features",
     .n = 9,
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 19}}, {.rank = 1, .dim = {19}, .no_grad = true}},
     .attr = &unit},
    {.label = "two launches",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {4500, 3}}, {.rank = 1, .dim = {3}, .no_grad = true}},
     .attr = &unit},
    {.label = "labels",
     .n_in = 2,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 3}, .hi = 3},
            {.rank = 1, .dim = {3}}},
     .attr = &unit,
     .refused = "pool_m2: input 0 is i32, expected f32"},
    {.label = "no channels",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {TUTTI_BATCH}}, {.rank = 0}},
     .attr = &unit,
     .refused = "pool_m2: m is N: expected rows of channels"},
    {.label = "other mean",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}}, {.rank = 1, .dim = {4}}},
     .attr = &unit,
     .refused = "pool_m2: m is Nx3, mean is 4: expected a row of m"},
    {.label = "other m2",
     .n_in = 3,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.rank = 1, .dim = {3}},
            {.rank = 2, .dim = {7, 3}}},
     .attr = &unit,
     .refused = "pool_m2: m is Nx3, m2 is 7x3: expected equal shapes"},
};

const tutti_op tutti_op_pool_m2 = {
    .name = "pool_m2",
    .summary = "squared deviations of rows about the mean of all, summed",
    .shapes = "m (N,C,...), mean (C,...), m2 like m (optional) -> (C,...)",
    .options = "weight of (m - mean)^2",
    .source = "Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing "
              "sample variances, 1979",
    .n_in_min = 2,
    .n_in_max = 3,
    .n_out = 1,
    .attr_size = sizeof(float),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
