/* Library routines that a launch may call instead of a kernel. One table entry each; the arguments'
 * order is part of the entry's contract.
 *
 *   "clblast_sgemm": A tensor, B tensor, C tensor, then I32: M, N, K, trans_a (0/1), trans_b (0/1).
 * C = op(A) op(B), row-major and dense.
 */
#ifndef TUTTI_KERNEL_ROUTINE_H
#define TUTTI_KERNEL_ROUTINE_H

#include "device/open.h"

typedef struct tutti_routine_arg {
    cl_mem memory; /* of tensors and scratch */
    int64_t i32;
    float f32;
} tutti_routine_arg;

typedef struct tutti_routine {
    const char *name;
    int32_t n_args;
    tutti_status (*call)(const tutti_device *device, const tutti_routine_arg *args,
                         cl_event *event);
} tutti_routine;

/* NULL when there is none of that name. */
const tutti_routine *tutti_routine_find(const char *name);

#endif
