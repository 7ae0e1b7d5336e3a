/* What the normalisations share: batch, layer, group and RMS norm. */
#ifndef TUTTI_OP_NORM_H
#define TUTTI_OP_NORM_H

#include "graph/graph.h"
#include "op/elementwise.h"

/* A tensor as rows x channels x inner. */
typedef struct tutti_norm_view {
    tutti_extent rows;
    int64_t channels, inner;
} tutti_norm_view;

/* The axes [first, last) are the channels. */
tutti_norm_view tutti_norm_view_of(const tutti_shape *shape, int32_t first, int32_t last);

/* Mean and sum of squared deviations over the last n_axes axes, which stay as extents of 1. */
tutti_status tutti_moments(tutti_graph *graph, tutti_tensor x, int32_t n_axes,
                           tutti_tensor *out_mean, tutti_tensor *out_m2);

typedef struct tutti_pool_rows_attr {
    double weight;     /* elements behind a row's mean */
    tutti_extent rows; /* of the batch */
} tutti_pool_rows_attr;

/* The mean over axis 0 of the whole batch, which has so many rows. No gradient, nor has the next. */
tutti_tensor tutti_pool_mean(tutti_graph *graph, tutti_tensor m, tutti_extent rows);
/* The mean of squared deviations about `mean`: the sum over axis 0 of m2 + weight (m - mean)^2, over
 * weight * rows. m: means of rows of `weight` elements; m2: their own sums of squared deviations, or
 * invalid when weight is 1. */
tutti_tensor tutti_pool_variance(tutti_graph *graph, tutti_tensor m, tutti_tensor m2,
                                 tutti_tensor mean, const tutti_pool_rows_attr *attr);
/* The view of m, and the lowering of the two: inputs m[, mean[, m2]]; factor: the host's argument. */
tutti_norm_view tutti_pool_view(const tutti_shape *m);
tutti_status tutti_pool_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out, tutti_host_f32 factor);

typedef struct tutti_norm_sums_attr {
    int32_t first, last; /* axes of x that are channels */
    int32_t groups;      /* per row: mean and rstd are rows x groups; 0: one of each per channel */
    int32_t reserved;    /* 0 */
} tutti_norm_sums_attr;

/* Sums over all but the channels of dy (x - mean) rstd and of dy: gradients of scale and shift, in
 * the shape of the channels. */
tutti_status tutti_norm_sums(tutti_graph *graph, tutti_tensor dy, tutti_tensor x, tutti_tensor mean,
                             tutti_tensor rstd, const tutti_norm_sums_attr *attr,
                             tutti_tensor *out_scale, tutti_tensor *out_shift);

/* Layer, group and RMS norm: x as rows x channels x inner, each row's channels in `groups` that are
 * normalised by themselves. */
typedef struct tutti_norm_attr {
    int32_t first, last; /* axes of x that are channels */
    int32_t groups;
    float eps;
    uint32_t rms; /* 1: by the root mean square, no mean is taken off */
} tutti_norm_attr;

/* The callbacks of these ops: inputs x[, gamma[, beta]], the last two in the shape of the channels. */
tutti_status tutti_norm_infer(const tutti_node_info *node, tutti_infer *out);
tutti_cost tutti_norm_cost(const tutti_node_info *node, int64_t n);
tutti_status tutti_norm_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out);
tutti_status tutti_norm_gradient(tutti_graph *graph, const tutti_node_info *node,
                                 const tutti_tensor *dout, const bool *want, tutti_tensor *din);
void tutti_norm_ref(const tutti_ref_call *call);
/* Their constructor: gamma and beta may be invalid, which means none. */
tutti_tensor tutti_norm_apply(tutti_graph *graph, const tutti_op *op, tutti_tensor x,
                              tutti_tensor gamma, tutti_tensor beta, const tutti_norm_attr *attr);
/* The same where the last n_axes axes are the channels, in one group. */
tutti_tensor tutti_norm_rows(tutti_graph *graph, const tutti_op *op, tutti_tensor x,
                             tutti_tensor gamma, tutti_tensor beta, int32_t n_axes, float eps,
                             bool rms);
/* Mean (0 for RMS) and 1 / sqrt(variance + eps) of a row, in double. */
void tutti_norm_statistics(const float *x, int64_t length, const tutti_norm_attr *attr,
                           double *out_mean, double *out_rstd);
/* lower of norm_grad: the same rows, kernels of another file. */
tutti_status tutti_norm_rows_lower(const tutti_node_info *node, const tutti_device_info *device,
                                   const char *name, int32_t scale_input, tutti_lowering *out);
/* Checks attributes and the operands gamma and beta from `scale_input` on. */
tutti_status tutti_norm_check(const tutti_node_info *node, const tutti_shape *x,
                              int32_t scale_input);

/* Lowering of sums over rows: each of `parts` ranges of rows gives a row of partial sums in scratch
 * memory, which a second launch adds. */
int64_t tutti_norm_parts(const tutti_device_info *device, tutti_extent rows, int64_t busy,
                         int64_t row_work);
/* Adds that launch; from: parts x columns in scratch memory. */
void tutti_norm_add_parts(tutti_lowering *out, tutti_candidate *candidate,
                          const tutti_device_info *device, uint32_t from, tutti_tensor to,
                          int64_t parts, int64_t columns);

#endif
