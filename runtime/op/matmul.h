/* What matmul and batched_matmul share. */
#ifndef TUTTI_OP_MATMUL_H
#define TUTTI_OP_MATMUL_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_matmul_attr {
    uint32_t trans_a, trans_b;
} tutti_matmul_attr;

/* How cl/matmul_cpu.cl is built and divided into work-groups. */
typedef struct tutti_matmul_cpu {
    int64_t mr, nv, np, kc; /* options, which depend on the device alone */
    int64_t tiles, panels;  /* per work-group */
    char options[96];
} tutti_matmul_cpu;

/* For `count` products of about so many rows and columns; false when the device's local memory is
 * too small. */
bool tutti_matmul_cpu_fit(const tutti_device_info *device, int64_t count, int64_t rows,
                          int64_t columns, const tutti_matmul_attr *attr, tutti_matmul_cpu *out);

/* Adds the candidates of matmul that suit GPUs, the best guess first. */
void tutti_matmul_lower_gpu(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, tutti_extent rows, tutti_extent columns,
                            tutti_extent inner);

#endif
