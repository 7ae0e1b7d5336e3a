/* Generated kernels for elementwise nodes, one node or a chain of them. */
#ifndef TUTTI_GRAPH_FUSE_H
#define TUTTI_GRAPH_FUSE_H

#include "graph/program.h"

/* Limits of one kernel: the least argument space that OpenCL promises is 1024 bytes, and registers
 * are finite. */
#define TUTTI_FUSE_OPERANDS_MAX 24
#define TUTTI_FUSE_MEMBERS_MAX  32
#define TUTTI_FUSE_INPUTS_MAX   16 /* of one member */

/* A node of a chain. Each has one output, of the chain's shape. */
typedef struct tutti_fused_member {
    tutti_node_info node;
    /* Per input: k >= 0 is input k of the fused node, k < 0 is the result of member -1 - k. */
    const int32_t *source;
    int32_t output; /* which output of the fused node it is, or -1 */
} tutti_fused_member;

/* What attr of a fused node points to. */
typedef struct tutti_fused_chain {
    const tutti_fused_member *members; /* in topological order */
    int32_t n_members;
    const char *label;
} tutti_fused_chain;

/* Lowers a chain (graph/generate.c). */
TUTTI_MUST_USE tutti_status tutti_chain_lower(const tutti_node_info *node,
                                              const tutti_fused_chain *chain,
                                              const tutti_device_info *device, tutti_lowering *out);
/* Lowers an elementwise node that has no lower of its own. */
TUTTI_MUST_USE tutti_status tutti_elementwise_lower(const tutti_node_info *node,
                                                    const tutti_device_info *device,
                                                    tutti_lowering *out);

#endif
