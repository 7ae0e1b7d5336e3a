/* Convolution of sequences, composed: a sequence is an image of one row. */
#include "base/status.h"
#include "graph/graph.h"
#include "op/ops.h"

static tutti_tensor as_image(tutti_graph *g, tutti_tensor x, const tutti_shape *shape) {
    const tutti_shape image = {.rank = 4,
                               .batched = shape->batched,
                               .dim = {shape->dim[0], shape->dim[1], 1, shape->dim[2]}};
    return tutti_reshape_to(g, x, &image);
}

tutti_tensor tutti_conv1d(tutti_graph *g, tutti_tensor x, tutti_tensor weight, tutti_tensor bias,
                          const tutti_conv1d_options *options) {
    const tutti_shape in = tutti_tensor_type(g, x).shape, w = tutti_tensor_type(g, weight).shape;
    char text_x[TUTTI_SHAPE_TEXT], text_w[TUTTI_SHAPE_TEXT];
    if (x.id == 0 || weight.id == 0 || tutti_graph_status(g) != TUTTI_OK)
        return (tutti_tensor){0};
    if (in.rank != 3 || w.rank != 3)
        return tutti_graph_reject(
            g, tutti_fail(TUTTI_SHAPE, "conv1d: x is %s, weight is %s: expected 3 axes each",
                          tutti_shape_text(&in, text_x), tutti_shape_text(&w, text_w)));
    tutti_conv2d_options image = {.groups = 0};
    if (options != NULL) {
        image.stride[1] = options->stride;
        image.padding[1] = options->padding;
        image.dilation[1] = options->dilation;
        image.groups = options->groups;
    }
    const tutti_tensor y =
        tutti_conv2d(g, as_image(g, x, &in), as_image(g, weight, &w), bias, &image);
    const tutti_shape out = tutti_tensor_type(g, y).shape;
    const tutti_shape shape = {
        .rank = 3, .batched = out.batched, .dim = {out.dim[0], out.dim[1], out.dim[3]}};
    return y.id == 0 ? y : tutti_reshape_to(g, y, &shape);
}
