/* Means over windows of images: of given size and stride, or adaptive, as many as the result has
 * positions (He et al. 2014). */
#include <inttypes.h>

#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_avg_pool2d_node(tutti_graph *graph, tutti_tensor x,
                                   const tutti_pool_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_avg_pool2d, &x, 1, attr, sizeof *attr);
}

tutti_tensor tutti_avg_pool2d(tutti_graph *g, tutti_tensor x, const tutti_pool2d_options *options) {
    const tutti_pool_attr attr = tutti_pool_attr_of(options);
    return tutti_avg_pool2d_node(g, x, &attr);
}

tutti_tensor tutti_adaptive_avg_pool2d(tutti_graph *g, tutti_tensor x, int64_t height,
                                       int64_t width) {
    const tutti_pool_attr attr = {.adaptive = 1, .size = {height, width}};
    return tutti_avg_pool2d_node(g, x, &attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_pool_attr *attr = node->attr;
    TUTTI_TRY(tutti_image_check(node));
    TUTTI_TRY(tutti_pool_check(node, attr));
    const tutti_shape *x = &node->in_type[0].shape;
    char text[TUTTI_SHAPE_TEXT];
    if (attr->adaptive != 0) {
        TUTTI_TRY(tutti_image_check_option(node, "size of the result", attr->size, 1));
        out->type = tutti_image_type(x, attr->size[0], attr->size[1]);
        return TUTTI_OK;
    }
    for (int d = 0; d < 2; d++)
        if (attr->dilation[d] != 1)
            return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                                 "dilation is %" PRId64 "x%" PRId64 ", expected 1x1: only maxima "
                                 "have one",
                                 attr->dilation[0], attr->dilation[1]);
    const int64_t oh = tutti_pool_extent(attr, 0, x->dim[2]);
    const int64_t ow = tutti_pool_extent(attr, 1, x->dim[3]);
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
    return attr->adaptive != 0
               ? tutti_image_cost(node, n, 0, 1)
               : tutti_image_cost(node, n, -1, (double)(attr->kernel[0] * attr->kernel[1]));
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_pool_attr *a = node->attr;
    if (tutti_pool_is_pairs(a, device))
        return tutti_image_lower(node, device, out, "avg_pool2d.cl", "avg_pool2d_pairs", NULL, 0,
                                 false);
    const int64_t line = tutti_pool_line(a, device);
    /* The last: `windows` of one kernel, `adaptive` of the other. */
    const int64_t values[] = {
        a->kernel[0],  a->kernel[1],  a->stride[0], a->stride[1],
        a->padding[0], a->padding[1], a->exclude,   line > 0 ? line : a->adaptive};
    return tutti_image_lower(node, device, out, "avg_pool2d.cl",
                             line > 0 ? "avg_pool2d_lines" : "avg_pool2d", values,
                             TUTTI_COUNT(values), false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_avg_pool2d_grad(graph, dout[0], &node->in_type[0].shape, node->attr);
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
                double sum = 0;
                int64_t inside = 0, all = 0;
                for (int64_t h = rows.begin; h < rows.end; h++)
                    for (int64_t w = columns.begin; w < columns.end; w++, all++)
                        if (h >= 0 && h < height && w >= 0 && w < width) {
                            sum += (double)x[h * width + w];
                            inside++;
                        }
                *y++ = (float)(sum / (double)(a->exclude != 0 ? inside : all));
            }
}

#define IN(...)                                                                                    \
    {                                                                                              \
        .rank = 4, .dim = { __VA_ARGS__ }                                                          \
    }
static const tutti_pool_attr two = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}},
                             three = {.kernel = {3, 3},
                                      .stride = {2, 2},
                                      .padding = {1, 1},
                                      .dilation = {1, 1}},
                             excluding = {.kernel = {3, 4},
                                          .stride = {1, 3},
                                          .padding = {1, 2},
                                          .dilation = {1, 1},
                                          .exclude = 1},
                             adaptive = {.adaptive = 1, .size = {3, 5}},
                             global = {.adaptive = 1, .size = {1, 1}},
                             nothing = {.adaptive = 1, .size = {0, 3}},
                             dilated = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {2, 1}},
                             high = {.kernel = {9, 2}, .stride = {9, 2}, .dilation = {1, 1}};
static const tutti_op_example examples[] = {
    {.label = "2x2", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 3, 6, 5)}, .attr = &two},
    {.label = "2x2, wide", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 5, 23)}, .attr = &two},
    {.label = "2x2, narrow", .n = 3, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 4, 11)}, .attr = &two},
    {.label = "3x3, padded", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 5, 7)}, .attr = &three},
    {.label = "padding excluded", .n_in = 1, .in = {IN(2, 3, 6, 9)}, .attr = &excluding},
    {.label = "adaptive", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 7, 4)}, .attr = &adaptive},
    {.label = "long rows",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 1, 3, 1100}, .no_grad = true}},
     .attr = &three},
    {.label = "long rows, padding excluded",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 1, 3, 1100}, .no_grad = true}},
     .attr = &excluding},
    {.label = "one window", .n_in = 1, .in = {IN(2, 3, 4, 7)}, .attr = &global},
    {.label = "too small",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 8, 5)},
     .attr = &high,
     .refused = "avg_pool2d: x is Nx3x8x5: no window of 9x2 fits, with padding 0x0"},
    {.label = "dilated",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 8, 5)},
     .attr = &dilated,
     .refused = "avg_pool2d: dilation is 2x1, expected 1x1"},
    {.label = "no size",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 8, 5)},
     .attr = &nothing,
     .refused = "avg_pool2d: size of the result is 0x3, expected 1 to 32767"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 4, .dim = {TUTTI_BATCH, 3, 8, 5}, .hi = 3}},
     .attr = &two,
     .refused = "avg_pool2d: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_avg_pool2d = {
    .name = "avg_pool2d",
    .summary = "mean over windows of images",
    .shapes = "x (N, C, H, W) -> (N, C, OH, OW)",
    .options = "kernel, stride from 1, padding up to half of the kernel, each {height, width}; "
               "exclude_padding; or adaptive: OH, OW",
    .source = "LeCun et al. 1998; adaptive: He et al. 2014",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(tutti_pool_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
