/* x W^T + b over the last axis; the others are rows. */
#include "nn/layer.h"

tutti_tensor tutti_layer_affine(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                                tutti_tensor bias) {
    tutti_shape shape = tutti_tensor_type(graph, x).shape;
    const int32_t last = shape.rank - 1;
    const tutti_tensor rows =
        tutti_reshape(graph, x, 2, (int64_t[]){shape.batched ? TUTTI_BATCH : 0, shape.dim[last]});
    tutti_tensor y = tutti_matmul(graph, rows, weight, false, true);
    if (bias.id != 0)
        y = tutti_add(graph, y, bias);
    if (y.id == 0)
        return y;
    shape.dim[last] = tutti_tensor_type(graph, weight).shape.dim[0];
    return tutti_reshape_to(graph, y, &shape);
}

tutti_tensor tutti_nn_linear(tutti_graph *g, tutti_tensor x, int64_t out_features, const char *name,
                             const tutti_nn_params *params) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    char text[TUTTI_SHAPE_TEXT];
    tutti_layer layer;
    if (!tutti_layer_begin(&layer, g, "linear", x, name, params) ||
        !tutti_layer_positive(&layer, out_features, "output features"))
        return (tutti_tensor){0};
    if (shape.rank < 2)
        return tutti_layer_refuse(&layer, TUTTI_SHAPE,
                                  "x is %s, expected 2 axes or more, the last with the features",
                                  tutti_shape_text(&shape, text));
    const int64_t in_features = shape.dim[shape.rank - 1];
    const tutti_init init = tutti_layer_uniform((double)in_features);
    const tutti_tensor weight =
        tutti_layer_weight(&layer, 2, (int64_t[]){out_features, in_features}, init);
    const tutti_tensor bias = tutti_layer_bias(&layer, 1, &out_features, init);
    return tutti_layer_affine(g, x, weight, bias);
}
