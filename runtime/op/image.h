/* What the ops over images (N, C, H, W) besides the convolutions share: pooling, upsampling,
 * padding. Kernels: cl/image.clh. */
#ifndef TUTTI_OP_IMAGE_H
#define TUTTI_OP_IMAGE_H

#include "graph/graph.h"
#include "op/elementwise.h"

/* The largest height, width or option; twice its square fits the kernels' ints. */
#define TUTTI_IMAGE_MAX 32767

/* Fails unless every input is f32 of rank 4 with a height and width that the kernels index. */
tutti_status tutti_image_check(const tutti_node_info *node);
/* Fails unless both values are lowest to TUTTI_IMAGE_MAX; name says what they are. */
tutti_status tutti_image_check_option(const tutti_node_info *node, const char *name,
                                      const int64_t value[2], int64_t lowest);
/* The type of images as many as x's, of another size. */
tutti_type tutti_image_type(const tutti_shape *x, int64_t height, int64_t width);
/* Images times channels. */
tutti_extent tutti_image_planes(const tutti_shape *shape);
/* cost: every element of inputs and output once; `flops` per element of input `counted`, or of the
 * output when that is -1. */
tutti_cost tutti_image_cost(const tutti_node_info *node, int64_t n, int32_t counted, double flops);

/* One candidate: `entry` of `file`, with the arguments inputs, output, IMAGE_SIZES, values. A
 * work-item computes one element, or, on CPUs, rows of a plane: all of them with `whole`, else as
 * many as leave work for all compute units. */
tutti_status tutti_image_lower(const tutti_node_info *node, const tutti_device_info *device,
                               tutti_lowering *out, const char *file, const char *entry,
                               const int64_t *values, int32_t n_values, bool whole);

/* What a pooling op's attributes say. */
typedef struct tutti_pool_attr {
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    int64_t exclude;  /* average: 1 when padding does not count */
    int64_t adaptive; /* average: 1 when windows follow from the sizes alone */
    int64_t size[2];  /* of the op's output, where the rest does not say it; else 0 */
} tutti_pool_attr;

/* With defaults in place of zeros: stride is the kernel's size. */
tutti_pool_attr tutti_pool_attr_of(const tutti_pool2d_options *options);
tutti_status tutti_pool_check(const tutti_node_info *node, const tutti_pool_attr *attr);
/* Number of windows along axis d. */
int64_t tutti_pool_extent(const tutti_pool_attr *attr, int d, int64_t size);
/* Positions [begin, end) of window `index` along axis d of `size` positions into `out` windows;
 * may lie outside. */
typedef struct tutti_span {
    int64_t begin, end;
} tutti_span;
tutti_span tutti_pool_span(const tutti_pool_attr *attr, int d, int64_t index, int64_t size,
                           int64_t out);

/* True where the kernels of cl/pool_pairs.clh fit: windows of 2 x 2, a stride of 2, no padding, on a
 * CPU. */
bool tutti_pool_is_pairs(const tutti_pool_attr *attr, const tutti_device_info *device);

/* How many windows a line of cl/pool_lines.clh holds; 0 where they do not fit, or not on a CPU. */
int64_t tutti_pool_line(const tutti_pool_attr *attr, const tutti_device_info *device);

/* On a GPU, for one window that is the whole plane: adds the candidate of a work-group per plane, with the
 * arguments inputs, output, elements of a plane. False elsewhere. */
bool tutti_pool_lower_whole(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, const char *file, const char *entry);

/* Gradients, as nodes. */
tutti_tensor tutti_avg_pool2d_node(tutti_graph *graph, tutti_tensor x, const tutti_pool_attr *attr);
tutti_tensor tutti_avg_pool2d_grad(tutti_graph *graph, tutti_tensor dy, const tutti_shape *x,
                                   const tutti_pool_attr *attr);
tutti_tensor tutti_max_pool2d_grad(tutti_graph *graph, tutti_tensor x, tutti_tensor dy,
                                   const tutti_pool_attr *attr);

typedef struct tutti_upsample_attr {
    int64_t size[2]; /* of the output */
    int64_t bilinear;
} tutti_upsample_attr;
tutti_tensor tutti_upsample2d_node(tutti_graph *graph, tutti_tensor x, bool bilinear,
                                   int64_t height, int64_t width);
tutti_tensor tutti_upsample2d_grad(tutti_graph *graph, tutti_tensor dy, bool bilinear,
                                   int64_t height, int64_t width);
tutti_status tutti_upsample_check(const tutti_node_info *node);
/* The two positions of `size` that position `index` of `out` lies between, and the share of the
 * second. */
typedef struct tutti_between {
    int64_t first, second;
    double share;
} tutti_between;
tutti_between tutti_upsample_between(const tutti_upsample_attr *attr, int64_t index, int64_t size,
                                     int64_t out);

typedef struct tutti_pad_attr {
    int64_t before[2], after[2];
    int64_t reflect;
} tutti_pad_attr;
tutti_tensor tutti_pad2d_node(tutti_graph *graph, tutti_tensor x, const tutti_pad_attr *attr);
tutti_tensor tutti_pad2d_grad(tutti_graph *graph, tutti_tensor dy, const tutti_pad_attr *attr);

#endif
