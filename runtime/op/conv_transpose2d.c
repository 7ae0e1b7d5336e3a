/* Transposed convolution: the data gradient of conv2d, as an op of its own (Zeiler et al. 2010). */
#include <inttypes.h>

#include "base/status.h"
#include "op/conv.h"

tutti_tensor tutti_conv_transpose2d_node(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                                         tutti_tensor bias, const tutti_conv_attr *attr) {
    const tutti_tensor in[] = {x, weight, bias};
    return tutti_op_apply1(graph, &tutti_op_conv_transpose2d, in, bias.id != 0 ? 3 : 2, attr,
                           sizeof *attr);
}

tutti_tensor tutti_conv_transpose2d(tutti_graph *g, tutti_tensor x, tutti_tensor weight,
                                    tutti_tensor bias, const tutti_conv2d_options *options) {
    const tutti_conv_attr attr = tutti_conv_attr_of(options);
    return tutti_conv_transpose2d_node(g, x, weight, bias, &attr);
}

static int64_t extent(const tutti_conv_attr *attr, int d, int64_t size, int64_t taps) {
    return (size - 1) * attr->stride[d] - 2 * attr->padding[d] + attr->dilation[d] * (taps - 1) +
           attr->extra[d] + 1;
}

/* x is the small tensor here: its channels are summed over. */
static tutti_conv view(const tutti_node_info *node) {
    const tutti_conv_attr *attr = node->attr;
    const tutti_shape *x = &node->in_type[0].shape, *w = &node->in_type[1].shape;
    return (tutti_conv){.attr = attr,
                        .images = tutti_extent_dim(x, 0),
                        .groups = attr->groups,
                        .c = w->dim[0] / attr->groups,
                        .k = w->dim[1],
                        .h = x->dim[2],
                        .w = x->dim[3],
                        .oh = extent(attr, 0, x->dim[2], w->dim[2]),
                        .ow = extent(attr, 1, x->dim[3], w->dim[3]),
                        .r = w->dim[2],
                        .s = w->dim[3]};
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    static const char *const names[] = {"x", "weight", "bias"};
    const tutti_conv_attr *attr = node->attr;
    TUTTI_TRY(tutti_conv_check(node, names));
    const tutti_shape *x = &node->in_type[0].shape, *w = &node->in_type[1].shape;
    char text_x[TUTTI_SHAPE_TEXT], text_w[TUTTI_SHAPE_TEXT];
    tutti_shape_text(x, text_x);
    tutti_shape_text(w, text_w);
    if (w->batched)
        return tutti_op_fail(node, TUTTI_SHAPE, "weight is %s, expected no batch", text_w);
    if (x->dim[1] != w->dim[0])
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s, weight is %s: %" PRId64 " and %" PRId64 " channels differ",
                             text_x, text_w, x->dim[1], w->dim[0]);
    if (w->dim[0] % attr->groups != 0)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "weight is %s: its %" PRId64 " channels do not divide into %" PRId64
                             " groups",
                             text_w, w->dim[0], attr->groups);
    for (int d = 0; d < 2; d++)
        if (attr->extra[d] < 0 || attr->extra[d] >= attr->stride[d])
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "output padding is %" PRId64 "x%" PRId64
                                 ", expected less than the stride, %" PRId64 "x%" PRId64,
                                 attr->extra[0], attr->extra[1], attr->stride[0], attr->stride[1]);
    const tutti_conv p = view(node);
    if (p.oh < 1 || p.ow < 1)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s, weight is %s: with padding %" PRId64 "x%" PRId64
                             " nothing is left of the result",
                             text_x, text_w, attr->padding[0], attr->padding[1]);
    const int64_t channels = w->dim[1] * attr->groups;
    out->type = (tutti_type){
        TUTTI_F32, {.rank = 4, .batched = x->batched, .dim = {x->dim[0], channels, p.oh, p.ow}}};
    return tutti_conv_check_bias(node, channels);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_conv p = view(node);
    return tutti_conv_cost(node, &p, n);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_conv p = view(node);
    return tutti_conv_lower(node, device, out, &p, true);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_conv p = view(node);
    if (want[0]) {
        const tutti_conv_attr attr = tutti_conv_attr_with(p.attr, 0, 0);
        din[0] = tutti_conv2d_node(graph, dout[0], node->in[1], (tutti_tensor){0}, &attr);
    }
    if (want[1])
        din[1] = tutti_conv2d_weight_grad(graph, dout[0], node->in[0], p.r, p.s, p.attr);
    if (node->n_in == 3 && want[2])
        din[2] = tutti_sum(graph, dout[0], 3, (int32_t[]){0, 2, 3}, false);
    return tutti_graph_status(graph);
}

/* Every element of y sums the taps whose place in x is a whole number. */
static double element(const tutti_conv *p, const float *x, const float *w, int64_t channel,
                      int64_t oh, int64_t ow) {
    const tutti_conv_attr *a = p->attr;
    const int64_t g = channel / p->k, k = channel % p->k;
    double sum = 0;
    for (int64_t c = g * p->c; c < (g + 1) * p->c; c++)
        for (int64_t r = 0; r < p->r; r++)
            for (int64_t s = 0; s < p->s; s++) {
                const int64_t h = oh + a->padding[0] - r * a->dilation[0];
                const int64_t v = ow + a->padding[1] - s * a->dilation[1];
                if (h < 0 || v < 0 || h % a->stride[0] != 0 || v % a->stride[1] != 0 ||
                    h / a->stride[0] >= p->h || v / a->stride[1] >= p->w)
                    continue;
                sum += (double)x[(c * p->h + h / a->stride[0]) * p->w + v / a->stride[1]] *
                       (double)w[((c * p->k + k) * p->r + r) * p->s + s];
            }
    return sum;
}

