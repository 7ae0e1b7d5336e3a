/* The basic block of residual networks. */
#include <inttypes.h>

#include "base/status.h"
#include "nn/layer.h"

static tutti_tensor conv(tutti_graph *g, tutti_tensor x, int64_t channels, int64_t kernel,
                         int64_t stride, const char *name) {
    const tutti_conv2d_options options = {.stride = {stride, stride},
                                          .padding = {kernel / 2, kernel / 2}};
    return tutti_nn_conv2d(g, x, channels, kernel, kernel, name, &options,
                           &(tutti_nn_params){.no_bias = true});
}

tutti_tensor tutti_nn_residual_block(tutti_graph *g, tutti_tensor x, int64_t channels,
                                     int64_t stride, const char *name) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    char text[TUTTI_SHAPE_TEXT], part[TUTTI_LAYER_NAME];
    tutti_layer layer;
    if (!tutti_layer_begin(&layer, g, "residual_block", x, name, NULL) ||
        !tutti_layer_positive(&layer, stride, "stride"))
        return (tutti_tensor){0};
    if (shape.rank != 4)
        return tutti_layer_refuse(&layer, TUTTI_SHAPE, "x is %s, expected (N, C, H, W)",
                                  tutti_shape_text(&shape, text));
    tutti_tensor y = conv(g, x, channels, 3, stride, tutti_layer_sub(&layer, "conv1", part));
    y = tutti_relu(g, tutti_nn_batch_norm(g, y, tutti_layer_sub(&layer, "bn1", part), NULL));
    y = conv(g, y, channels, 3, 1, tutti_layer_sub(&layer, "conv2", part));
    y = tutti_nn_batch_norm(g, y, tutti_layer_sub(&layer, "bn2", part), NULL);
    if (stride != 1 || channels != shape.dim[1]) {
        x = conv(g, x, channels, 1, stride, tutti_layer_sub(&layer, "downsample.0", part));
        x = tutti_nn_batch_norm(g, x, tutti_layer_sub(&layer, "downsample.1", part), NULL);
    }
    return tutti_relu(g, tutti_add(g, y, x));
}
