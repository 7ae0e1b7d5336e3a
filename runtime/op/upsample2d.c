/* Images of another size: nearest positions, or bilinear between centres (align_corners false). */
#include <inttypes.h>

#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_upsample2d_node(tutti_graph *graph, tutti_tensor x, bool bilinear,
                                   int64_t height, int64_t width) {
    const tutti_upsample_attr attr = {.size = {height, width}, .bilinear = bilinear};
    return tutti_op_apply1(graph, &tutti_op_upsample2d, &x, 1, &attr, sizeof attr);
}

tutti_tensor tutti_upsample2d(tutti_graph *g, tutti_tensor x,
                              const tutti_upsample2d_options *options) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    int64_t size[2] = {0, 0};
    for (int d = 0; d < 2 && options != NULL; d++) {
        size[d] = options->size[d];
        const int64_t scale = options->scale[d];
        /* One out of range is refused as if it was the size. */
        if (size[d] == 0)
            size[d] = shape.rank == 4 && shape.dim[2 + d] <= TUTTI_IMAGE_MAX && scale > 0 &&
                              scale <= TUTTI_IMAGE_MAX
                          ? shape.dim[2 + d] * scale
                          : scale;
    }
    return tutti_upsample2d_node(g, x, options != NULL && options->mode == TUTTI_UPSAMPLE_BILINEAR,
                                 size[0], size[1]);
}

tutti_status tutti_upsample_check(const tutti_node_info *node) {
    const tutti_upsample_attr *attr = node->attr;
    TUTTI_TRY(tutti_image_check(node));
    return tutti_image_check_option(node, "size of the result", attr->size, 1);
}

tutti_between tutti_upsample_between(const tutti_upsample_attr *attr, int64_t index, int64_t size,
                                     int64_t out) {
    if (attr->bilinear == 0)
        return (tutti_between){index * size / out, index * size / out, 0};
    double at = ((double)index + 0.5) * (double)size / (double)out - 0.5;
    at = at < 0 ? 0 : at;
    const int64_t first = (int64_t)at < size ? (int64_t)at : size - 1;
    return (tutti_between){first, first + 1 < size ? first + 1 : first, at - (double)first};
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_upsample_attr *attr = node->attr;
    TUTTI_TRY(tutti_upsample_check(node));
    out->type = tutti_image_type(&node->in_type[0].shape, attr->size[0], attr->size[1]);
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_upsample_attr *attr = node->attr;
    return tutti_image_cost(node, n, -1, attr->bilinear != 0 ? 12 : 1);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_upsample_attr *attr = node->attr;
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    return tutti_image_lower(node, device, out, "upsample2d.cl",
                             is_cpu ? "upsample2d_lines" : "upsample2d", &attr->bilinear, 1, false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_upsample_attr *attr = node->attr;
    const tutti_shape *x = &node->in_type[0].shape;
    if (want[0])
        din[0] = tutti_upsample2d_grad(graph, dout[0], attr->bilinear != 0, x->dim[2], x->dim[3]);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const tutti_upsample_attr *attr = call->node->attr;
    const tutti_shape *in = &call->node->in_type[0].shape;
    const int64_t planes = tutti_extent_value(tutti_image_planes(in), call->run->n);
    const float *x = call->in[0];
    float *y = call->out[0];
    for (int64_t p = 0; p < planes; p++, x += in->dim[2] * in->dim[3])
        for (int64_t oh = 0; oh < attr->size[0]; oh++)
            for (int64_t ow = 0; ow < attr->size[1]; ow++) {
                const tutti_between v = tutti_upsample_between(attr, oh, in->dim[2], attr->size[0]);
                const tutti_between u = tutti_upsample_between(attr, ow, in->dim[3], attr->size[1]);
                const float *above = x + v.first * in->dim[3], *below = x + v.second * in->dim[3];
                const double high =
                    (1 - u.share) * (double)above[u.first] + u.share * (double)above[u.second];
                const double low =
                    (1 - u.share) * (double)below[u.first] + u.share * (double)below[u.second];
                *y++ = (float)((1 - v.share) * high + v.share * low);
            }
}

#define IN(...)                                                                                    \
    {                                                                                              \
        .rank = 4, .dim = { __VA_ARGS__ }                                                          \
    }
static const tutti_upsample_attr nearest_two = {{6, 10}, 0}, nearest_odd = {{7, 4}, 0},
                                 linear_two = {{6, 10}, 1}, linear_odd = {{7, 4}, 1},
                                 one = {{1, 1}, 1}, long_row = {{1, 1100}, 1},
                                 nothing = {{6, 0}, 1}, huge = {{40000, 6}, 0};
static const tutti_op_example examples[] = {
    {.label = "nearest", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 3, 5)}, .attr = &nearest_two},
    {.label = "nearest, odd", .n_in = 1, .in = {IN(2, 3, 3, 7)}, .attr = &nearest_odd},
    {.label = "bilinear", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 3, 5)}, .attr = &linear_two},
    {.label = "bilinear, odd", .n_in = 1, .in = {IN(2, 3, 3, 7)}, .attr = &linear_odd},
    {.label = "from one", .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 1, 1)}, .attr = &linear_odd},
    {.label = "to one", .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 3, 4)}, .attr = &one},
    {.label = "long row",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 1, 2, 300}, .no_grad = true}},
     .attr = &long_row},
    {.label = "no size",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 8, 5)},
     .attr = &nothing,
     .refused = "upsample2d: size of the result is 6x0, expected 1 to 32767"},
    {.label = "too large",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 8, 5)},
     .attr = &huge,
     .refused = "upsample2d: size of the result is 40000x6, expected 1 to 32767"},
    {.label = "three axes",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 8, 5}}},
     .attr = &one,
     .refused = "upsample2d: input 0 is Nx8x5, expected 4 axes"},
};

const tutti_op tutti_op_upsample2d = {
    .name = "upsample2d",
    .summary = "images of another size, nearest or bilinear",
    .shapes = "x (N, C, H, W) -> (N, C, OH, OW)",
    .options = "OH, OW 1 to 32767; nearest or bilinear",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(tutti_upsample_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
