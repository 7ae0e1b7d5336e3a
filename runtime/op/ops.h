/* The tables of the built-in ops, and constructors that only the library uses. Public constructors
 * are declared in tutti/ops.h and defined in the op's file. */
#ifndef TUTTI_OP_OPS_H
#define TUTTI_OP_OPS_H

#include "tutti/ext/op.h"
#include "tutti/ops.h"

#define X(name) extern const tutti_op tutti_op_##name;
#include "op/ops.def"
#undef X

/* What a batch is taken for where its size shapes a kernel but is not known yet. */
#define TUTTI_TYPICAL_BATCH 128

/* A tensor of that shape (batched or not) filled with value. */
tutti_tensor tutti_constant(tutti_graph *graph, const tutti_shape *shape, float value);
/* x * value / (samples of the whole batch, over all devices). Linear. */
tutti_tensor tutti_scale_over_batch(tutti_graph *graph, tutti_tensor x, float value);
/* 1 where x > 0, else 0; without gradient. */
tutti_tensor tutti_heaviside(tutti_graph *graph, tutti_tensor x);
/* min(1, max_norm / (norm + 1e-6)), the factor of gradient clipping; without gradient. */
tutti_tensor tutti_clip_factor(tutti_graph *graph, tutti_tensor norm, float max_norm);

/* x under exactly that shape; x itself when it has it. */
tutti_tensor tutti_reshape_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape);
/* x expanded to that shape; x itself when it has it. */
tutti_tensor tutti_broadcast_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape);
/* The opposite: x summed over the axes along which `shape` was broadcast to x's, so that a gradient
 * gets its operand's shape. A sum over the batch covers the whole batch. */
tutti_tensor tutti_reduce_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape);

/* Optimizers: update nodes without outputs that change param and the states in place. lr is the
 * index of a graph scalar. Numbers are double, so that 0.999 means 0.999. */
typedef struct tutti_sgd_attr {
    double momentum, weight_decay;
    uint32_t lr;
    uint32_t nesterov; /* 0 or 1 */
} tutti_sgd_attr;

typedef struct tutti_adam_attr {
    double beta1, beta2, eps, weight_decay;
    uint32_t lr;
    uint32_t reserved; /* 0 */
} tutti_adam_attr;

/* momentum is the state of that name, shaped like param; invalid (id 0) when attr->momentum is 0.
 */
tutti_status tutti_sgd(tutti_graph *graph, tutti_tensor param, tutti_tensor grad,
                       tutti_tensor momentum, const tutti_sgd_attr *attr);
/* m and v: states, shaped like param, that start at zero. */
tutti_status tutti_adam(tutti_graph *graph, tutti_tensor param, tutti_tensor grad, tutti_tensor m,
                        tutti_tensor v, const tutti_adam_attr *attr);
tutti_status tutti_adamw(tutti_graph *graph, tutti_tensor param, tutti_tensor grad, tutti_tensor m,
                         tutti_tensor v, const tutti_adam_attr *attr);
typedef struct tutti_running_average_attr {
    double momentum;
    /* Elements that the value, a variance over all of them, comes from: it is turned into the
     * unbiased estimate. {0, 0} for a value that is taken as it is. */
    tutti_extent count;
} tutti_running_average_attr;

/* state follows value; they have one shape. */
tutti_status tutti_running_average(tutti_graph *graph, tutti_tensor state, tutti_tensor value,
                                   const tutti_running_average_attr *attr);
/* The double that a decimal literal such as 0.999F meant. */
double tutti_decimal(float value);

#endif
