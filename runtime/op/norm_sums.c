/* The gradients of a normalisation's scale and shift: sums over the batch, per channel. */
#include "op/norm.h"

tutti_status tutti_norm_sums(tutti_graph *graph, tutti_tensor dy, tutti_tensor x, tutti_tensor mean,
                             tutti_tensor rstd, const tutti_norm_sums_attr *attr,
                             tutti_tensor *out_scale, tutti_tensor *out_shift) {
    tutti_tensor out[2];
    const tutti_status status =
        tutti_op_apply(graph, &tutti_op_norm_sums, (tutti_tensor[]){dy, x, mean, rstd}, 4, attr,
                       sizeof *attr, out);
    *out_scale = out[0];
    *out_shift = out[1];
    return status;
}

static tutti_norm_view view_of(const tutti_node_info *node) {
    const tutti_norm_sums_attr *attr = node->attr;
    return tutti_norm_view_of(&node->in_type[0].shape, attr->first, attr->last);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_norm_sums_attr *attr = node->attr;
    const tutti_shape *dy = &node->in_type[0].shape;
    char text[TUTTI_SHAPE_TEXT], text_mean[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < 4; i++)
        if (node->in_type[i].dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %d is %s, expected f32", (int)i,
                                 tutti_dtype_name(node->in_type[i].dtype));
    if (attr->first < (dy->batched ? 1 : 0) || attr->first >= attr->last || attr->last > dy->rank)
        return tutti_op_fail(node, TUTTI_SHAPE, "dy is %s: axes %d to %d cannot be its channels",
                             tutti_shape_text(dy, text), (int)attr->first, (int)attr->last - 1);
    if (!tutti_shape_equal(dy, &node->in_type[1].shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "dy is %s, x is %s: expected equal shapes",
                             tutti_shape_text(dy, text),
                             tutti_shape_text(&node->in_type[1].shape, text_mean));
    const tutti_norm_view v = view_of(node);
    if (attr->groups < 0 || (attr->groups > 0 && v.channels % attr->groups != 0))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "dy is %s: %d groups do not divide its channels",
                             tutti_shape_text(dy, text), (int)attr->groups);
    tutti_extent count = tutti_extent_const(v.channels);
    if (attr->groups > 0)
        count = (tutti_extent){v.rows.base * attr->groups, v.rows.per_sample * attr->groups};
    for (int32_t i = 2; i < 4; i++) {
        const tutti_extent has = tutti_extent_count(&node->in_type[i].shape);
        if (has.base != count.base || has.per_sample != count.per_sample)
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "dy is %s, %s is %s: expected one per channel, or groups per row",
                                 tutti_shape_text(dy, text), i == 2 ? "mean" : "rstd",
                                 tutti_shape_text(&node->in_type[i].shape, text_mean));
    }
    out[0].type = (tutti_type){.dtype = TUTTI_F32, .shape = {.rank = attr->last - attr->first}};
    for (int32_t i = attr->first; i < attr->last; i++)
        out[0].type.shape.dim[i - attr->first] = dy->dim[i];
    out[0].batch_sum = dy->batched;
    out[1] = out[0];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    const double other = (double)tutti_shape_count(&node->in_type[2].shape, n) +
                         (double)tutti_shape_count(&node->out_type[0].shape, n);
    return (tutti_cost){5 * count, 8 * count + 8 * other};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    static const char *const entries[] = {"norm_sums_columns", "norm_sums_planes",
                                          "norm_sums_items", "norm_sums_group"};
    enum { COLUMNS, PLANES, ITEMS, GROUP } kind;
    const tutti_norm_sums_attr *attr = node->attr;
    const tutti_norm_view v = view_of(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int local = 64;
    if (is_cpu || device->max_work_group < (uint32_t)local)
        kind = v.inner == 1 && attr->groups <= 1 ? COLUMNS : PLANES;
    else
        kind = v.inner == 1 ? ITEMS : GROUP;
    const int64_t width = kind == COLUMNS || kind == ITEMS ? 64 : 1;
    const int64_t parts =
        tutti_norm_parts(device, v.rows, (v.channels + width - 1) / width, width * v.inner);
    tutti_candidate *candidate = tutti_lowering_candidate(out, entries[kind] + 10);
    uint32_t scratch[2] = {0};
    for (int i = 0; i < 2 && parts > 1; i++)
        scratch[i] =
            tutti_candidate_scratch(out, candidate, tutti_extent_const(4 * parts * v.channels));
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "norm_sums.cl", entries[kind], "-DLOCAL=%d%s", local,
                               attr->groups == 0 ? " -DPER_CHANNEL" : "");
    for (int32_t i = 0; i < 4; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    for (int i = 0; i < 2; i++) {
        if (parts > 1)
            tutti_launch_scratch(out, launch, scratch[i]);
        else
            tutti_launch_tensor(out, launch, node->out[i]);
    }
    tutti_launch_i32(out, launch, v.rows);
    tutti_launch_i32(out, launch, tutti_extent_const(v.channels));
    tutti_launch_i32(out, launch, tutti_extent_const(v.inner));
    tutti_launch_i32(out, launch, tutti_extent_const(attr->groups == 0 ? 1 : attr->groups));
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_range(launch, tutti_extent_const(v.channels * (kind == GROUP ? local : 1)),
                       kind == COLUMNS ? 64 : 1, kind == ITEMS || kind == GROUP ? local : 1);
    tutti_launch_range(launch, tutti_extent_const(parts), 1, 1);
    for (int i = 0; i < 2 && parts > 1; i++)
        tutti_norm_add_parts(out, candidate, device, scratch[i], node->out[i], parts, v.channels);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_norm_sums_attr *attr = call->node->attr;
    const tutti_norm_view v = view_of(call->node);
    const int64_t rows = tutti_extent_value(v.rows, call->run->n);
    const float *dy = call->in[0], *x = call->in[1], *mean = call->in[2], *rstd = call->in[3];
    for (int64_t c = 0; c < v.channels; c++) {
        double scale = 0, shift = 0;
        for (int64_t r = 0; r < rows; r++) {
            const int64_t of =
                attr->groups == 0 ? c : r * attr->groups + c / (v.channels / attr->groups);
            for (int64_t s = 0; s < v.inner; s++) {
                const int64_t at = (r * v.channels + c) * v.inner + s;
                scale += (double)dy[at] * ((double)x[at] - (double)mean[of]) * (double)rstd[of];
                shift += (double)dy[at];
            }
        }
        ((float *)call->out[0])[c] = (float)scale;
        ((float *)call->out[1])[c] = (float)shift;
    }
}

