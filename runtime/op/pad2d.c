/* Images with a border of zeros or of their own reflection, or cut. */
#include <inttypes.h>

#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_pad2d_node(tutti_graph *graph, tutti_tensor x, const tutti_pad_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_pad2d, &x, 1, attr, sizeof *attr);
}

tutti_tensor tutti_pad2d(tutti_graph *g, tutti_tensor x, const tutti_pad2d_options *options) {
    tutti_pad_attr attr = {.reflect = options != NULL && options->mode == TUTTI_PAD_REFLECT};
    for (int d = 0; d < 2 && options != NULL; d++) {
        attr.before[d] = options->before[d];
        attr.after[d] = options->after[d];
    }
    return tutti_pad2d_node(g, x, &attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_pad_attr *a = node->attr;
    TUTTI_TRY(tutti_image_check(node));
    TUTTI_TRY(tutti_image_check_option(node, "padding before", a->before,
                                       a->reflect != 0 ? 0 : -TUTTI_IMAGE_MAX));
    TUTTI_TRY(tutti_image_check_option(node, "padding behind", a->after,
                                       a->reflect != 0 ? 0 : -TUTTI_IMAGE_MAX));
    const tutti_shape *x = &node->in_type[0].shape;
    char text[TUTTI_SHAPE_TEXT];
    int64_t size[2];
    for (int d = 0; d < 2; d++) {
        const int64_t length = x->dim[2 + d];
        size[d] = length + a->before[d] + a->after[d];
        if (a->reflect != 0 && (a->before[d] >= length || a->after[d] >= length))
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "x is %s: %" PRId64 " before and %" PRId64 " behind axis %d reach "
                                 "over its other end",
                                 tutti_shape_text(x, text), a->before[d], a->after[d], 2 + d);
        if (size[d] < 1)
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "x is %s: %" PRId64 " before and %" PRId64 " behind axis %d leave "
                                 "nothing",
                                 tutti_shape_text(x, text), a->before[d], a->after[d], 2 + d);
    }
    TUTTI_TRY(tutti_image_check_option(node, "size of the result", size, 1));
    out->type = tutti_image_type(x, size[0], size[1]);
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_image_cost(node, n, -1, 0);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_pad_attr *a = node->attr;
    const int64_t values[] = {a->before[0], a->before[1], a->reflect};
    return tutti_image_lower(node, device, out, "pad2d.cl", "pad2d", values, TUTTI_COUNT(values),
                             false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_pad_attr *a = node->attr;
    const tutti_pad_attr back = {.before = {-a->before[0], -a->before[1]},
                                 .after = {-a->after[0], -a->after[1]}};
    if (want[0])
        din[0] = a->reflect != 0 ? tutti_pad2d_grad(graph, dout[0], a)
                                 : tutti_pad2d_node(graph, dout[0], &back);
    return tutti_graph_status(graph);
}

/* The position along an axis that a padded one shows; -1 for none. */
static int64_t shown(int64_t at, int64_t length, bool reflect) {
    if (reflect && at < 0)
        at = -at;
    else if (reflect && at >= length)
        at = 2 * (length - 1) - at;
    return at >= 0 && at < length ? at : -1;
}

static void ref(const tutti_ref_call *call) {
    const tutti_pad_attr *a = call->node->attr;
    const tutti_shape *in = &call->node->in_type[0].shape, *out = &call->node->out_type[0].shape;
    const int64_t planes = tutti_extent_value(tutti_image_planes(in), call->run->n);
    const float *x = call->in[0];
    float *y = call->out[0];
    for (int64_t p = 0; p < planes; p++, x += in->dim[2] * in->dim[3])
        for (int64_t oh = 0; oh < out->dim[2]; oh++)
            for (int64_t ow = 0; ow < out->dim[3]; ow++) {
                const int64_t h = shown(oh - a->before[0], in->dim[2], a->reflect != 0);
                const int64_t w = shown(ow - a->before[1], in->dim[3], a->reflect != 0);
                *y++ = h < 0 || w < 0 ? 0 : x[h * in->dim[3] + w];
            }
}

#define IN(...)                                                                                    \
    {                                                                                              \
        .rank = 4, .dim = { __VA_ARGS__ }                                                          \
    }
static const tutti_pad_attr around = {{1, 1}, {1, 1}, 0}, uneven = {{2, 0}, {0, 3}, 0},
                            cut = {{-1, 2}, {1, -2}, 0}, mirror = {{1, 3}, {2, 0}, 1},
                            far = {{0, 5}, {0, 0}, 1}, negative = {{0, -1}, {0, 0}, 1},
                            gone = {{-2, 0}, {-2, 0}, 0};
static const tutti_op_example examples[] = {
    {.label = "zeros", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 4, 5)}, .attr = &around},
    {.label = "uneven", .n_in = 1, .in = {IN(2, 3, 4, 5)}, .attr = &uneven},
    {.label = "cut", .n_in = 1, .in = {IN(TUTTI_BATCH, 1, 4, 5)}, .attr = &cut},
    {.label = "reflect", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 3, 4)}, .attr = &mirror},
    {.label = "reflection too far",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 2, 4, 5)},
     .attr = &far,
     .refused = "pad2d: x is Nx2x4x5: 5 before and 0 behind axis 3 reach over its other end"},
    {.label = "negative reflection",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 2, 4, 5)},
     .attr = &negative,
     .refused = "pad2d: padding before is 0x-1, expected 0 to 32767"},
    {.label = "nothing left",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 2, 4, 5)},
     .attr = &gone,
     .refused = "pad2d: x is Nx2x4x5: -2 before and -2 behind axis 2 leave nothing"},
};

const tutti_op tutti_op_pad2d = {
    .name = "pad2d",
    .summary = "images with a border of zeros or of their reflection",
    .shapes = "x (N, C, H, W) -> (N, C, OH, OW)",
    .options = "before and behind, each {rows, columns}, up to 32767; zeros (negative: cut) or "
               "reflection (less than the extent)",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(tutti_pad_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
