/* What embedding and its gradient share. */
#ifndef TUTTI_OP_EMBEDDING_H
#define TUTTI_OP_EMBEDDING_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_embedding_grad_attr {
    int64_t rows; /* of the table */
} tutti_embedding_grad_attr;

#endif
