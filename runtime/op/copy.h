/* Launches that copy rows of 32-bit elements between tensors with gaps. */
#ifndef TUTTI_OP_COPY_H
#define TUTTI_OP_COPY_H

#include "op/axis.h"

/* outer * k rows of `length` elements. Row (o, j) goes from from_base + o * from_outer + j * from_k
 * to to_base + o * to_outer + j * to_k, all in elements. */
typedef struct tutti_copy {
    tutti_extent outer;
    int64_t k, length;
    int64_t from_outer, from_k, from_base;
    int64_t to_outer, to_k, to_base;
} tutti_copy;

void tutti_copy_launch(const tutti_device_info *device, tutti_lowering *out,
                       tutti_candidate *candidate, tutti_tensor from, tutti_tensor to,
                       const tutti_copy *copy);

/* Elements that a work-item of a CPU should move, so that starting it is not most of the work. */
#define TUTTI_CPU_CHUNK 4096

#endif
