#include "nn/layer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

static const tutti_nn_params no_params;

bool tutti_layer_begin(tutti_layer *layer, tutti_graph *graph, const char *kind, tutti_tensor x,
                       const char *name, const tutti_nn_params *params) {
    *layer = (tutti_layer){graph, kind, name, params != NULL ? params : &no_params};
    if (x.id == 0 || tutti_graph_status(graph) != TUTTI_OK)
        return false;
    if (name == NULL || name[0] == '\0') {
        (void)tutti_graph_reject(graph, tutti_fail(TUTTI_INVALID_ARGUMENT,
                                                   "%s: the name is %s, expected a text", kind,
                                                   name == NULL ? "NULL" : "empty"));
        return false;
    }
    return true;
}

tutti_tensor tutti_layer_refuse(const tutti_layer *layer, tutti_status status, const char *format,
                                ...) {
    va_list args;
    va_start(args, format);
    (void)tutti_fail_v(status, format, args);
    va_end(args);
    return tutti_graph_reject(layer->graph,
                              tutti_fail_context(status, "%s %s", layer->kind, layer->name));
}

bool tutti_layer_positive(const tutti_layer *layer, int64_t value, const char *what) {
    if (value < 1)
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE, "%" PRId64 " %s, expected at least 1", value,
                                 what);
    return value >= 1;
}

const char *tutti_layer_sub(const tutti_layer *layer, const char *part,
                            char text[TUTTI_LAYER_NAME]) {
    (void)snprintf(text, TUTTI_LAYER_NAME, "%s.%s", layer->name, part);
    return text;
}

tutti_tensor tutti_layer_param(const tutti_layer *layer, const char *suffix, int32_t rank,
                               const int64_t *dims, tutti_init init) {
    char name[TUTTI_LAYER_NAME];
    return tutti_graph_param(layer->graph, tutti_layer_sub(layer, suffix, name), rank, dims, init);
}

tutti_tensor tutti_layer_state(const tutti_layer *layer, const char *suffix, int32_t rank,
                               const int64_t *dims, tutti_init init) {
    char name[TUTTI_LAYER_NAME];
    return tutti_graph_state(layer->graph, tutti_layer_sub(layer, suffix, name), rank, dims, init);
}

tutti_tensor tutti_layer_weight(const tutti_layer *layer, int32_t rank, const int64_t *dims,
                                tutti_init init) {
    const tutti_init *own = layer->params->weight;
    return tutti_layer_param(layer, "weight", rank, dims, own != NULL ? *own : init);
}

tutti_tensor tutti_layer_bias(const tutti_layer *layer, int32_t rank, const int64_t *dims,
                              tutti_init init) {
    const tutti_init *own = layer->params->bias;
    if (layer->params->no_bias)
        return (tutti_tensor){0};
    return tutti_layer_param(layer, "bias", rank, dims, own != NULL ? *own : init);
}

tutti_init tutti_layer_uniform(double fan_in) {
    return (tutti_init){TUTTI_INIT_KAIMING_UNIFORM, 1.0F, (float)fan_in};
}
