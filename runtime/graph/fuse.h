/* Generated kernels for elementwise nodes, one node or a chain of them, and chains that became the
 * epilogue of the op before them or the prologue of the one behind. */
#ifndef TUTTI_GRAPH_FUSE_H
#define TUTTI_GRAPH_FUSE_H

#include "graph/program.h"

/* Limits of one kernel: the least argument space that OpenCL promises is 1024 bytes, and registers
 * are finite. */
#define TUTTI_FUSE_OPERANDS_MAX 24
#define TUTTI_FUSE_MEMBERS_MAX  32
#define TUTTI_FUSE_INPUTS_MAX   16 /* of one member */

/* A node of a chain. Each has one output, of as many elements as the others'. */
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
    const tutti_shape *shapes; /* by input: of the result to which it is broadcast */
    const char *label;
} tutti_fused_chain;

/* What attr of a node points to that takes an epilogue. Its inputs are those of `base`, then those
 * of `rest` without the result of `base`; its outputs are those of `rest`. */
typedef struct tutti_epilogue {
    tutti_node_info base; /* an op with the flag TUTTI_OP_EPILOGUE */
    tutti_node_info rest; /* a fused or an elementwise node */
    const char *label;
} tutti_epilogue;

/* What attr of a node points to that takes a prologue. Its inputs are those of `chain`, then those of
 * `base` but for input `slot`; its outputs are those of `base`, then `kept`. */
typedef struct tutti_prologue {
    tutti_node_info chain; /* a fused or an elementwise node */
    /* An op with the flag TUTTI_OP_PROLOGUE, slot being 0, or one that loads that input, perhaps with
     * an epilogue; input `slot` is output `loaded`. */
    tutti_node_info base;
    int32_t slot, loaded;
    tutti_node_info
        kept; /* the chain as the kernel computes it: with the outputs that others read */
    tutti_fused_chain members; /* of `kept` */
    int32_t result;            /* the member that `base` loads */
    const char *label;
} tutti_prologue;

/* The node within: the op that has an epilogue, a prologue or both; else the node itself. */
const tutti_node_info *tutti_fused_core(const tutti_node_info *node);

/* A chain of one node. */
typedef struct tutti_single_chain {
    tutti_fused_member member;
    int32_t source[TUTTI_FUSE_INPUTS_MAX];
    tutti_shape shapes[TUTTI_FUSE_INPUTS_MAX];
} tutti_single_chain;
/* The chain of a fused node; of another elementwise node a single one, kept in *single. */
tutti_fused_chain tutti_fused_chain_of(const tutti_node_info *node, tutti_single_chain *single);
/* True when the shapes have the same number of elements, whatever the batch. */
static inline bool tutti_fuse_same_count(const tutti_shape *a, const tutti_shape *b) {
    const tutti_extent x = tutti_extent_count(a), y = tutti_extent_count(b);
    return x.base == y.base && x.per_sample == y.per_sample;
}
/* Adds the launch of a chain's kernel (graph/chain.c). */
TUTTI_MUST_USE tutti_status tutti_chain_launch(const tutti_node_info *node,
                                               const tutti_fused_chain *chain,
                                               const tutti_device_info *device, tutti_lowering *out,
                                               tutti_candidate *candidate);
/* Lowers an elementwise node that has no lower of its own. */
TUTTI_MUST_USE tutti_status tutti_elementwise_lower(const tutti_node_info *node,
                                                    const tutti_device_info *device,
                                                    tutti_lowering *out);

#endif
