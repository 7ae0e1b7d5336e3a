/* Lowering: a node to candidates, as pure data in an arena. The builder functions of tutti/ext/op.h
 * are in lowering.c. */
#ifndef TUTTI_GRAPH_LOWERING_H
#define TUTTI_GRAPH_LOWERING_H

#include "base/arena.h"
#include "graph/group.h"
#include "tutti/ext/op.h"

#define TUTTI_CANDIDATES_MAX 8

/* An epilogue or a prologue that kernels of the node being lowered may take. */
typedef struct tutti_attached_code {
    const char *text;        /* before the kernel's own */
    tutti_launch parameters; /* its arguments come after the kernel's */
    tutti_tensor loaded;     /* a prologue: what the kernel then does not read */
} tutti_attached_code;

struct tutti_lowering {
    tutti_arena *arena;
    const tutti_device_info *device; /* or NULL */
    tutti_matmul_precision matmul_precision;
    tutti_candidate candidates[TUTTI_CANDIDATES_MAX];
    int32_t n_candidates;
    tutti_status status;
    const tutti_attached_code *epilogue, *prologue; /* or NULL */
    const tutti_group *group;                       /* of which the node is the first; or NULL */
};

/* Calls the op's lower; an elementwise op without one becomes a generated kernel (the same
 * generator as for fused chains). Fails when no candidate was added, or when an element count for
 * n_max samples exceeds what the kernels' 32-bit index can address. */
TUTTI_MUST_USE tutti_status tutti_node_lower(const tutti_node_info *node,
                                             const tutti_device_info *device, int64_t n_max,
                                             tutti_arena *arena, tutti_lowering *out);

/* The same where products may round their operands. */
TUTTI_MUST_USE tutti_status tutti_node_lower_rounding(const tutti_node_info *node,
                                                      const tutti_device_info *device,
                                                      int64_t n_max,
                                                      tutti_matmul_precision matmul_precision,
                                                      tutti_arena *arena, tutti_lowering *out);

/* Calls the op's lower; operands in f16 or bf16 are copied for kernels that know f32 alone
 * (graph/widen.c), that is, where they are not arguments by tutti_launch_operand. */
TUTTI_MUST_USE tutti_status tutti_op_lower(const tutti_node_info *node,
                                           const tutti_device_info *device, tutti_lowering *out);
TUTTI_MUST_USE tutti_status tutti_widen_operands(const tutti_node_info *node,
                                                 const tutti_device_info *device,
                                                 tutti_lowering *out);
/* Lets a candidate read a copy of that tensor, of a type of 2 bytes, made before its launches. */
void tutti_widen_input(const tutti_device_info *device, tutti_lowering *out,
                       tutti_candidate *candidate, tutti_tensor tensor, const tutti_type *type);

/* Arguments of the candidate's launches that are `tensor` become `to`. own_only: not those that belong
 * to an epilogue or a prologue, nor those that kernels take in any type. */
void tutti_candidate_redirect(tutti_candidate *candidate, tutti_tensor tensor, tutti_arg to,
                              bool own_only);
/* The launch that was added last becomes the first one; there is at least one. */
void tutti_candidate_last_first(tutti_candidate *candidate);

#endif
