/* What ops over rows (all axes but the last) share. Their kernels are <op>_row and <op>_group in
 * <op>.cl, with the arguments: inputs, output, rows, columns. */
#ifndef TUTTI_OP_ROWS_H
#define TUTTI_OP_ROWS_H

#include "graph/graph.h"
#include "op/elementwise.h"

/* Extent of the last axis of input 0, and product of the others. */
int64_t tutti_rows_columns(const tutti_node_info *node);
tutti_extent tutti_rows_count(const tutti_node_info *node);
/* lower: a work-item per row for CPUs and short rows, a work-group per row elsewhere. */
tutti_status tutti_rows_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out);
/* The launch of tutti_rows_lower, for kernels with more build options, or with more arguments behind
 * the columns. */
tutti_launch *tutti_rows_launch(const tutti_node_info *node, const tutti_device_info *device,
                                tutti_lowering *out, const char *options);
/* cost: inputs and output once; `flops_per_element` of input 0. */
tutti_cost tutti_rows_cost(const tutti_node_info *node, int64_t n, double flops_per_element);
/* Checks logits (f32, rows x columns) and labels (i32, rows). */
tutti_status tutti_rows_check_labels(const tutti_node_info *node);
/* infer of softmax and its logarithm. */
tutti_status tutti_rows_infer(const tutti_node_info *node, tutti_infer *out);
/* The logarithm of the sum of exp(x), in double. */
double tutti_rows_log_sum(const float *x, int64_t columns);
/* The shape without its last axis. */
tutti_shape tutti_rows_shape(const tutti_shape *shape);

#endif
