/* Layers: each creates its parameters and calls an op, so that model code reads like the paper.
 *
 *     tutti_tensor h = tutti_relu(g, tutti_nn_conv2d(g, x, 6, 5, 5, "conv1", NULL, NULL));
 *     tutti_tensor y = tutti_nn_linear(g, h, 10, "head", NULL);
 *
 * A parameter is named "<layer>.weight", "<layer>.bias" and so on, and has the shape and the initial
 * distribution that PyTorch gives it: weights move between the two by name. `name` is copied; no two
 * layers of a graph may share one. Shapes and options are checked as for the ops: what does not fit
 * gives the invalid tensor, and the graph keeps the message. Options may be NULL.
 */
#ifndef TUTTI_NN_H
#define TUTTI_NN_H

#include "tutti/graph.h"
#include "tutti/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero means PyTorch's default. */
typedef struct tutti_nn_params {
    bool no_bias;
    const tutti_init *weight, *bias; /* borrowed for the call; NULL: the layer's default */
} tutti_nn_params;

/* x (..., K) times the transposed weight (out_features, K) plus bias (out_features): (...,
 * out_features). Both start uniform within +-1/sqrt(K). */
TUTTI_API tutti_tensor tutti_nn_linear(tutti_graph *g, tutti_tensor x, int64_t out_features,
                                       const char *name, const tutti_nn_params *params);

/* tutti_conv2d of x (N, C, H, W) with weight (out_channels, C / groups, kernel_h, kernel_w) and bias
 * (out_channels). Both start uniform within +-1/sqrt(C / groups * kernel_h * kernel_w). */
TUTTI_API tutti_tensor tutti_nn_conv2d(tutti_graph *g, tutti_tensor x, int64_t out_channels,
                                       int64_t kernel_h, int64_t kernel_w, const char *name,
                                       const tutti_conv2d_options *options,
                                       const tutti_nn_params *params);
/* tutti_conv_transpose2d of x (N, C, H, W) with weight (C, out_channels / groups, kernel_h, kernel_w)
 * and bias (out_channels). Both start uniform within +-1/sqrt(out_channels / groups * kernel_h *
 * kernel_w). */
TUTTI_API tutti_tensor tutti_nn_conv_transpose2d(tutti_graph *g, tutti_tensor x,
                                                 int64_t out_channels, int64_t kernel_h,
                                                 int64_t kernel_w, const char *name,
                                                 const tutti_conv2d_options *options,
                                                 const tutti_nn_params *params);

#ifdef __cplusplus
}
#endif
#endif
