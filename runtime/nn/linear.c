/* x W^T + b over the last axis; the others are rows. */
#include "nn/layer.h"

tutti_tensor tutti_nn_linear(tutti_graph *g, tutti_tensor x, int64_t out_features, const char *name,
                             const tutti_nn_params *params) {
    tutti_shape shape = tutti_tensor_type(g, x).shape;
    const int32_t last = shape.rank - 1;
    char text[TUTTI_SHAPE_TEXT];
    tutti_layer layer;
    if (!tutti_layer_begin(&layer, g, "linear", x, name, params) ||
        !tutti_layer_positive(&layer, out_features, "output features"))
        return (tutti_tensor){0};
    if (shape.rank < 2)
        return tutti_layer_refuse(&layer, TUTTI_SHAPE,
                                  "x is %s, expected 2 axes or more, the last with the features",
                                  tutti_shape_text(&shape, text));
    const int64_t in_features = shape.dim[last];
    const tutti_init init = tutti_layer_uniform((double)in_features);
    const tutti_tensor weight =
        tutti_layer_weight(&layer, 2, (int64_t[]){out_features, in_features}, init);
    const tutti_tensor bias = tutti_layer_bias(&layer, out_features, init);
    const tutti_tensor rows =
        tutti_reshape(g, x, 2, (int64_t[]){shape.batched ? TUTTI_BATCH : 0, in_features});
    tutti_tensor y = tutti_matmul(g, rows, weight, false, true);
    if (!layer.params->no_bias)
        y = tutti_add(g, y, bias);
    shape.dim[last] = out_features;
    return y.id == 0 ? y : tutti_reshape_to(g, y, &shape);
}
