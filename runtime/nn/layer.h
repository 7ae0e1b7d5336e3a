/* What the layers share. */
#ifndef TUTTI_NN_LAYER_H
#define TUTTI_NN_LAYER_H

#include "graph/graph.h"
#include "op/ops.h"
#include "tutti/nn.h"

/* A layer being built. */
typedef struct tutti_layer {
    tutti_graph *graph;
    const char *kind, *name;       /* "conv2d", "block1.conv2" */
    const tutti_nn_params *params; /* never NULL */
} tutti_layer;

/* False when there is nothing to build: the graph has failed or x is invalid (silently, as in every
 * constructor), or the name will not do. */
bool tutti_layer_begin(tutti_layer *layer, tutti_graph *graph, const char *kind, tutti_tensor x,
                       const char *name, const tutti_nn_params *params);
/* "<kind> <name>: <message>" becomes the graph's error. */
tutti_tensor tutti_layer_refuse(const tutti_layer *layer, tutti_status status, const char *format,
                                ...) TUTTI_PRINTF(3, 4);
/* False, and refused, when the number that `what` names is below 1. */
bool tutti_layer_positive(const tutti_layer *layer, int64_t value, const char *what);
/* The parameter "<name>.<suffix>". */
tutti_tensor tutti_layer_param(const tutti_layer *layer, const char *suffix, int32_t rank,
                               const int64_t *dims, tutti_init init);
/* Likewise a state, which is not trained. */
tutti_tensor tutti_layer_state(const tutti_layer *layer, const char *suffix, int32_t rank,
                               const int64_t *dims, tutti_init init);
/* The name of a layer within this one, "<name>.<part>", written to text; returns text. */
#define TUTTI_LAYER_NAME (TUTTI_NAME_MAX + 2) /* a longer one is cut to what the graph refuses */
const char *tutti_layer_sub(const tutti_layer *layer, const char *part,
                            char text[TUTTI_LAYER_NAME]);
/* "weight" and "bias" as the layer's params say; `init` where they say nothing. bias is the invalid
 * tensor when there is none. */
tutti_tensor tutti_layer_weight(const tutti_layer *layer, int32_t rank, const int64_t *dims,
                                tutti_init init);
tutti_tensor tutti_layer_bias(const tutti_layer *layer, int32_t rank, const int64_t *dims,
                              tutti_init init);
/* x (..., K) times weight^T (M, K) plus bias (M) unless it is invalid: (..., M). */
tutti_tensor tutti_layer_affine(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                                tutti_tensor bias);
/* PyTorch's default of linear and convolutions: uniform within +-1/sqrt(fan_in). */
tutti_init tutti_layer_uniform(double fan_in);

#endif
