/* What the convolution ops share. x is (images, groups * c, h, w), y is (images, groups * k, oh,
 * ow); conv2d computes y from x, conv_transpose2d from its small input x the large y. The three ops
 * are each other's gradients. */
#ifndef TUTTI_OP_CONV_H
#define TUTTI_OP_CONV_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_conv_attr {
    int64_t stride[2], padding[2], dilation[2], groups;
    int64_t extra[2]; /* conv_transpose2d: output padding; conv2d_weight_grad: R, S; else 0 */
} tutti_conv_attr;

typedef struct tutti_conv {
    const tutti_conv_attr *attr;
    tutti_extent images;
    int64_t groups, c, k, h, w, oh, ow, r, s;
} tutti_conv;

/* Samples that a batch is taken for where its size matters but is not known yet. */
#define TUTTI_CONV_TYPICAL_BATCH 64

/* The options with defaults in place of zeros; options may be NULL. */
tutti_conv_attr tutti_conv_attr_of(const tutti_conv2d_options *options);
/* attr with other `extra`. */
static inline tutti_conv_attr tutti_conv_attr_with(const tutti_conv_attr *attr, int64_t extra_h,
                                                   int64_t extra_w) {
    tutti_conv_attr own = *attr;
    own.extra[0] = extra_h;
    own.extra[1] = extra_w;
    return own;
}
/* The constructors, from attributes. bias may be invalid: none. */
tutti_tensor tutti_conv2d_node(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                               tutti_tensor bias, const tutti_conv_attr *attr);
tutti_tensor tutti_conv_transpose2d_node(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                                         tutti_tensor bias, const tutti_conv_attr *attr);
/* The gradient by a weight of R x S taps of the convolution that made y of x. */
tutti_tensor tutti_conv2d_weight_grad(tutti_graph *graph, tutti_tensor x, tutti_tensor dy,
                                      int64_t r, int64_t s, const tutti_conv_attr *attr);

/* Fails for options out of range, and for inputs that are not f32 of rank 4 (the third, a bias, of
 * rank 1). */
tutti_status tutti_conv_check(const tutti_node_info *node, const char *const *names);
/* Fails unless the bias, when there is one, has that many elements. */
tutti_status tutti_conv_check_bias(const tutti_node_info *node, int64_t channels);
/* Extent of the result of a convolution along axis d (0: height), below 1 when the taps do not fit.
 */
int64_t tutti_conv_extent(const tutti_conv_attr *attr, int d, int64_t size, int64_t taps);
/* The transposed convolution of dy that has the shape of x: rows and columns at the end of x that
 * no tap reached are its output padding. */
tutti_tensor tutti_conv2d_data_grad(tutti_graph *graph, const tutti_conv *p, tutti_tensor dy,
                                    tutti_tensor weight);

tutti_cost tutti_conv_cost(const tutti_node_info *node, const tutti_conv *p, int64_t n);

/* lower of conv2d and conv_transpose2d. */
tutti_status tutti_conv_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out, const tutti_conv *p, bool transposed);
/* Adds the candidates conv_gemm or conv_plain of `file`, for an output of rows x columns per group
 * that sums `inner` products each. */
void tutti_conv_lower_gpu(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out, const tutti_conv *p, const char *file,
                          tutti_extent columns, tutti_extent inner);
/* A candidate that alone is added, since the shapes fit its rule (a literal). */
tutti_candidate *tutti_conv_candidate(tutti_lowering *out, const char *name, const char *rule);
/* Adds the candidate for one tap on CPU devices; false where there is none. */
bool tutti_conv_1x1_lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out, const tutti_conv *p, bool transposed);
/* Adds the candidate with vectors along channels, for small images on CPU devices; false
 * where there is none. */
bool tutti_conv_channels_lower(const tutti_node_info *node, const tutti_device_info *device,
                               tutti_lowering *out, const tutti_conv *p, bool transposed);
/* Adds a launch that packs the weights in blocks of channels (cl/conv_weights.cl); returns the scratch
 * memory. */
uint32_t tutti_conv_pack_weights(const tutti_node_info *node, tutti_lowering *out,
                                 tutti_candidate *candidate, const tutti_conv *p, bool transposed,
                                 int64_t block);
/* Add the candidate for one channel per group on GPUs; false where there is none. */
bool tutti_depthwise_lower(const tutti_node_info *node, tutti_lowering *out, const tutti_conv *p,
                           bool transposed);
bool tutti_depthwise_weight_lower(const tutti_node_info *node, const tutti_device_info *device,
                                  tutti_lowering *out, const tutti_conv *p);
/* Adds the argument list CONV_SIZES. */
void tutti_conv_sizes(tutti_lowering *out, tutti_launch *launch, const tutti_conv *p);
/* The packed rows of x for `rows` rows of y, per channel (see cl/conv_cpu.clh). */
typedef struct tutti_conv_strip {
    int64_t phases, rows, pitch, plane, reach_w;
} tutti_conv_strip;
tutti_conv_strip tutti_conv_strip_of(const tutti_conv *p, bool transposed, int64_t rows);

#endif
