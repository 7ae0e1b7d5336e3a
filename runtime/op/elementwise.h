/* What the files of elementwise ops include; what they share is public, in tutti/ext/op.h. See
 * docs/adding-an-op.md. */
#ifndef TUTTI_OP_ELEMENTWISE_H
#define TUTTI_OP_ELEMENTWISE_H

#include "graph/graph.h"
#include "op/ops.h"

#define TUTTI_COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

#endif
