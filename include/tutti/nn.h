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

/* Zero means PyTorch's default. */
typedef struct tutti_nn_norm_options {
    float eps;                     /* default 1e-5; RMS norm 2^-23 */
    float momentum;                /* batch norm: of the running statistics; default 0.1 */
    int32_t n_axes;                /* layer and RMS norm: last axes that make a row; default 1 */
    const tutti_nn_params *params; /* borrowed for the call; batch norm needs its bias */
} tutti_nn_norm_options;

/* tutti_batch_norm of x (N, C, ...): weight (C) starts at 1 and bias (C) at 0; the states
 * "<name>.running_mean" and "<name>.running_var" (C) at 0 and 1. */
TUTTI_API tutti_tensor tutti_nn_batch_norm(tutti_graph *g, tutti_tensor x, const char *name,
                                           const tutti_nn_norm_options *options);
/* tutti_layer_norm: weight and bias of the shape of a row start at 1 and 0. */
TUTTI_API tutti_tensor tutti_nn_layer_norm(tutti_graph *g, tutti_tensor x, const char *name,
                                           const tutti_nn_norm_options *options);
/* tutti_rms_norm: weight of the shape of a row starts at 1; there is no bias. */
TUTTI_API tutti_tensor tutti_nn_rms_norm(tutti_graph *g, tutti_tensor x, const char *name,
                                         const tutti_nn_norm_options *options);
/* tutti_group_norm of x (N, C, ...): weight (C) and bias (C) start at 1 and 0. */
TUTTI_API tutti_tensor tutti_nn_group_norm(tutti_graph *g, tutti_tensor x, int32_t groups,
                                           const char *name, const tutti_nn_norm_options *options);

/* The basic block of residual networks (He et al.: Deep residual learning, 2016) on x (N, C, H, W):
 * relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3 without bias, the first
 * with the stride. The shortcut is x itself, or where channels or stride change it, a 1x1 convolution
 * and batch norm. Names as torchvision's: "<name>.conv1.weight", "<name>.bn1.weight",
 * "<name>.downsample.0.weight", "<name>.downsample.1.weight" and so on. */
TUTTI_API tutti_tensor tutti_nn_residual_block(tutti_graph *g, tutti_tensor x, int64_t channels,
                                               int64_t stride, const char *name);

/* tutti_embedding: rows of weight (rows, width), which starts normal with mean 0 and deviation 1, by
 * i32 indices of any shape. */
TUTTI_API tutti_tensor tutti_nn_embedding(tutti_graph *g, tutti_tensor indices, int64_t rows,
                                          int64_t width, const char *name,
                                          const tutti_nn_params *params);

/* Zero is the default. */
typedef struct tutti_nn_attention_options {
    tutti_attention_options attention; /* mask, causal, scale */
    tutti_tensor context;              /* (N, Tk, C) that keys and values come from; default: x */
    bool rotary;                       /* queries and keys are turned by tutti_rotary */
    float rotary_base;                 /* default 10000 */
    const tutti_nn_params *in, *out;   /* of the projections; borrowed for the call */
} tutti_nn_attention_options;

/* Multi-head attention (Vaswani et al.: Attention is all you need, 2017) of x (N, T, C), the result
 * likewise. Queries, keys and values are x (or context) times thirds of "<name>.in_proj_weight" (3C,
 * C) plus "<name>.in_proj_bias" (3C); what the heads give goes through the linear layer
 * "<name>.out_proj". Weights start within +-sqrt(6/(4C)) and +-1/sqrt(C), biases at 0. */
TUTTI_API tutti_tensor tutti_nn_multi_head_attention(tutti_graph *g, tutti_tensor x, int64_t heads,
                                                     const char *name,
                                                     const tutti_nn_attention_options *options);

/* Recurrent layers over x (N, T, C): see tutti_lstm and tutti_gru for the states. Parameters, named
 * "<name>.weight_ih_l0" (P*hidden, C), ".weight_hh_l0" (P*hidden, hidden), ".bias_ih_l0" and
 * ".bias_hh_l0" (P*hidden), P = 4 or 3, start uniform within +-1/sqrt(hidden); params means both
 * weights, or both biases. */
TUTTI_API tutti_tensor tutti_nn_lstm(tutti_graph *g, tutti_tensor x, int64_t hidden,
                                     const char *name, tutti_tensor h0, tutti_tensor c0,
                                     tutti_tensor *out_h, tutti_tensor *out_c,
                                     const tutti_nn_params *params);
TUTTI_API tutti_tensor tutti_nn_gru(tutti_graph *g, tutti_tensor x, int64_t hidden,
                                    const char *name, tutti_tensor h0, tutti_tensor *out_h,
                                    const tutti_nn_params *params);

#ifdef __cplusplus
}
#endif
#endif
