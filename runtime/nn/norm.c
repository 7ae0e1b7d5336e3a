/* Normalisation with a scale and a shift that are learned. */
#include "base/status.h"
#include "nn/layer.h"

static const tutti_init ones = {TUTTI_INIT_CONSTANT, 1.0F, 0.0F};
static const tutti_init zeros = {TUTTI_INIT_ZEROS, 0.0F, 0.0F};

/* What the options say, defaults filled in. */
static tutti_nn_norm_options fill(const tutti_nn_norm_options *options, float eps) {
    tutti_nn_norm_options all = {.eps = 0};
    if (options != NULL)
        all = *options;
    all.eps = all.eps == 0 ? eps : all.eps;
    all.momentum = all.momentum == 0 ? 0.1F : all.momentum;
    all.n_axes = all.n_axes == 0 ? 1 : all.n_axes;
    return all;
}

/* Opens a layer with a parameter per channel, whose number is *count. */
static bool begin_channels(tutti_layer *layer, tutti_graph *g, const char *kind, tutti_tensor x,
                           const char *name, const tutti_nn_params *params, int64_t *count) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    char text[TUTTI_SHAPE_TEXT];
    if (!tutti_layer_begin(layer, g, kind, x, name, params))
        return false;
    if (shape.rank < 2) {
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE, "x is %s, expected (N, C) or (N, C, ...)",
                                 tutti_shape_text(&shape, text));
        return false;
    }
    *count = shape.dim[1];
    return true;
}

tutti_tensor tutti_nn_batch_norm(tutti_graph *g, tutti_tensor x, const char *name,
                                 const tutti_nn_norm_options *options) {
    const tutti_nn_norm_options all = fill(options, 1e-5F);
    tutti_layer layer;
    int64_t channels;
    if (!begin_channels(&layer, g, "batch_norm", x, name, all.params, &channels))
        return (tutti_tensor){0};
    if (layer.params->no_bias)
        return tutti_layer_refuse(&layer, TUTTI_UNSUPPORTED, "it needs its bias");
    const tutti_tensor weight = tutti_layer_weight(&layer, 1, &channels, ones);
    const tutti_tensor bias = tutti_layer_bias(&layer, 1, &channels, zeros);
    const tutti_tensor mean = tutti_layer_state(&layer, "running_mean", 1, &channels, zeros);
    const tutti_tensor var = tutti_layer_state(&layer, "running_var", 1, &channels, ones);
    return tutti_batch_norm(g, x, weight, bias, mean, var, all.momentum, all.eps);
}

tutti_tensor tutti_nn_group_norm(tutti_graph *g, tutti_tensor x, int32_t groups, const char *name,
                                 const tutti_nn_norm_options *options) {
    const tutti_nn_norm_options all = fill(options, 1e-5F);
    tutti_layer layer;
    int64_t channels;
    if (!begin_channels(&layer, g, "group_norm", x, name, all.params, &channels))
        return (tutti_tensor){0};
    const tutti_tensor weight = tutti_layer_weight(&layer, 1, &channels, ones);
    const tutti_tensor bias = tutti_layer_bias(&layer, 1, &channels, zeros);
    return tutti_group_norm(g, x, weight, bias, groups, all.eps);
}

/* Opens a layer with parameters of the shape of a row, the last n_axes axes of x. */
static bool begin_rows(tutti_layer *layer, tutti_graph *g, const char *kind, tutti_tensor x,
                       const char *name, const tutti_nn_norm_options *all, tutti_shape *row) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    char text[TUTTI_SHAPE_TEXT];
    if (!tutti_layer_begin(layer, g, kind, x, name, all->params))
        return false;
    if (all->n_axes < 1 || all->n_axes > shape.rank - (shape.batched ? 1 : 0)) {
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE, "x is %s: its last %d axes make no row",
                                 tutti_shape_text(&shape, text), (int)all->n_axes);
        return false;
    }
    *row = (tutti_shape){.rank = all->n_axes};
    for (int32_t d = 0; d < row->rank; d++)
        row->dim[d] = shape.dim[shape.rank - row->rank + d];
    return true;
}

tutti_tensor tutti_nn_layer_norm(tutti_graph *g, tutti_tensor x, const char *name,
                                 const tutti_nn_norm_options *options) {
    const tutti_nn_norm_options all = fill(options, 1e-5F);
    tutti_layer layer;
    tutti_shape row;
    if (!begin_rows(&layer, g, "layer_norm", x, name, &all, &row))
        return (tutti_tensor){0};
    const tutti_tensor weight = tutti_layer_weight(&layer, row.rank, row.dim, ones);
    const tutti_tensor bias = tutti_layer_bias(&layer, row.rank, row.dim, zeros);
    return tutti_layer_norm(g, x, weight, bias, all.n_axes, all.eps);
}

tutti_tensor tutti_nn_rms_norm(tutti_graph *g, tutti_tensor x, const char *name,
                               const tutti_nn_norm_options *options) {
    const tutti_nn_norm_options all = fill(options, 0x1p-23F);
    tutti_layer layer;
    tutti_shape row;
    if (!begin_rows(&layer, g, "rms_norm", x, name, &all, &row))
        return (tutti_tensor){0};
    const tutti_tensor weight = tutti_layer_weight(&layer, row.rank, row.dim, ones);
    return tutti_rms_norm(g, x, weight, all.n_axes, all.eps);
}