static void ref(const tutti_ref_call *call) {
    const tutti_conv p = view(call->node);
    const float *x = call->in[0], *w = call->in[1];
    const float *bias = call->node->n_in == 3 ? call->in[2] : NULL;
    float *y = call->out[0];
    const int64_t images = tutti_extent_value(p.images, call->run->n);
    for (int64_t i = 0; i < images; i++, x += p.groups * p.c * p.h * p.w)
        for (int64_t k = 0; k < p.groups * p.k; k++)
            for (int64_t oh = 0; oh < p.oh; oh++)
                for (int64_t ow = 0; ow < p.ow; ow++)
                    *y++ = (float)(element(&p, x, w, k, oh, ow) +
                                   (bias != NULL ? (double)bias[k] : 0.0));
}

#define IN(...)                                                                                    \
    { .rank = 4, .dim = {__VA_ARGS__}, .lo = -0.25F, .hi = 1 }
static const tutti_conv_attr plain = {{1, 1}, {0, 0}, {1, 1}, 1, {0, 0}},
                             same = {{1, 1}, {1, 1}, {1, 1}, 1, {0, 0}},
                             twice = {{2, 2}, {1, 1}, {1, 1}, 1, {1, 1}},
                             mixed = {{3, 2}, {1, 3}, {1, 2}, 1, {2, 0}},
                             sparse = {{3, 3}, {0, 1}, {1, 1}, 1, {1, 2}},
                             grouped = {{1, 2}, {1, 0}, {1, 1}, 2, {0, 1}},
                             depthwise = {{2, 1}, {1, 1}, {1, 1}, 3, {0, 0}},
                             too_much = {{2, 1}, {0, 0}, {2, 2}, 1, {0, 1}},
                             all_cut = {{1, 1}, {3, 0}, {1, 1}, 1, {0, 0}};
static const tutti_op_example examples[] = {
    {.label = "3x3, same size",
     .n = 2,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 2, 6, 5), IN(2, 9, 3, 3), {.rank = 1, .dim = {9}}},
     .attr = &same},
    {.label = "one by one", .n_in = 2, .in = {IN(1, 1, 1, 1), IN(1, 1, 1, 1)}, .attr = &plain},
    {.label = "stride 2",
     .n = 3,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 8, 4, 5), IN(8, 3, 3, 3)},
     .attr = &twice},
    {.label = "stride, dilation, no square",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 4, 20), IN(2, 3, 3, 4)},
     .attr = &mixed},
    {.label = "fewer taps than stride",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 3, 4), IN(2, 3, 1, 2)},
     .attr = &sparse},
    {.label = "groups",
     .n = 2,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 4, 5, 3), IN(4, 5, 2, 3), {.rank = 1, .dim = {10}}},
     .attr = &grouped},
    {.label = "depthwise",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 4, 17), IN(3, 1, 3, 3)},
     .attr = &depthwise},
    {.label = "small",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 1, 2, 2), IN(1, 11, 2, 2)},
     .attr = &plain},
    {.label = "small, stride 2",
     .n = 1,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 2, 2), IN(2, 2, 3, 3)},
     .attr = &twice},
    {.label = "1x1",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 3, 3), IN(3, 9, 1, 1)},
     .attr = &plain},
    {.label = "a row", .n_in = 2, .in = {IN(1, 1, 1, 18), IN(1, 1, 3, 3)}, .attr = &same},
    {.label = "tiles of 4x4",
     .n = 3,
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 14, 6, 9), IN(14, 31, 3, 3), {.rank = 1, .dim = {31}}},
     .attr = &plain},
    {.label = "many channels",
     .n_in = 2,
     .in = {{.rank = 4, .dim = {2, 11, 4, 9}, .no_grad = true},
            {.rank = 4, .dim = {11, 70, 3, 3}, .no_grad = true}},
     .attr = &twice},
    {.label = "channels",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(8, 3, 3, 3)},
     .attr = &plain,
     .refused = "conv_transpose2d: x is Nx3x8x8, weight is 8x3x3x3: 3 and 8 channels differ"},
    {.label = "groups do not divide",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(3, 3, 3, 3)},
     .attr = &grouped,
     .refused = "conv_transpose2d: weight is 3x3x3x3: its 3 channels do not divide into 2 groups"},
    {.label = "output padding",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(3, 3, 3, 3)},
     .attr = &too_much,
     .refused = "conv_transpose2d: output padding is 0x1, expected less than the stride, 2x1"},
    {.label = "nothing left",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 2, 8), IN(3, 3, 3, 3)},
     .attr = &all_cut,
     .refused =
         "conv_transpose2d: x is Nx3x2x8, weight is 3x3x3x3: with padding 3x0 nothing is left"},
    {.label = "bias",
     .n_in = 3,
     .in = {IN(TUTTI_BATCH, 4, 8, 8), IN(4, 3, 3, 3), {.rank = 1, .dim = {4}}},
     .attr = &grouped,
     .refused = "conv_transpose2d: bias is 4, expected 6"},
    {.label = "labels",
     .n_in = 2,
     .in = {{.dtype = TUTTI_I32, .rank = 4, .dim = {TUTTI_BATCH, 3, 8, 8}, .hi = 3},
            IN(3, 3, 3, 3)},
     .attr = &plain,
     .refused = "conv_transpose2d: x is i32, expected f32"},
};

const tutti_op tutti_op_conv_transpose2d = {
    .name = "conv_transpose2d",
    .summary = "transposed convolution of images with a weight of R x S taps, plus a bias",
    .shapes = "x (N, C, H, W), weight (C, K / groups, R, S), bias (K) or none -> (N, K, OH, OW)",
    .options = "as conv2d; output padding less than the stride",
    .source = "Zeiler et al. 2010",
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
