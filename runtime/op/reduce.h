/* What reductions over axes share: sum, max, min. Their kernels are in cl/reduce.clh. */
#ifndef TUTTI_OP_REDUCE_H
#define TUTTI_OP_REDUCE_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_reduce_attr {
    uint32_t axes; /* bit i: axis i is reduced */
    uint32_t keep_dims;
} tutti_reduce_attr;

/* Adds the node; axes as in tutti_sum. Invalid, with the graph's error set, when an axis is out of
 * range or named twice. */
tutti_tensor tutti_reduce(tutti_graph *graph, const tutti_op *op, tutti_tensor x, int32_t n_axes,
                          const int32_t *axes, bool keep_dims);
/* The axes as bits; TUTTI_SHAPE naming the bad one. */
TUTTI_MUST_USE tutti_status tutti_reduce_axes(const char *name, const tutti_shape *shape,
                                              int32_t n_axes, const int32_t *axes, uint32_t *out);
/* The result's shape. */
tutti_shape tutti_reduce_shape(const tutti_shape *shape, uint32_t axes, bool keep_dims);
/* True when the batch is reduced. */
bool tutti_reduce_batch(const tutti_shape *shape, uint32_t axes);

tutti_status tutti_reduce_infer(const tutti_node_info *node, tutti_infer *out);
tutti_cost tutti_reduce_cost(const tutti_node_info *node, int64_t n);
tutti_status tutti_reduce_lower(const tutti_node_info *node, const tutti_device_info *device,
                                tutti_lowering *out);
/* Each element of the result: fold over its elements of x, in order, beginning with start. */
void tutti_reduce_ref(const tutti_ref_call *call, double start, double (*fold)(double, double));

/* x / (per_sample * samples of the whole batch - correction). Linear. */
typedef struct tutti_count_attr {
    double per_sample, correction;
} tutti_count_attr;
tutti_tensor tutti_divide_by_count(tutti_graph *graph, tutti_tensor x, double per_sample,
                                   double correction);

#endif
