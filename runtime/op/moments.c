/* Mean and sum of squared deviations of rows. */
#include "op/norm.h"
#include "op/rows.h"

#define SHORT_ROW 32

typedef struct moments_attr {
    int32_t n_axes, reserved;
} moments_attr;

tutti_status tutti_moments(tutti_graph *graph, tutti_tensor x, int32_t n_axes,
                           tutti_tensor *out_mean, tutti_tensor *out_m2) {
    const moments_attr attr = {n_axes, 0};
    tutti_tensor out[2];
    const tutti_status status =
        tutti_op_apply(graph, &tutti_op_moments, &x, 1, &attr, sizeof attr, out);
    *out_mean = out[0];
    *out_m2 = out[1];
    return status;
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const moments_attr *attr = node->attr;
    const tutti_type *x = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT];
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    if (attr->n_axes < 1 || attr->n_axes > x->shape.rank - (x->shape.batched ? 1 : 0))
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s: it has no %d axes besides the batch",
                             tutti_shape_text(&x->shape, text), (int)attr->n_axes);
    out[0].type = *x;
    for (int32_t i = x->shape.rank - attr->n_axes; i < x->shape.rank; i++)
        out[0].type.shape.dim[i] = 1;
    out[1].type = out[0].type;
    return TUTTI_OK;
}

static tutti_norm_view view_of(const tutti_node_info *node) {
    const moments_attr *attr = node->attr;
    const tutti_shape *shape = &node->in_type[0].shape;
    return tutti_norm_view_of(shape, shape->rank - attr->n_axes, shape->rank);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double x = (double)tutti_shape_count(&node->in_type[0].shape, n);
    const double rows = (double)tutti_shape_count(&node->out_type[0].shape, n);
    return (tutti_cost){4 * x, 4 * x + 8 * rows};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_norm_view v = view_of(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int local = v.channels >= 1024 ? 256 : 64;
    const bool group =
        !is_cpu && v.channels > SHORT_ROW && device->max_work_group >= (uint32_t)local;
    tutti_candidate *candidate = tutti_lowering_candidate(out, group ? "group" : "row");
    tutti_launch *launch =
        group ? tutti_candidate_launch(out, candidate, "moments.cl", "moments_group", "-DLOCAL=%d",
                                       local)
              : tutti_candidate_launch(out, candidate, "moments.cl", "moments_row", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_tensor(out, launch, node->out[1]);
    tutti_launch_i32(out, launch, v.rows);
    tutti_launch_i32(out, launch, tutti_extent_const(v.channels));
    if (group)
        tutti_launch_range(launch, (tutti_extent){v.rows.base * local, v.rows.per_sample * local},
                           1, local);
    else
        tutti_launch_range(launch, v.rows, 1, is_cpu ? 1 : 64);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_norm_view v = view_of(call->node);
    const int64_t rows = tutti_extent_value(v.rows, call->run->n);
    const float *x = call->in[0];
    for (int64_t r = 0; r < rows; r++, x += v.channels) {
        double mean = 0, m2 = 0;
        for (int64_t c = 0; c < v.channels; c++)
            mean += (double)x[c] / (double)v.channels;
        for (int64_t c = 0; c < v.channels; c++)
            m2 += ((double)x[c] - mean) * ((double)x[c] - mean);
        ((float *)call->out[0])[r] = (float)mean;
        ((float *)call->out[1])[r] = (float)m2;
    }
}

/* d mean / d x = 1 / columns, d m2 / d x = 2 (x - mean). Factors are applied in the shape of x, where
 * they cost nothing. */
static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor x = node->in[0];
    if (!want[0])
        return TUTTI_OK;
    tutti_tensor of_mean = {0}, of_m2 = {0};
    if (dout[0].id != 0)
        of_mean = tutti_scale(graph, tutti_broadcast_like(graph, dout[0], x),
                              (float)(1.0 / (double)view_of(node).channels));
    if (dout[1].id != 0)
        of_m2 = tutti_scale(graph, tutti_mul(graph, tutti_sub(graph, x, node->out[0]), dout[1]), 2);
    if (of_m2.id == 0 || of_mean.id == 0)
        din[0] = of_m2.id == 0 ? of_mean : of_m2;
    else
        din[0] = tutti_add(graph, of_m2, of_mean);
    return tutti_graph_status(graph);
}

static const moments_attr one = {1, 0}, two = {2, 0}, three = {3, 0};
static const tutti_op_example examples[] = {
    {.label = "planes",
     .n = 2,
     .n_in = 1,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 3, 5, 7}}},
     .attr = &two},
    {.label = "samples",
     .n = 2,
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 100}}},
     .attr = &one},
    {.label = "far from zero",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 64}, .lo = 1000, .hi = 1001, .no_grad = true}},
     .attr = &one},
    {.label = "long row",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {1500}, .lo = -0.25F, .hi = 1}},
     .attr = &one},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3}},
     .attr = &one,
     .refused = "moments: x is i32, expected f32"},
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 4}}},
     .attr = &three,
     .refused = "moments: x is Nx3x4: it has no 3 axes besides the batch"},
};

const tutti_op tutti_op_moments = {
    .name = "moments",
    .summary = "mean and sum of squared deviations over the last axes",
    .shapes = "x -> mean and m2, x's with last extents of 1",
    .options = "how many last axes",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 2,
    .attr_size = sizeof(moments_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
