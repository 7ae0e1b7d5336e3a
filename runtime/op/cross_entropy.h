/* What cross_entropy and its gradient share. */
#ifndef TUTTI_OP_CROSS_ENTROPY_H
#define TUTTI_OP_CROSS_ENTROPY_H

#include "op/rows.h"

typedef struct tutti_cross_entropy_attr {
    float smoothing;
    uint32_t ignore; /* 0 or 1 */
    int32_t ignore_index;
} tutti_cross_entropy_attr;

/* Checks logits, labels, and input `weights` when there is one. */
tutti_status tutti_cross_entropy_check(const tutti_node_info *node, int32_t weights);
/* Adds the arguments behind rows and columns. */
void tutti_cross_entropy_args(const tutti_node_info *node, tutti_lowering *out,
                              tutti_launch *launch);

#endif
