/* Gradient of upsample2d. Its attributes' size is that of upsample2d's input. */
#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_upsample2d_grad(tutti_graph *graph, tutti_tensor dy, bool bilinear,
                                   int64_t height, int64_t width) {
    const tutti_upsample_attr attr = {.size = {height, width}, .bilinear = bilinear};
    return tutti_op_apply1(graph, &tutti_op_upsample2d_grad, &dy, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_upsample_attr *attr = node->attr;
    TUTTI_TRY(tutti_upsample_check(node));
    out->type = tutti_image_type(&node->in_type[0].shape, attr->size[0], attr->size[1]);
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_upsample_attr *attr = node->attr;
    return tutti_image_cost(node, n, 0, attr->bilinear != 0 ? 30 : 1);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_upsample_attr *attr = node->attr;
    return tutti_image_lower(node, device, out, "upsample2d_grad.cl", "upsample2d_grad",
                             &attr->bilinear, 1, false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_upsample_attr *attr = node->attr;
    const tutti_shape *dy = &node->in_type[0].shape;
    if (want[0])
        din[0] = tutti_upsample2d_node(graph, dout[0], attr->bilinear != 0, dy->dim[2], dy->dim[3]);
    return tutti_graph_status(graph);
}

/* The sum over dy of what each of its positions took of position (h, w). */
static double element(const tutti_upsample_attr *attr, const float *dy, const tutti_shape *from,
                      int64_t h, int64_t w) {
    double sum = 0;
    for (int64_t i = 0; i < from->dim[2]; i++)
        for (int64_t j = 0; j < from->dim[3]; j++) {
            const tutti_between v = tutti_upsample_between(attr, i, attr->size[0], from->dim[2]);
            const tutti_between u = tutti_upsample_between(attr, j, attr->size[1], from->dim[3]);
            const double row = (v.first == h ? 1 - v.share : 0) + (v.second == h ? v.share : 0);
            const double column = (u.first == w ? 1 - u.share : 0) + (u.second == w ? u.share : 0);
            sum += row * column * (double)dy[i * from->dim[3] + j];
        }
    return sum;
}

static void ref(const tutti_ref_call *call) {
    const tutti_upsample_attr *attr = call->node->attr;
    const tutti_shape *from = &call->node->in_type[0].shape;
    const int64_t planes = tutti_extent_value(tutti_image_planes(from), call->run->n);
    const float *dy = call->in[0];
    float *dx = call->out[0];
    for (int64_t p = 0; p < planes; p++, dy += from->dim[2] * from->dim[3])
        for (int64_t h = 0; h < attr->size[0]; h++)
            for (int64_t w = 0; w < attr->size[1]; w++)
                *dx++ = (float)element(attr, dy, from, h, w);
}

#define IN(...)                                                                                    \
    {                                                                                              \
        .rank = 4, .dim = { __VA_ARGS__ }                                                          \
    }
static const tutti_upsample_attr nearest = {{3, 5}, 0}, nearest_odd = {{3, 7}, 0},
                                 linear = {{3, 5}, 1}, linear_odd = {{3, 7}, 1}, one = {{1, 1}, 1},
                                 nothing = {{0, 7}, 1};
static const tutti_op_example examples[] = {
    {.label = "nearest", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 6, 10)}, .attr = &nearest},
    {.label = "nearest, odd", .n_in = 1, .in = {IN(2, 3, 7, 4)}, .attr = &nearest_odd},
    {.label = "bilinear", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 6, 10)}, .attr = &linear},
    {.label = "bilinear, odd", .n_in = 1, .in = {IN(2, 3, 7, 4)}, .attr = &linear_odd},
    {.label = "bilinear, smaller", .n_in = 1, .in = {IN(2, 1, 1, 2)}, .attr = &linear_odd},
    {.label = "to one", .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 3, 4)}, .attr = &one},
    {.label = "no size",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 3, 8, 5)},
     .attr = &nothing,
     .refused = "upsample2d_grad: size of the result is 0x7, expected 1 to 32767"},
};

const tutti_op tutti_op_upsample2d_grad = {
    .name = "upsample2d_grad",
    .summary = "gradient of upsample2d",
    .shapes = "dy (N, C, OH, OW) -> (N, C, H, W)",
    .options = "H, W; nearest or bilinear",
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
