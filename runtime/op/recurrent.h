/* What the ops that go along time share: lstm, gru and their gradients. Their kernels are on top of
 * cl/recurrent.clh. */
#ifndef TUTTI_OP_RECURRENT_H
#define TUTTI_OP_RECURRENT_H

#include "graph/graph.h"
#include "op/elementwise.h"

/* Inputs that may be missing, in their order; the others come first. */
enum {
    TUTTI_RECURRENT_H0 = 1 << 0, /* lstm: h0 and c0; lstm_grad: c0 */
    TUTTI_RECURRENT_DY = 1 << 1,
    TUTTI_RECURRENT_DC = 1 << 2,
    TUTTI_RECURRENT_DGATES = 1 << 3
};
typedef struct tutti_recurrent_attr {
    uint32_t has;
} tutti_recurrent_attr;

/* N x T x width, N and T those of `like`; or N x width when steps is false. */
tutti_shape tutti_recurrent_shape(const tutti_shape *like, bool steps, int64_t width);
/* Input i must be f32 of that shape. */
TUTTI_MUST_USE tutti_status tutti_recurrent_check(const tutti_node_info *node, int32_t i,
                                                  const char *what, const tutti_shape *expected);
/* Input i must be f32 (N, T, parts * H): *out_h receives H. */
TUTTI_MUST_USE tutti_status tutti_recurrent_steps(const tutti_node_info *node, int32_t i,
                                                  const char *what, int64_t parts, int64_t *out_h);
/* The optional inputs from number `first` on: of those in `flags`, in order of their bits, the ones
 * that the attribute names, and no others. shapes and names have an entry per bit. */
TUTTI_MUST_USE tutti_status tutti_recurrent_optional(const tutti_node_info *node, int32_t first,
                                                     uint32_t flags,
                                                     const tutti_shape *const *shapes,
                                                     const char *const *names);
/* Which input one of them is; -1 when it is missing. */
int32_t tutti_recurrent_index(const tutti_node_info *node, int32_t first, uint32_t flag);

/* The launch of "<op>.cl", with `rows` rows of H per sample in local memory. Its arguments: the first
 * n_fixed inputs, those that `flags` names or, for a missing one, any (each two of them, with `pairs`),
 * the outputs, local memory, the sizes of `states` (N, T, H), and the flags. */
TUTTI_MUST_USE tutti_status tutti_recurrent_lower(const tutti_node_info *node,
                                                  const tutti_device_info *device,
                                                  tutti_lowering *out, const tutti_shape *states,
                                                  int64_t rows, int32_t n_fixed, uint32_t flags,
                                                  bool pairs);

/* Multiplications with weights of parts * H x H for all samples and steps. */
tutti_cost tutti_recurrent_cost(const tutti_node_info *node, int64_t n, const tutti_shape *states,
                                int64_t parts);

/* h[t-1] for all t: y one step later, behind h0 or, when that is invalid, zeros. */
tutti_tensor tutti_recurrent_before(tutti_graph *graph, tutti_tensor y, tutti_tensor h0);
/* (N, T, C) as (N*T, C). */
tutti_tensor tutti_recurrent_rows(tutti_graph *graph, tutti_tensor x);
/* x (N, T, C) times the transposed weight plus bias (invalid: none): (N, T, parts * H). */
tutti_tensor tutti_recurrent_project(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                                     tutti_tensor bias);
/* The last of N x T x H, as N x H. */
tutti_tensor tutti_recurrent_last(tutti_graph *graph, tutti_tensor states);
/* False, with the graph's error set, unless x is (N, T, C) and the weights fit it and each other. */
bool tutti_recurrent_weights_fit(tutti_graph *graph, const char *name, tutti_tensor x,
                                 const tutti_recurrent_weights *weights, int64_t parts);

#endif
