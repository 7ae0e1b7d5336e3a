/* Convolution of images, as a cross-correlation. */
#include <inttypes.h>

#include "op/conv.h"

tutti_tensor tutti_conv2d_node(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                               tutti_tensor bias, const tutti_conv_attr *attr) {
    const tutti_tensor in[] = {x, weight, bias};
    return tutti_op_apply1(graph, &tutti_op_conv2d, in, bias.id != 0 ? 3 : 2, attr, sizeof *attr);
}

tutti_tensor tutti_conv2d(tutti_graph *g, tutti_tensor x, tutti_tensor weight, tutti_tensor bias,
                          const tutti_conv2d_options *options) {
    const tutti_conv_attr attr = tutti_conv_attr_of(options);
    return tutti_conv2d_node(g, x, weight, bias, &attr);
}

static tutti_conv view(const tutti_node_info *node) {
    const tutti_conv_attr *attr = node->attr;
    const tutti_shape *x = &node->in_type[0].shape, *w = &node->in_type[1].shape;
    return (tutti_conv){.attr = attr,
                        .images = tutti_extent_dim(x, 0),
                        .groups = attr->groups,
                        .c = w->dim[1],
                        .k = w->dim[0] / attr->groups,
                        .h = x->dim[2],
                        .w = x->dim[3],
                        .oh = tutti_conv_extent(attr, 0, x->dim[2], w->dim[2]),
                        .ow = tutti_conv_extent(attr, 1, x->dim[3], w->dim[3]),
                        .r = w->dim[2],
                        .s = w->dim[3]};
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    static const char *const names[] = {"x", "weight", "bias"};
    const tutti_conv_attr *attr = node->attr;
    tutti_status status = tutti_conv_check(node, names);
    if (status != TUTTI_OK)
        return status;
    const tutti_shape *x = &node->in_type[0].shape, *w = &node->in_type[1].shape;
    char text_x[TUTTI_SHAPE_TEXT], text_w[TUTTI_SHAPE_TEXT];
    tutti_shape_text(x, text_x);
    tutti_shape_text(w, text_w);
    if (w->batched)
        return tutti_op_fail(node, TUTTI_SHAPE, "weight is %s, expected no batch", text_w);
    if (x->dim[1] != w->dim[1] * attr->groups)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s, weight is %s: expected %" PRId64 " channels of x in %" PRId64
                             " groups of %" PRId64,
                             text_x, text_w, w->dim[1] * attr->groups, attr->groups, w->dim[1]);
    if (w->dim[0] % attr->groups != 0)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "weight is %s: its %" PRId64 " channels do not divide into %" PRId64
                             " groups",
                             text_w, w->dim[0], attr->groups);
    if (attr->extra[0] != 0 || attr->extra[1] != 0)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "output padding is %" PRId64 "x%" PRId64
                             ", expected 0x0: only conv_transpose2d has one",
                             attr->extra[0], attr->extra[1]);
    const tutti_conv p = view(node);
    if (p.oh < 1 || p.ow < 1)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s, weight is %s: with padding %" PRId64 "x%" PRId64
                             " and dilation %" PRId64 "x%" PRId64 " the taps do not fit",
                             text_x, text_w, attr->padding[0], attr->padding[1], attr->dilation[0],
                             attr->dilation[1]);
    out->type = (tutti_type){
        TUTTI_F32, {.rank = 4, .batched = x->batched, .dim = {x->dim[0], w->dim[0], p.oh, p.ow}}};
    return tutti_conv_check_bias(node, w->dim[0]);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_conv p = view(node);
    return tutti_conv_cost(node, &p, n);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_conv p = view(node);
    return tutti_conv_lower(node, device, out, &p, false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_conv p = view(node);
    if (want[0])
        din[0] = tutti_conv2d_data_grad(graph, &p, dout[0], node->in[1]);
    if (want[1])
        din[1] = tutti_conv2d_weight_grad(graph, node->in[0], dout[0], p.r, p.s, p.attr);
    if (node->n_in == 3 && want[2])
        din[2] = tutti_sum(graph, dout[0], 3, (int32_t[]){0, 2, 3}, false);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const tutti_conv p = view(call->node);
    const tutti_conv_attr *a = p.attr;
    const float *x = call->in[0], *w = call->in[1],
                *bias = call->node->n_in == 3 ? call->in[2] : NULL;
    float *y = call->out[0];
    const int64_t images = tutti_extent_value(p.images, call->run->n);
    for (int64_t i = 0; i < images; i++)
        for (int64_t k = 0; k < p.groups * p.k; k++)
            for (int64_t oh = 0; oh < p.oh; oh++)
                for (int64_t ow = 0; ow < p.ow; ow++) {
                    double sum = bias != NULL ? (double)bias[k] : 0;
                    for (int64_t c = 0; c < p.c; c++)
                        for (int64_t r = 0; r < p.r; r++)
                            for (int64_t s = 0; s < p.s; s++) {
                                const int64_t h =
                                    oh * a->stride[0] - a->padding[0] + r * a->dilation[0];
                                const int64_t v =
                                    ow * a->stride[1] - a->padding[1] + s * a->dilation[1];
                                if (h < 0 || h >= p.h || v < 0 || v >= p.w)
                                    continue;
                                const int64_t channel = k / p.k * p.c + c;
                                sum += (double)
                                           x[((i * p.groups * p.c + channel) * p.h + h) * p.w + v] *
                                       (double)w[((k * p.c + c) * p.r + r) * p.s + s];
                            }
                    y[((i * p.groups * p.k + k) * p.oh + oh) * p.ow + ow] = (float)sum;
                }
}

