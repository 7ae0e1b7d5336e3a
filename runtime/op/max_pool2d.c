/* Maximum over windows of images. */
#include <inttypes.h>
#include <math.h>

#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_max_pool2d(tutti_graph *g, tutti_tensor x, const tutti_pool2d_options *options) {
    const tutti_pool_attr attr = tutti_pool_attr_of(options);
    return tutti_op_apply1(g, &tutti_op_max_pool2d, &x, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_pool_attr *attr = node->attr;
    TUTTI_TRY(tutti_image_check(node));
    TUTTI_TRY(tutti_pool_check(node, attr));
    const tutti_shape *x = &node->in_type[0].shape;
    const int64_t oh = tutti_pool_extent(attr, 0, x->dim[2]);
    const int64_t ow = tutti_pool_extent(attr, 1, x->dim[3]);
    char text[TUTTI_SHAPE_TEXT];
    if (attr->exclude != 0)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "exclude_padding is set: a maximum never counts padding");
    if (oh < 1 || ow < 1)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s: no window of %" PRId64 "x%" PRId64
                             " fits, with padding %" PRId64 "x%" PRId64,
                             tutti_shape_text(x, text), attr->kernel[0], attr->kernel[1],
                             attr->padding[0], attr->padding[1]);
    out->type = tutti_image_type(x, oh, ow);
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_pool_attr *attr = node->attr;
    return tutti_image_cost(node, n, -1, (double)(attr->kernel[0] * attr->kernel[1]));
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_pool_attr *a = node->attr;
    if (tutti_pool_is_pairs(a, device))
        return tutti_image_lower(node, device, out, "max_pool2d.cl", "max_pool2d_pairs", NULL, 0,
                                 false);
    if (tutti_pool_lower_whole(node, device, out, "max_pool2d.cl", "max_pool2d_whole"))
        return tutti_lowering_status(out);
    const int64_t values[] = {a->kernel[0],   a->kernel[1],   a->stride[0],
                              a->stride[1],   a->padding[0],  a->padding[1],
                              a->dilation[0], a->dilation[1], tutti_pool_line(a, device)};
    const bool lines = values[TUTTI_COUNT(values) - 1] > 0;
    return tutti_image_lower(node, device, out, "max_pool2d.cl",
                             lines ? "max_pool2d_lines" : "max_pool2d", values,
                             TUTTI_COUNT(values) - !lines, false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_max_pool2d_grad(graph, node->in[0], dout[0], node->attr);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const tutti_pool_attr *a = call->node->attr;
    const tutti_shape *in = &call->node->in_type[0].shape, *out = &call->node->out_type[0].shape;
    const int64_t planes = tutti_extent_value(tutti_image_planes(in), call->run->n);
    const int64_t height = in->dim[2], width = in->dim[3];
    const float *x = call->in[0];
    float *y = call->out[0];
    for (int64_t p = 0; p < planes; p++, x += height * width)
        for (int64_t oh = 0; oh < out->dim[2]; oh++)
            for (int64_t ow = 0; ow < out->dim[3]; ow++) {
                const tutti_span rows = tutti_pool_span(a, 0, oh, height, out->dim[2]);
                const tutti_span columns = tutti_pool_span(a, 1, ow, width, out->dim[3]);
                float largest = -INFINITY;
                for (int64_t h = rows.begin; h < rows.end; h += a->dilation[0])
                    for (int64_t w = columns.begin; w < columns.end; w += a->dilation[1])
                        if (h >= 0 && h < height && w >= 0 && w < width && !isnan(largest)) {
                            const float value = x[h * width + w];
                            largest = isnan(value) || value > largest ? value : largest;
                        }
                *y++ = largest;
            }
}

/* Far apart: differences must not cross from one maximum to another. */
#define IN(...)                                                                                    \
    { .rank = 4, .dim = {__VA_ARGS__}, .lo = -20, .hi = 20 }
static const tutti_pool_attr
    two = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}},
    three = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .dilation = {1, 1}},
    whole = {.kernel = {9, 8}, .stride = {9, 8}, .dilation = {1, 1}},
    mixed = {.kernel = {3, 2}, .stride = {1, 3}, .padding = {1, 0}, .dilation = {2, 1}},
    spread = {.kernel = {2, 2}, .stride = {1, 1}, .padding = {1, 0}, .dilation = {2, 1}},
    wide = {.kernel = {3, 2}, .stride = {2, 2}, .padding = {0, 2}, .dilation = {1, 1}},
    excluding = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .exclude = 1},
    empty = {.stride = {1, 1}, .dilation = {1, 1}};
static const tutti_op_example examples[] = {
    {.label = "2x2", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 3, 6, 5)}, .attr = &two},
    {.label = "2x2, wide", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 5, 23)}, .attr = &two},
    {.label = "2x2, narrow", .n = 3, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 4, 11)}, .attr = &two},
    {.label = "3x3, padded", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 5, 7)}, .attr = &three},
    {.label = "dilated, no square", .n_in = 1, .in = {IN(2, 3, 6, 8)}, .attr = &mixed},
    /* Windows of which nothing lies inside: their -infinity has no differences. */
    {.label = "empty windows",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 2, 1, 3}, .no_grad = true}},
     .attr = &spread},
    {.label = "whole", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 9, 8)}, .attr = &whole},
    /* Of which the kernels for CPUs take more than one piece. */
    {.label = "long rows",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 1, 3, 1100}, .no_grad = true}},
     .attr = &spread},
    {.label = "long rows, stride 2",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 1, 3, 1100}, .no_grad = true}},
     .attr = &three},
    {.label = "NaN",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 2, 9, 20}, .lo = NAN, .hi = 1, .no_grad = true}},
     .attr = &three},
    {.label = "whole, NaN",
     .n = 2,
     .n_in = 1,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 4, 9, 8}, .lo = NAN, .hi = 1, .no_grad = true}},
     .attr = &whole},
    {.label = "one by one", .n_in = 1, .in = {IN(1, 1, 2, 2)}, .attr = &two},
    {.label = "too small",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 1, 5)},
     .attr = &two,
     .refused = "max_pool2d: x is Nx3x1x5: no window of 2x2 fits, with padding 0x0"},
    {.label = "padding",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 5, 5)},
     .attr = &wide,
     .refused = "max_pool2d: padding is 0x2, expected at most half of the kernel, 3x2"},
    {.label = "no kernel",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 5, 5)},
     .attr = &empty,
     .refused = "max_pool2d: kernel is 0x0, expected 1 to 32767"},
    {.label = "exclude",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 5, 5)},
     .attr = &excluding,
     .refused = "max_pool2d: exclude_padding is set"},
    {.label = "three axes",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 5, 5}}},
     .attr = &two,
     .refused = "max_pool2d: input 0 is Nx5x5, expected 4 axes"},
};

const tutti_op tutti_op_max_pool2d = {
    .name = "max_pool2d",
    .summary = "maximum over windows of images",
    .shapes = "x (N, C, H, W) -> (N, C, OH, OW)",
    .options =
        "kernel, stride, dilation from 1, padding up to half of the kernel, each {height, width}",
    .source = "Ranzato et al. 2007",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .attr_size = sizeof(tutti_pool_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
