/* Gradient of max_pool2d by x: all of a window's goes to its first maximum. */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_max_pool2d_grad(tutti_graph *graph, tutti_tensor x, tutti_tensor dy,
                                   const tutti_pool_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_max_pool2d_grad, (tutti_tensor[]){x, dy}, 2, attr,
                           sizeof *attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_pool_attr *attr = node->attr;
    TUTTI_TRY(tutti_image_check(node));
    TUTTI_TRY(tutti_pool_check(node, attr));
    const tutti_shape *x = &node->in_type[0].shape, *dy = &node->in_type[1].shape;
    const tutti_type y = tutti_image_type(x, tutti_pool_extent(attr, 0, x->dim[2]),
                                          tutti_pool_extent(attr, 1, x->dim[3]));
    char text[TUTTI_SHAPE_TEXT], text_dy[TUTTI_SHAPE_TEXT];
    if (!tutti_shape_equal(dy, &y.shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "dy is %s, the windows of x are %s",
                             tutti_shape_text(dy, text_dy), tutti_shape_text(&y.shape, text));
    out->type = node->in_type[0];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_pool_attr *attr = node->attr;
    return tutti_image_cost(node, n, 1, 1 + (double)(attr->kernel[0] * attr->kernel[1]));
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_pool_attr *a = node->attr;
    const tutti_shape *dy = &node->in_type[1].shape;
    if (tutti_pool_is_pairs(a, device))
        return tutti_image_lower(node, device, out, "max_pool2d_grad.cl", "max_pool2d_grad_pairs",
                                 NULL, 0, true);
    if (tutti_pool_lower_whole(node, device, out, "max_pool2d_grad.cl", "max_pool2d_grad_whole"))
        return tutti_lowering_status(out);
    const int64_t values[] = {a->kernel[0],
                              a->kernel[1],
                              a->stride[0],
                              a->stride[1],
                              a->padding[0],
                              a->padding[1],
                              a->dilation[0],
                              a->dilation[1],
                              dy->dim[2],
                              dy->dim[3],
                              tutti_pool_line(a, device)};
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const bool lines = values[TUTTI_COUNT(values) - 1] > 0;
    return tutti_image_lower(node, device, out, "max_pool2d_grad.cl",
                             lines    ? "max_pool2d_grad_lines"
                             : is_cpu ? "max_pool2d_grad_planes"
                                      : "max_pool2d_grad",
                             values, TUTTI_COUNT(values) - !lines, true);
}

static void ref(const tutti_ref_call *call) {
    const tutti_pool_attr *a = call->node->attr;
    const tutti_shape *in = &call->node->in_type[0].shape, *out = &call->node->in_type[1].shape;
    const int64_t planes = tutti_extent_value(tutti_image_planes(in), call->run->n);
    const int64_t height = in->dim[2], width = in->dim[3];
    const float *x = call->in[0], *dy = call->in[1];
    float *dx = call->out[0];
    memset(dx, 0, (size_t)(planes * height * width) * sizeof *dx);
    for (int64_t p = 0; p < planes; p++, x += height * width, dx += height * width)
        for (int64_t oh = 0; oh < out->dim[2]; oh++)
            for (int64_t ow = 0; ow < out->dim[3]; ow++, dy++) {
                const tutti_span rows = tutti_pool_span(a, 0, oh, height, out->dim[2]);
                const tutti_span columns = tutti_pool_span(a, 1, ow, width, out->dim[3]);
                int64_t best = -1;
                for (int64_t h = rows.begin; h < rows.end; h += a->dilation[0])
                    for (int64_t w = columns.begin; w < columns.end; w += a->dilation[1]) {
                        const int64_t at = h * width + w;
                        if (h >= 0 && h < height && w >= 0 && w < width &&
                            (best < 0 || x[at] > x[best] || isnan(x[at])))
                            best = at;
                    }
                if (best >= 0)
                    dx[best] = (float)((double)dx[best] + (double)*dy);
            }
}

#define IN(...)                                                                                    \
    {                                                                                              \
        .rank = 4, .dim = { __VA_ARGS__ }                                                          \
    }
static const tutti_pool_attr
    two = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}},
    three = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .dilation = {1, 1}},
    whole = {.kernel = {9, 8}, .stride = {9, 8}, .dilation = {1, 1}},
    mixed = {.kernel = {3, 2}, .stride = {1, 3}, .padding = {1, 0}, .dilation = {2, 1}},
    spread = {.kernel = {2, 2}, .stride = {1, 1}, .padding = {1, 0}, .dilation = {2, 1}};
static const tutti_op_example examples[] = {
    {.label = "2x2",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 6, 5), IN(TUTTI_BATCH, 3, 3, 2)},
     .attr = &two},
    /* Of two values only: most windows have several maxima. */
    {.label = "2x2, wide, ties",
     .n = 2,
     .n_in = 2,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 2, 5, 23}, .lo = 1, .hi = 1.0000001F},
            IN(TUTTI_BATCH, 2, 2, 11)},
     .attr = &two},
    {.label = "2x2, narrow",
     .n = 3,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 4, 11), IN(TUTTI_BATCH, 2, 2, 5)},
     .attr = &two},
    {.label = "3x3, padded",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 5, 7), IN(TUTTI_BATCH, 2, 3, 4)},
     .attr = &three},
    /* Of two values only: most windows have several maxima. */
    {.label = "ties",
     .n_in = 2,
     .in = {{.rank = 4, .dim = {2, 2, 5, 7}, .lo = 1, .hi = 1.0000001F}, IN(2, 2, 3, 4)},
     .attr = &three},
    {.label = "whole, ties",
     .n = 2,
     .n_in = 2,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 2, 9, 8}, .lo = 1, .hi = 1.0000001F},
            IN(TUTTI_BATCH, 2, 1, 1)},
     .attr = &whole},
    {.label = "whole, NaN",
     .n = 2,
     .n_in = 2,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 2, 9, 8}, .lo = NAN, .hi = NAN, .no_grad = true},
            IN(TUTTI_BATCH, 2, 1, 1)},
     .attr = &whole},
    {.label = "dilated, no square",
     .n_in = 2,
     .in = {IN(2, 3, 6, 8), IN(2, 3, 4, 3)},
     .attr = &mixed},
    {.label = "long rows",
     .n_in = 2,
     .in = {IN(1, 1, 3, 1100), IN(1, 1, 3, 1099)},
     .attr = &spread},
    {.label = "long rows, stride 2",
     .n_in = 2,
     .in = {IN(1, 1, 3, 1100), IN(1, 1, 2, 550)},
     .attr = &three},
    {.label = "empty windows", .n_in = 2, .in = {IN(1, 2, 1, 3), IN(1, 2, 1, 2)}, .attr = &spread},
    {.label = "no fit",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 6, 5), IN(TUTTI_BATCH, 3, 3, 3)},
     .attr = &two,
     .refused = "max_pool2d_grad: dy is Nx3x3x3, the windows of x are Nx3x3x2"},
};

const tutti_op tutti_op_max_pool2d_grad = {
    .name = "max_pool2d_grad",
    .summary = "gradient of max_pool2d",
    .shapes = "x (N, C, H, W), dy (N, C, OH, OW) -> (N, C, H, W)",
    .options = "as max_pool2d",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_pool_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