#define IN(...)                                                                                    \
    { .rank = 4, .dim = {__VA_ARGS__}, .lo = -0.25F, .hi = 1 }
static const tutti_conv_attr plain = {{1, 1}, {0, 0}, {1, 1}, 1, {0, 0}},
                             same = {{1, 1}, {1, 1}, {1, 1}, 1, {0, 0}},
                             strided = {{2, 2}, {1, 1}, {1, 1}, 1, {0, 0}},
                             mixed = {{2, 3}, {3, 1}, {2, 1}, 1, {0, 0}},
                             grouped = {{1, 2}, {1, 0}, {1, 1}, 2, {0, 0}},
                             pointwise = {{2, 2}, {0, 0}, {1, 1}, 2, {0, 0}},
                             depthwise = {{1, 1}, {1, 1}, {1, 1}, 3, {0, 0}},
                             padded = {{2, 2}, {1, 1}, {1, 1}, 1, {0, 1}},
                             none = {{0, 1}, {0, 0}, {1, 1}, 1, {0, 0}},
                             countless = {{1, 1}, {0, 0}, {1, 1}, INT64_MAX, {0, 0}};
static const tutti_op_example examples[] = {
    {.label = "3x3, same size",
     .n = 2,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 2, 6, 5), IN(9, 2, 3, 3), {.rank = 1, .dim = {9}}},
     .attr = &same},
    {.label = "one by one", .n_in = 2, .in = {IN(1, 1, 1, 1), IN(1, 1, 1, 1)}, .attr = &plain},
    {.label = "1x1",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 5, 3, 33), IN(11, 5, 1, 1)},
     .attr = &plain},
    {.label = "1x1, stride 2",
     .n = 2,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 4, 3, 6), IN(18, 2, 1, 1), {.rank = 1, .dim = {18}}},
     .attr = &pointwise},
    {.label = "5x5, long rows", .n_in = 2, .in = {IN(1, 1, 7, 70), IN(2, 1, 5, 5)}, .attr = &plain},
    {.label = "stride 2",
     .n = 3,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 7), IN(8, 3, 3, 3)},
     .attr = &strided},
    {.label = "stride, dilation, no square",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 9, 11), IN(3, 2, 3, 2)},
     .attr = &mixed},
    {.label = "short rows",
     .n = 2,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 2, 9, 11), IN(27, 2, 3, 2), {.rank = 1, .dim = {27}}},
     .attr = &mixed},
    {.label = "groups",
     .n = 2,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 4, 5, 6), IN(10, 2, 2, 3), {.rank = 1, .dim = {10}}},
     .attr = &grouped},
    {.label = "depthwise",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 5, 17), IN(3, 1, 3, 3)},
     .attr = &depthwise},
    {.label = "small",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 1, 3, 3), IN(11, 1, 2, 2)},
     .attr = &plain},
    {.label = "small, stride 2",
     .n = 1,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 4, 5), IN(2, 2, 2, 3)},
     .attr = &strided},
    {.label = "a row", .n_in = 2, .in = {IN(1, 1, 1, 18), IN(1, 1, 3, 3)}, .attr = &same},
    /* Three strips of 16 on GPUs. */
    {.label = "strips",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 11, 2, 2), IN(9, 11, 2, 2)},
     .attr = &plain},
    {.label = "long sum",
     .n_in = 3,
     .in = {IN(1, 460, 3, 4), IN(2, 460, 3, 3), {.rank = 1, .dim = {2}}},
     .attr = &plain},
    {.label = "tiles of 4x4",
     .n = 3,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 13, 7, 10), IN(30, 13, 3, 3), {.rank = 1, .dim = {30}}},
     .attr = &same},
    {.label = "few tiles",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 28, 5, 6), IN(14, 28, 3, 3)},
     .attr = &plain},
    {.label = "tiles of 2x2",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 28, 6, 5), IN(14, 28, 3, 3)},
     .attr = &same},
    {.label = "rows of many tiles",
     .n_in = 2,
     .in = {IN(1, 15, 4, 102), IN(14, 15, 3, 3)},
     .attr = &same},
    {.label = "many channels",
     .n_in = 2,
     .in = {{.rank = 4, .dim = {2, 11, 9, 20}, .no_grad = true},
            {.rank = 4, .dim = {70, 11, 3, 3}, .no_grad = true}},
     .attr = &same},
    {.label = "channels",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(8, 4, 3, 3)},
     .attr = &plain,
     .refused =
         "conv2d: x is Nx3x8x8, weight is 8x4x3x3: expected 4 channels of x in 1 groups of 4"},
    {.label = "channels out",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 4, 8, 8), IN(7, 2, 3, 3)},
     .attr = &grouped,
     .refused = "conv2d: weight is 7x2x3x3: its 7 channels do not divide into 2 groups"},
    {.label = "too small",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 2, 8), IN(8, 3, 5, 3)},
     .attr = &same,
     .refused =
         "conv2d: x is Nx3x2x8, weight is 8x3x5x3: with padding 1x1 and dilation 1x1 the taps"},
    {.label = "bias",
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(8, 3, 3, 3), {.rank = 1, .dim = {3}}},
     .attr = &same,
     .refused = "conv2d: bias is 3, expected 8"},
    {.label = "no stride",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(8, 3, 3, 3)},
     .attr = &none,
     .refused = "conv2d: stride is 0x1, expected 1 to 65535"},
    {.label = "output padding",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(8, 3, 3, 3)},
     .attr = &padded,
     .refused = "conv2d: output padding is 0x1, expected 0x0"},
    {.label = "too many groups",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(8, 3, 3, 3)},
     .attr = &countless,
     .refused = "conv2d: x is Nx3x8x8, groups is 9223372036854775807: expected 1 to its 3"},
    {.label = "three axes",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 8}}, IN(8, 3, 3, 3)},
     .attr = &same,
     .refused = "conv2d: x is Nx3x8, expected 4 axes"},
    {.label = "batched weight",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(TUTTI_BATCH, 3, 3, 3)},
     .attr = &same,
     .refused = "conv2d: weight is Nx3x3x3, expected no batch"},
};

const tutti_op tutti_op_conv2d = {
    .name = "conv2d",
    .summary = "convolution of images with a weight of R x S taps, plus a bias",
    .shapes = "x (N, C, H, W), weight (K, C / groups, R, S), bias (K) or none -> (N, K, OH, OW)",
    .options =
        "stride 1 to 65535, padding 0 to 65535, dilation 1 to 65535, each {height, width}; groups",
    .source = "LeCun et al. 1998; groups: Krizhevsky et al. 2012; dilation: Yu, Koltun 2016",
    .n_in_min = 2,
    .n_in_max = 3,
    .n_out = 1,
    .flags = TUTTI_OP_EPILOGUE,
    .loads = 1U << 0,
    .attr_size = sizeof(tutti_conv_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
