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
/* The value of the graph's scalar of that index. */
tutti_tensor tutti_scalar_value(tutti_graph *graph, uint32_t scalar);
/* 1 where x > 0, else 0; without gradient. */
tutti_tensor tutti_heaviside(tutti_graph *graph, tutti_tensor x);
/* min(1, max_norm / (norm + 1e-6)), the factor of gradient clipping; without gradient. */
tutti_tensor tutti_clip_factor(tutti_graph *graph, tutti_tensor norm, float max_norm);

/* x under exactly that shape; x itself when it has it. */
tutti_tensor tutti_reshape_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape);
/* x expanded to that shape; x itself when it has it. The opposite is tutti_reduce_to. */
tutti_tensor tutti_broadcast_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape);

/* Optimizers: update nodes that change param and the states in place; the output is the new
 * parameter. Numbers are double, so that 0.999 means 0.999. Every attr starts with this. */
typedef struct tutti_update_attr {
    double lr_factor; /* of this parameter */
    uint32_t lr;      /* index of a graph scalar */
    uint32_t every;   /* training steps per update, at least 1 */
} tutti_update_attr;

typedef struct tutti_sgd_attr {
    tutti_update_attr update;
    double momentum, weight_decay;
    uint64_t nesterov; /* 0 or 1 */
} tutti_sgd_attr;

/* Adam, AdamW, LAMB. */
typedef struct tutti_adam_attr {
    tutti_update_attr update;
    double beta1, beta2, eps, weight_decay;
} tutti_adam_attr;

typedef struct tutti_rmsprop_attr {
    tutti_update_attr update;
    double alpha, eps, momentum, weight_decay;
    uint64_t centered; /* 0 or 1 */
} tutti_rmsprop_attr;

typedef struct tutti_adagrad_attr {
    tutti_update_attr update;
    double eps, weight_decay;
} tutti_adagrad_attr;

/* States have the parameter's shape and start at zero. momentum: invalid (id 0) when attr->momentum
 * is 0. */
tutti_tensor tutti_sgd(tutti_graph *graph, tutti_tensor param, tutti_tensor grad,
                       tutti_tensor momentum, const tutti_sgd_attr *attr);
tutti_tensor tutti_adam(tutti_graph *graph, tutti_tensor param, tutti_tensor grad, tutti_tensor m,
                        tutti_tensor v, const tutti_adam_attr *attr);
tutti_tensor tutti_adamw(tutti_graph *graph, tutti_tensor param, tutti_tensor grad, tutti_tensor m,
                         tutti_tensor v, const tutti_adam_attr *attr);
tutti_tensor tutti_lamb(tutti_graph *graph, tutti_tensor param, tutti_tensor grad, tutti_tensor m,
                        tutti_tensor v, const tutti_adam_attr *attr);
/* mean: invalid when not attr->centered. */
tutti_tensor tutti_rmsprop(tutti_graph *graph, tutti_tensor param, tutti_tensor grad,
                           tutti_tensor square, tutti_tensor mean, tutti_tensor momentum,
                           const tutti_rmsprop_attr *attr);
tutti_tensor tutti_adagrad(tutti_graph *graph, tutti_tensor param, tutti_tensor grad,
                           tutti_tensor sum, const tutti_adagrad_attr *attr);
/* After every K-th step, sum (a state) and the result are the mean of grad over K steps. */
tutti_tensor tutti_accumulate(tutti_graph *graph, tutti_tensor sum, tutti_tensor grad,
                              uint32_t steps);

typedef struct tutti_average_attr {
    tutti_update_attr update; /* lr is not read */
    double decay;
} tutti_average_attr;

/* average (a state) follows value. */
tutti_tensor tutti_average(tutti_graph *graph, tutti_tensor average, tutti_tensor value,
                           const tutti_average_attr *attr);

typedef struct tutti_running_average_attr {
    double momentum;
    /* Elements that the value, a variance over all of them, comes from: it is turned into the
     * unbiased estimate. {0, 0} for a value that is taken as it is. */
    tutti_extent count;
} tutti_running_average_attr;

/* state follows value; they have one shape. */
tutti_status tutti_running_average(tutti_graph *graph, tutti_tensor state, tutti_tensor value,
                                   const tutti_running_average_attr *attr);
/* The same for a mean and a variance at once; attr->count is of the variance. */
tutti_status tutti_running_statistics(tutti_graph *graph, tutti_tensor mean_state,
                                      tutti_tensor mean, tutti_tensor variance_state,
                                      tutti_tensor variance,
                                      const tutti_running_average_attr *attr);
/* The double that a decimal literal such as 0.999F meant. */
double tutti_decimal(float value);

#endif
