/* Gradient of avg_pool2d: each window's, in equal parts to the positions that it counts. */
#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_avg_pool2d_grad(tutti_graph *graph, tutti_tensor dy, const tutti_shape *x,
                                   const tutti_pool_attr *attr) {
    tutti_pool_attr own = *attr;
    own.size[0] = x->dim[2];
    own.size[1] = x->dim[3];
    return tutti_op_apply1(graph, &tutti_op_avg_pool2d_grad, &dy, 1, &own, sizeof own);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_pool_attr *attr = node->attr;
    TUTTI_TRY(tutti_image_check(node));
    TUTTI_TRY(tutti_pool_check(node, attr));
    TUTTI_TRY(tutti_image_check_option(node, "size of x", attr->size, 1));
    const tutti_shape *dy = &node->in_type[0].shape;
    char text[TUTTI_SHAPE_TEXT], text_dy[TUTTI_SHAPE_TEXT];
    /* Adaptive windows cover any x. */
    if (attr->adaptive == 0) {
        const tutti_type y = tutti_image_type(dy, tutti_pool_extent(attr, 0, attr->size[0]),
                                              tutti_pool_extent(attr, 1, attr->size[1]));
        if (!tutti_shape_equal(dy, &y.shape))
            return tutti_op_fail(node, TUTTI_SHAPE, "dy is %s, the windows of x are %s",
                                 tutti_shape_text(dy, text_dy), tutti_shape_text(&y.shape, text));
    }
    out->type = tutti_image_type(dy, attr->size[0], attr->size[1]);
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_pool_attr *attr = node->attr;
    return attr->adaptive != 0
               ? tutti_image_cost(node, n, -1, 2)
               : tutti_image_cost(node, n, 0, (double)(attr->kernel[0] * attr->kernel[1]));
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_pool_attr *a = node->attr;
    if (tutti_pool_is_pairs(a, device))
        return tutti_image_lower(node, device, out, "avg_pool2d_grad.cl", "avg_pool2d_grad_pairs",
                                 NULL, 0, true);
    const int64_t line = tutti_pool_line(a, device);
    const int64_t values[] = {
        a->kernel[0],  a->kernel[1],  a->stride[0], a->stride[1],
        a->padding[0], a->padding[1], a->exclude,   line > 0 ? line : a->adaptive};
    return tutti_image_lower(node, device, out, "avg_pool2d_grad.cl",
                             line > 0 ? "avg_pool2d_grad_lines" : "avg_pool2d_grad", values,
                             TUTTI_COUNT(values), false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_shape *dy = &node->in_type[0].shape;
    tutti_pool_attr attr = *(const tutti_pool_attr *)node->attr;
    for (int d = 0; d < 2; d++)
        attr.size[d] = attr.adaptive != 0 ? dy->dim[2 + d] : 0;
    if (want[0])
        din[0] = tutti_avg_pool2d_node(graph, dout[0], &attr);
    return tutti_graph_status(graph);
}

/* Positions that count in the window of those rows and columns. */
static int64_t counted(const tutti_pool_attr *a, tutti_span rows, tutti_span columns) {
    int64_t count = 0;
    for (int64_t h = rows.begin; h < rows.end; h++)
        for (int64_t w = columns.begin; w < columns.end; w++)
            count += a->exclude == 0 || (h >= 0 && h < a->size[0] && w >= 0 && w < a->size[1]);
    return count;
}

static double element(const tutti_pool_attr *a, const float *dy, const tutti_shape *from, int64_t h,
                      int64_t w) {
    double sum = 0;
    for (int64_t oh = 0; oh < from->dim[2]; oh++)
        for (int64_t ow = 0; ow < from->dim[3]; ow++) {
            const tutti_span rows = tutti_pool_span(a, 0, oh, a->size[0], from->dim[2]);
            const tutti_span columns = tutti_pool_span(a, 1, ow, a->size[1], from->dim[3]);
            if (h >= rows.begin && h < rows.end && w >= columns.begin && w < columns.end)
                sum += (double)dy[oh * from->dim[3] + ow] / (double)counted(a, rows, columns);
        }
    return sum;
}

static void ref(const tutti_ref_call *call) {
    const tutti_pool_attr *a = call->node->attr;
    const tutti_shape *from = &call->node->in_type[0].shape;
    const int64_t planes = tutti_extent_value(tutti_image_planes(from), call->run->n);
    const float *dy = call->in[0];
    float *dx = call->out[0];
    for (int64_t p = 0; p < planes; p++, dy += from->dim[2] * from->dim[3])
        for (int64_t h = 0; h < a->size[0]; h++)
            for (int64_t w = 0; w < a->size[1]; w++)
                *dx++ = (float)element(a, dy, from, h, w);
}

#define IN(...)                                                                                    \
    {                                                                                              \
        .rank = 4, .dim = { __VA_ARGS__ }                                                          \
    }
static const tutti_pool_attr
    two = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .size = {6, 5}},
    wide = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .size = {5, 23}},
    narrow = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .size = {4, 11}},
    three = {.kernel = {3, 3},
             .stride = {2, 2},
             .padding = {1, 1},
             .dilation = {1, 1},
             .size = {5, 7}},
    excluding = {.kernel = {3, 4},
                 .stride = {1, 3},
                 .padding = {1, 2},
                 .dilation = {1, 1},
                 .exclude = 1,
                 .size = {6, 9}},
    long_rows = {.kernel = {3, 3},
                 .stride = {2, 2},
                 .padding = {1, 1},
                 .dilation = {1, 1},
                 .size = {3, 1100}},
    adaptive = {.adaptive = 1, .size = {7, 4}};
static const tutti_op_example examples[] = {
    {.label = "2x2", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 3, 3, 2)}, .attr = &two},
    {.label = "2x2, wide", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 2, 11)}, .attr = &wide},
    {.label = "2x2, narrow", .n = 3, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 2, 5)}, .attr = &narrow},
    {.label = "3x3, padded", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 3, 4)}, .attr = &three},
    {.label = "padding excluded", .n_in = 1, .in = {IN(2, 3, 6, 4)}, .attr = &excluding},
    {.label = "adaptive", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 3, 5)}, .attr = &adaptive},
    {.label = "long rows",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {1, 1, 2, 550}, .no_grad = true}},
     .attr = &long_rows},
    {.label = "one window", .n_in = 1, .in = {IN(2, 3, 1, 1)}, .attr = &adaptive},
    {.label = "no fit",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 3, 3)},
     .attr = &two,
     .refused = "avg_pool2d_grad: dy is Nx3x3x3, the windows of x are Nx3x3x2"},
};

const tutti_op tutti_op_avg_pool2d_grad = {
    .name = "avg_pool2d_grad",
    .summary = "gradient of avg_pool2d",
    .shapes = "dy (N, C, OH, OW) -> (N, C, H, W)",
    .options = "as avg_pool2d; H, W",
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
