/* Convolutions over images. */
#include <inttypes.h>

#include "nn/layer.h"

/* Opens the layer and checks what its parameters' shapes depend on: *groups must divide the channels
 * of x and the `channels` that come out. */
static bool begin(tutti_layer *layer, tutti_graph *g, const char *kind, tutti_tensor x,
                  int64_t channels, int64_t kernel_h, int64_t kernel_w, const char *name,
                  const tutti_conv2d_options *options, const tutti_nn_params *params,
                  int64_t *groups) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    char text[TUTTI_SHAPE_TEXT];
    if (!tutti_layer_begin(layer, g, kind, x, name, params) ||
        !tutti_layer_positive(layer, channels, "output channels") ||
        !tutti_layer_positive(layer, kernel_h, "kernel rows") ||
        !tutti_layer_positive(layer, kernel_w, "kernel columns"))
        return false;
    *groups = options == NULL || options->groups == 0 ? 1 : options->groups;
    if (!tutti_layer_positive(layer, *groups, "groups"))
        return false;
    if (shape.rank != 4) {
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE, "x is %s, expected (N, C, H, W)",
                                 tutti_shape_text(&shape, text));
        return false;
    }
    if (shape.dim[1] % *groups != 0 || channels % *groups != 0) {
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE,
                                 "x is %s: %" PRId64 " and %" PRId64
                                 " channels do not both divide into %" PRId64 " groups",
                                 tutti_shape_text(&shape, text), shape.dim[1], channels, *groups);
        return false;
    }
    return true;
}

static tutti_init uniform(int64_t channels, int64_t kernel_h, int64_t kernel_w) {
    return tutti_layer_uniform((double)channels * (double)kernel_h * (double)kernel_w);
}

tutti_tensor tutti_nn_conv2d(tutti_graph *g, tutti_tensor x, int64_t out_channels, int64_t kernel_h,
                             int64_t kernel_w, const char *name,
                             const tutti_conv2d_options *options, const tutti_nn_params *params) {
    tutti_layer layer;
    int64_t groups;
    if (!begin(&layer, g, "conv2d", x, out_channels, kernel_h, kernel_w, name, options, params,
               &groups))
        return (tutti_tensor){0};
    const int64_t in_channels = tutti_tensor_type(g, x).shape.dim[1] / groups;
    const tutti_init init = uniform(in_channels, kernel_h, kernel_w);
    const tutti_tensor weight = tutti_layer_weight(
        &layer, 4, (int64_t[]){out_channels, in_channels, kernel_h, kernel_w}, init);
    return tutti_conv2d(g, x, weight, tutti_layer_bias(&layer, 1, &out_channels, init), options);
}

tutti_tensor tutti_nn_conv_transpose2d(tutti_graph *g, tutti_tensor x, int64_t out_channels,
                                       int64_t kernel_h, int64_t kernel_w, const char *name,
                                       const tutti_conv2d_options *options,
                                       const tutti_nn_params *params) {
    tutti_layer layer;
    int64_t groups;
    if (!begin(&layer, g, "conv_transpose2d", x, out_channels, kernel_h, kernel_w, name, options,
               params, &groups))
        return (tutti_tensor){0};
    const int64_t per_group = out_channels / groups;
    const tutti_init init = uniform(per_group, kernel_h, kernel_w);
    const tutti_tensor weight = tutti_layer_weight(
        &layer, 4, (int64_t[]){tutti_tensor_type(g, x).shape.dim[1], per_group, kernel_h, kernel_w},
        init);
    return tutti_conv_transpose2d(g, x, weight, tutti_layer_bias(&layer, 1, &out_channels, init),
                                  options);
}
