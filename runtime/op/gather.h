/* gather and scatter_add are each other's gradients. */
#ifndef TUTTI_OP_GATHER_H
#define TUTTI_OP_GATHER_H

#include <stdint.h>

typedef struct tutti_gather_attr {
    int64_t axis;   /* negative counts from the end */
    int64_t extent; /* of scatter_add's result along the axis */
} tutti_gather_attr;

#endif
