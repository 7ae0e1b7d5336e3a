/* What matmul and batched_matmul share. */
#ifndef TUTTI_OP_MATMUL_H
#define TUTTI_OP_MATMUL_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_matmul_attr {
    uint32_t trans_a, trans_b;
} tutti_matmul_attr;

/* Both operands of a kernel, by cl/operand.clh. */
void tutti_matmul_operands(const tutti_node_info *node, tutti_lowering *out, tutti_launch *launch);

/* What kernels may round operands to, and how far results may then be from the reference's: as
 * tutti_candidate's tolerance, which is 0 where the operands are bf16 anyhow. */
#define TUTTI_MATMUL_TF32_TOLERANCE 2e-3F
#define TUTTI_MATMUL_BF16_TOLERANCE 1.6e-2F
typedef struct tutti_matmul_rounding {
    bool tf32, bf16;
    float bf16_tolerance;
} tutti_matmul_rounding;
tutti_matmul_rounding tutti_matmul_rounding_of(const tutti_node_info *node,
                                               const tutti_lowering *lowering);

/* Axis i of an operand, as the products see it, is axis perm[operand][i] of its tensor, whose last axis
 * is one of the matrices'. */
typedef struct tutti_batched_matmul_attr {
    tutti_matmul_attr of;
    int32_t perm[2][TUTTI_MAX_RANK];
} tutti_batched_matmul_attr;

/* How cl/matmul_cpu.cl is built and divided into work-groups. */
typedef struct tutti_matmul_cpu {
    int64_t mr, nv, np, kc; /* options, which depend on the device alone */
    int64_t tiles, panels;  /* per work-group */
    char options[96];
} tutti_matmul_cpu;

/* A vector of 16 floats in one register, of which there are 32. */
bool tutti_matmul_is_wide(const tutti_device_info *device);

/* For `count` products of about so many rows and columns; false when the device's local memory is
 * too small. */
bool tutti_matmul_cpu_fit(const tutti_device_info *device, int64_t count, int64_t rows,
                          int64_t columns, const tutti_matmul_attr *attr, tutti_matmul_cpu *out);

/* How cl/batched_matmul_direct.cl is built and divided into work-groups. */
typedef struct tutti_matmul_direct {
    int64_t each; /* products per work-group */
    char options[64];
} tutti_matmul_direct;

/* For about `count` products; false when they are too large or of other sizes than it takes. */
bool tutti_matmul_direct_fit(const tutti_device_info *device, int64_t count, int64_t m, int64_t n,
                             int64_t k, const tutti_matmul_attr *attr, tutti_matmul_direct *out);

/* Adds the candidates of matmul that suit CPUs; false when none is sure to run. */
bool tutti_matmul_lower_cpu(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, tutti_extent rows, tutti_extent columns,
                            tutti_extent inner);

/* About so many products of about this size; K may be cut where results can be added up after. */
typedef struct tutti_matmul_size {
    int64_t count, m, n, k;
    bool may_split;
} tutti_matmul_size;

/* How a GPU kernel is built and divided into work-groups. */
typedef struct tutti_matmul_gpu {
    char name[32];            /* of the candidate */
    const char *file, *entry; /* of matmul; of batched_matmul with "batched_" before it */
    char options[96];
    int64_t columns; /* per work-group */
    int64_t per_item[2], local[2];
    int64_t splits;
    float tolerance; /* of the candidate */
} tutti_matmul_gpu;
#define TUTTI_MATMUL_GPU_MAX 6

/* The best guess first; none where work-groups or local memory are too small. */
int32_t tutti_matmul_gpu_fit(const tutti_device_info *device, const tutti_matmul_size *size,
                             const tutti_matmul_attr *attr, tutti_matmul_rounding rounding,
                             tutti_matmul_gpu out[TUTTI_MATMUL_GPU_MAX]);

/* Adds the candidates of matmul that suit GPUs, the best guess first. */
void tutti_matmul_lower_gpu(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, tutti_extent rows, tutti_extent columns,
                            tutti_extent inner);

#endif
