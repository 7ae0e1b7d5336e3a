/* What matmul and batched_matmul share. */
#ifndef TUTTI_OP_MATMUL_H
#define TUTTI_OP_MATMUL_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_matmul_attr {
    uint32_t trans_a, trans_b;
} tutti_matmul_attr;

/* The options of cl/matmul_cpu.cl. */
typedef struct tutti_matmul_tile {
    int64_t mr, nv, np, kc;
} tutti_matmul_tile;

/* For products of that many rows and columns; false when the device's local memory is too small. */
bool tutti_matmul_cpu_tile(const tutti_device_info *device, int64_t rows, int64_t columns,
                           tutti_matmul_tile *out);

#endif
