/* What losses share. */
#ifndef TUTTI_OP_LOSS_H
#define TUTTI_OP_LOSS_H

#include "graph/graph.h"
#include "op/elementwise.h"

/* infer of losses and hits per element: two f32 inputs of equal shape. N against Nx1 would broadcast to a
 * wrong loss without a sound. */
tutti_status tutti_loss_infer(const tutti_node_info *node, tutti_infer *out);
/* The same check for composed losses: true when both are valid and of equal shape; else the graph
 * has an error. */
bool tutti_loss_check(tutti_graph *graph, const char *name, tutti_tensor x, tutti_tensor target);

#endif
