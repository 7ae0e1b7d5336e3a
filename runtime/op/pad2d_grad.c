/* Gradient of pad2d's reflection; zero padding's is pad2d with the signs turned. */
#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "op/image.h"

tutti_tensor tutti_pad2d_grad(tutti_graph *graph, tutti_tensor dy, const tutti_pad_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_pad2d_grad, &dy, 1, attr, sizeof *attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_pad_attr *a = node->attr;
    const tutti_shape *dy = &node->in_type[0].shape;
    char text[TUTTI_SHAPE_TEXT];
    int64_t size[2];
    TUTTI_TRY(tutti_image_check(node));
    TUTTI_TRY(tutti_image_check_option(node, "padding before", a->before, 0));
    TUTTI_TRY(tutti_image_check_option(node, "padding behind", a->after, 0));
    for (int d = 0; d < 2; d++) {
        size[d] = dy->dim[2 + d] - a->before[d] - a->after[d];
        if (a->before[d] >= size[d] || a->after[d] >= size[d])
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "dy is %s: %" PRId64 " before and %" PRId64
                                 " behind axis %d leave "
                                 "too little to be reflected",
                                 tutti_shape_text(dy, text), a->before[d], a->after[d], 2 + d);
    }
    out->type = tutti_image_type(dy, size[0], size[1]);
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_image_cost(node, n, 0, 1);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_pad_attr *a = node->attr;
    const int64_t values[] = {a->before[0], a->before[1], a->after[0], a->after[1]};
    return tutti_image_lower(node, device, out, "pad2d_grad.cl", "pad2d_grad", values,
                             TUTTI_COUNT(values), false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_pad2d_node(graph, dout[0], node->attr);
    return tutti_graph_status(graph);
}

static int64_t reflected(int64_t at, int64_t length) {
    return at < 0 ? -at : at >= length ? 2 * (length - 1) - at : at;
}

/* In order of dy, since that is how the padding was defined. */
static void ref(const tutti_ref_call *call) {
    const tutti_pad_attr *a = call->node->attr;
    const tutti_shape *from = &call->node->in_type[0].shape;
    const tutti_shape *to = &call->node->out_type[0].shape;
    const int64_t planes = tutti_extent_value(tutti_image_planes(from), call->run->n);
    const int64_t height = to->dim[2], width = to->dim[3];
    const float *dy = call->in[0];
    float *dx = call->out[0];
    memset(dx, 0, (size_t)(planes * height * width) * sizeof *dx);
    for (int64_t p = 0; p < planes; p++, dx += height * width)
        for (int64_t i = 0; i < from->dim[2]; i++)
            for (int64_t j = 0; j < from->dim[3]; j++) {
                float *to_element = dx + reflected(i - a->before[0], height) * width +
                                    reflected(j - a->before[1], width);
                *to_element = (float)((double)*to_element + (double)*dy++);
            }
}

#define IN(...)                                                                                    \
    {                                                                                              \
        .rank = 4, .dim = { __VA_ARGS__ }                                                          \
    }
static const tutti_pad_attr uneven = {{1, 3}, {2, 0}, 1}, all = {{2, 3}, {2, 3}, 1},
                            far = {{0, 3}, {0, 0}, 1}, negative = {{0, -1}, {0, 0}, 1};
static const tutti_op_example examples[] = {
    {.label = "uneven", .n = 2, .n_in = 1, .in = {IN(TUTTI_BATCH, 2, 6, 7)}, .attr = &uneven},
    {.label = "all of it twice", .n_in = 1, .in = {IN(2, 2, 7, 10)}, .attr = &all},
    {.label = "too far",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 2, 4, 5)},
     .attr = &far,
     .refused = "pad2d_grad: dy is Nx2x4x5: 3 before and 0 behind axis 3 leave too little"},
    {.label = "negative",
     .n_in = 1,
     .in = {IN(TUTTI_BATCH, 2, 4, 5)},
     .attr = &negative,
     .refused = "pad2d_grad: padding before is 0x-1, expected 0 to 32767"},
};

const tutti_op tutti_op_pad2d_grad = {
    .name = "pad2d_grad",
    .summary = "gradient of pad2d's reflection",
    .shapes = "dy (N, C, OH, OW) -> (N, C, H, W)",
    .options = "as pad2d",
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
