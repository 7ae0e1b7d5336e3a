/* A slice and its gradient are each other's gradients. */
#ifndef TUTTI_OP_SLICE_H
#define TUTTI_OP_SLICE_H

#include <stdint.h>

/* Elements begin, begin + step, … of the axis, `count` of them, out of `extent`. */
typedef struct tutti_slice_attr {
    int64_t axis; /* negative counts from the end */
    int64_t extent, begin, count, step;
} tutti_slice_attr;

#endif