/* Mostly positive, so that the sums do not cancel to nothing. */
#define LIKE_X(...)                                                                                \
    {.rank = 4, .dim = {__VA_ARGS__}, .lo = -0.25F, .hi = 1}, {                                    \
        .rank = 4, .dim = {__VA_ARGS__}, .lo = -0.25F, .hi = 1                                     \
    }
#define PER_ROW(groups)                                                                            \
    {.rank = 2, .dim = {TUTTI_BATCH, groups}, .hi = 0.5F}, {                                       \
        .rank = 2, .dim = {TUTTI_BATCH, groups}, .lo = 0.5F, .hi = 2                               \
    }
#define PER_CHANNEL(count)                                                                         \
    {.rank = 1, .dim = {count}, .hi = 0.5F}, {                                                     \
        .rank = 1, .dim = {count}, .lo = 0.5F, .hi = 2                                             \
    }
static const tutti_norm_sums_attr per_channel = {1, 2, 0, 0}, grouped = {1, 2, 3, 0},
                                  layer = {1, 4, 1, 0}, whole = {0, 4, 1, 0}, uneven = {1, 2, 4, 0};
static const tutti_op_example examples[] = {
    {.label = "planes",
     .n = 2,
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 3, 5, 4), PER_CHANNEL(3)},
     .attr = &per_channel},
    {.label = "features",
     .n = 6,
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 21, 1, 1), PER_CHANNEL(21)},
     .attr = &per_channel},
    {.label = "groups of planes",
     .n = 2,
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 6, 3, 4), PER_ROW(3)},
     .attr = &grouped},
    {.label = "groups of features",
     .n = 3,
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 9, 1, 1), PER_ROW(3)},
     .attr = &grouped},
    {.label = "layer",
     .n = 3,
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 2, 3, 7), PER_ROW(1)},
     .attr = &layer},
    {.label = "two launches",
     .n_in = 4,
     .in = {LIKE_X(4500, 3, 1, 1), PER_CHANNEL(3)},
     .attr = &per_channel},
    {.label = "the batch",
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 3, 5, 7), PER_ROW(1)},
     .attr = &whole,
     .refused = "norm_sums: dy is Nx3x5x7: axes 0 to 3 cannot be its channels"},
    {.label = "uneven groups",
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 6, 5, 7), PER_ROW(4)},
     .attr = &uneven,
     .refused = "norm_sums: dy is Nx6x5x7: 4 groups do not divide its channels"},
    {.label = "other statistics",
     .n_in = 4,
     .in = {LIKE_X(TUTTI_BATCH, 6, 5, 7), PER_CHANNEL(7)},
     .attr = &per_channel,
     .refused = "norm_sums: dy is Nx6x5x7, mean is 7: expected one per channel"},
    {.label = "other x",
     .n_in = 4,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.rank = 2, .dim = {TUTTI_BATCH, 4}},
            PER_CHANNEL(3)},
     .attr = &per_channel,
     .refused = "norm_sums: dy is Nx3, x is Nx4: expected equal shapes"},
    {.label = "labels",
     .n_in = 4,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 3}, .hi = 3},
            {.rank = 2, .dim = {TUTTI_BATCH, 3}},
            PER_CHANNEL(3)},
     .attr = &per_channel,
     .refused = "norm_sums: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_norm_sums = {
    .name = "norm_sums",
    .summary = "gradients of a normalisation's scale and shift",
    .shapes = "dy, x (N,C,...), mean, rstd (C, or N x groups) -> two (C)",
    .options = "the channels' axes; groups, 0 for statistics per channel",
    .n_in_min = 4,
    .n_in_max = 4,
    .n_out = 2,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_norm_sums_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
