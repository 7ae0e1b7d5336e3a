/* LSTM and GRU layers with PyTorch's parameters. */
#include "nn/layer.h"

/* The four parameters of a layer over x (N, T, C). */
static bool make_weights(const tutti_layer *layer, tutti_tensor x, int64_t hidden, int64_t parts,
                         tutti_recurrent_weights *out) {
    const tutti_shape shape = tutti_tensor_type(layer->graph, x).shape;
    const tutti_nn_params *params = layer->params;
    char text[TUTTI_SHAPE_TEXT];
    *out = (tutti_recurrent_weights){{0}, {0}, {0}, {0}};
    if (!tutti_layer_positive(layer, hidden, "hidden features"))
        return false;
    if (shape.rank != 3) {
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE, "x is %s, expected (N, T, C)",
                                 tutti_shape_text(&shape, text));
        return false;
    }
    const int64_t rows = parts * hidden;
    const tutti_init init = tutti_layer_uniform((double)hidden);
    const tutti_init weight = params->weight != NULL ? *params->weight : init;
    const tutti_init bias = params->bias != NULL ? *params->bias : init;
    out->weight_ih =
        tutti_layer_param(layer, "weight_ih_l0", 2, (int64_t[]){rows, shape.dim[2]}, weight);
    out->weight_hh = tutti_layer_param(layer, "weight_hh_l0", 2, (int64_t[]){rows, hidden}, weight);
    if (!params->no_bias) {
        out->bias_ih = tutti_layer_param(layer, "bias_ih_l0", 1, &rows, bias);
        out->bias_hh = tutti_layer_param(layer, "bias_hh_l0", 1, &rows, bias);
    }
    return tutti_graph_status(layer->graph) == TUTTI_OK;
}

tutti_tensor tutti_nn_lstm(tutti_graph *g, tutti_tensor x, int64_t hidden, const char *name,
                           tutti_tensor h0, tutti_tensor c0, tutti_tensor *out_h,
                           tutti_tensor *out_c, const tutti_nn_params *params) {
    tutti_layer layer;
    tutti_recurrent_weights weights;
    if (out_h != NULL)
        out_h->id = 0;
    if (out_c != NULL)
        out_c->id = 0;
    if (!tutti_layer_begin(&layer, g, "lstm", x, name, params) ||
        !make_weights(&layer, x, hidden, 4, &weights))
        return (tutti_tensor){0};
    return tutti_lstm(g, x, &weights, h0, c0, out_h, out_c);
}

tutti_tensor tutti_nn_gru(tutti_graph *g, tutti_tensor x, int64_t hidden, const char *name,
                          tutti_tensor h0, tutti_tensor *out_h, const tutti_nn_params *params) {
    tutti_layer layer;
    tutti_recurrent_weights weights;
    if (out_h != NULL)
        out_h->id = 0;
    if (!tutti_layer_begin(&layer, g, "gru", x, name, params) ||
        !make_weights(&layer, x, hidden, 3, &weights))
        return (tutti_tensor){0};
    return tutti_gru(g, x, &weights, h0, out_h);
}
