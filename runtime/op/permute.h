/* Axes in another order, for ops that can read them so. */
#ifndef TUTTI_OP_PERMUTE_H
#define TUTTI_OP_PERMUTE_H

#include "graph/graph.h"

/* The tensor that x is a permutation of, x itself when it is none; axis i of x is its axis perm[i]. */
tutti_tensor tutti_permute_source(const tutti_graph *g, tutti_tensor x,
                                  int32_t perm[TUTTI_MAX_RANK]);

#endif
