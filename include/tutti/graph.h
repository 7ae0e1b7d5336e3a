/* A graph of tensor ops: define, declare the loss, derive, optimise, freeze.
 *
 *     tutti_graph *g;
 *     TRY(tutti_graph_make(&g));
 *     tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 64});
 *     tutti_tensor t = tutti_graph_input(g, "t", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
 *     tutti_tensor y = tutti_nn_linear(g, x, 10, "head", NULL);
 *     TRY(tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, y, t)));
 *     TRY(tutti_graph_set_output(g, "logits", y));
 *     TRY(tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM, .lr = 1e-3F}));
 *     TRY(tutti_graph_freeze(g));
 *
 * Constructors return a tensor id; a call that fails returns the invalid id, and the graph keeps
 * the first error with its message, so that model code reads without checks. Freezing returns it.
 * A graph is used by one thread at a time until it is frozen; then it is read-only.
 */
#ifndef TUTTI_GRAPH_H
#define TUTTI_GRAPH_H

#include "tutti/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_graph tutti_graph;

/* Makes an empty graph. The caller owns it: tutti_graph_free. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_graph_make(tutti_graph **out);
/* Frees the graph and all it owns; takes NULL. Plans made from it must be freed before. */
TUTTI_API void tutti_graph_free(tutti_graph *graph);

/* How a parameter starts. Values come from Philox streams keyed by (seed, parameter name) and are
 * computed with IEEE additions, products, quotients and square roots only, so a seed gives the same
 * bits on every machine.
 *
 * Where a stands for a gain, 0 means a default and no kind starts with zeros because of it.
 *
 * fan_in and fan_out of a shape (out, in, ...): in and out times the extents behind them. Usual
 * gains: 1 for linear and sigmoid, sqrt(2) for ReLU, sqrt(2 / (1 + s^2)) for leaky ReLU of slope s,
 * 5/3 for tanh. Sources: Glorot, Bengio: Understanding the difficulty of training deep feedforward
 * neural networks, 2010 (Xavier); He et al.: Delving deep into rectifiers, 2015 (Kaiming); Saxe et
 * al.: Exact solutions to the nonlinear dynamics of learning in deep linear networks, 2014. */
typedef enum tutti_init_kind {
    TUTTI_INIT_ZEROS,
    TUTTI_INIT_CONSTANT,         /* a */
    TUTTI_INIT_UNIFORM,          /* [a, b) */
    TUTTI_INIT_NORMAL,           /* mean a, standard deviation b */
    TUTTI_INIT_KAIMING_UNIFORM,  /* [-a/sqrt(fan), a/sqrt(fan)), a = gain * sqrt(3), 0 means sqrt(6)
                                    (for ReLU); fan: see b */
    TUTTI_INIT_KAIMING_NORMAL,   /* standard deviation a/sqrt(fan), a = gain, 0 means sqrt(2);
                                    likewise */
    TUTTI_INIT_XAVIER_UNIFORM,   /* within +-a * sqrt(6 / (fan_in + fan_out)); gain a, 0 means 1 */
    TUTTI_INIT_XAVIER_NORMAL,    /* standard deviation a * sqrt(2 / (fan_in + fan_out)); likewise */
    TUTTI_INIT_TRUNCATED_NORMAL, /* as NORMAL, but drawn again beyond a +- 2b */
    TUTTI_INIT_ORTHOGONAL        /* rows (first axis), or columns where there are fewer, orthogonal
                                    and of length a; 0 means 1 */
} tutti_init_kind;

/* As b of the Kaiming kinds: the fan of the parameter's own shape. A positive b is the fan itself
 * (of the weight that a bias belongs to). */
#define TUTTI_FAN_IN  0.0F
#define TUTTI_FAN_OUT (-1.0F)

typedef struct tutti_init {
    tutti_init_kind kind;
    float a, b;
} tutti_init;

/* Data that each step brings. dims may start with TUTTI_BATCH. name is copied, must be unique among
 * inputs, parameters and scalars. rank 0 to TUTTI_MAX_RANK. */
TUTTI_API tutti_tensor tutti_graph_input(tutti_graph *graph, const char *name, tutti_dtype dtype,
                                         int32_t rank, const int64_t *dims);
/* A trainable f32 parameter; not batched. */
TUTTI_API tutti_tensor tutti_graph_param(tutti_graph *graph, const char *name, int32_t rank,
                                         const int64_t *dims, tutti_init init);
/* State that update ops keep between steps (moments); f32, starts as init says, not trained. */
TUTTI_API tutti_tensor tutti_graph_state(tutti_graph *graph, const char *name, int32_t rank,
                                         const int64_t *dims, tutti_init init);
/* A number that the host sets between steps without a new plan (the learning rate). Returns its
 * index for scalar arguments; UINT32_MAX on error. */
TUTTI_API uint32_t tutti_graph_scalar(tutti_graph *graph, const char *name, float initial);

/* Declares the scalar f32 tensor to minimise. */
TUTTI_API tutti_status tutti_graph_set_loss(tutti_graph *graph, tutti_tensor loss);
/* Names a tensor that steps can read back: batched (one row per sample) or not. */
TUTTI_API tutti_status tutti_graph_set_output(tutti_graph *graph, const char *name,
                                              tutti_tensor tensor);

/* Appends the backward nodes of the declared loss for every parameter (once; optimize does it when
 * it was not done). */
TUTTI_API tutti_status tutti_graph_backward(tutti_graph *graph);
/* The gradient of the loss by a parameter or an input after tutti_graph_backward; invalid when the
 * loss does not depend on it. Gradients of inputs exist when tutti_graph_want_grad asked before. */
TUTTI_API tutti_tensor tutti_graph_grad(const tutti_graph *graph, tutti_tensor tensor);
TUTTI_API tutti_status tutti_graph_want_grad(tutti_graph *graph, tutti_tensor input);

typedef enum tutti_optimizer_kind {
    TUTTI_SGD,
    TUTTI_ADAM,
    TUTTI_ADAMW,
    TUTTI_RMSPROP,
    TUTTI_ADAGRAD,
    TUTTI_LAMB
} tutti_optimizer_kind;

/* Parameters that are trained otherwise than the rest. The first group whose pattern matches a
 * parameter's name decides. Zero means as the optimizer says. */
typedef struct tutti_param_group {
    const char *pattern; /* as in a shell: "*.bias", "encoder.?.*", "[ab]*"; NULL: every name */
    float lr_factor;     /* of the learning rate; default 1 */
    float weight_decay;
    bool no_decay; /* weight decay is 0 */
} tutti_param_group;

/* Zero means the default. The learning rate becomes the graph scalar "lr". */
typedef struct tutti_optimizer {
    tutti_optimizer_kind kind;
    float lr;           /* default 0.01 for SGD, RMSprop and Adagrad, 0.001 for the others */
    float momentum;     /* SGD, RMSprop */
    bool nesterov;      /* SGD, needs momentum */
    float weight_decay; /* AdamW, LAMB: decoupled; the others: added to the gradient */
    float beta1, beta2; /* Adam, AdamW, LAMB; default 0.9, 0.999 */
    float eps;          /* default 1e-8; Adagrad 1e-10, LAMB 1e-6 */
    float clip_norm;    /* > 0: gradients are scaled so that their global L2 norm is at most this */
    float alpha;        /* RMSprop: decay of the mean square; default 0.99 */
    bool centered;      /* RMSprop: by the variance instead of the mean square */
    /* No weight decay for parameters of rank 0 and 1 (biases, norms), unless their group has one. */
    bool no_decay_on_1d;
    const tutti_param_group
        *groups; /* borrowed for the call; one into which no parameter falls is refused */
    int32_t n_groups;
    /* K > 1: gradients of K training steps are added up, and their mean makes one update: K batches
     * of n samples train as one of K n (but for statistics of the batch, and when their loss is
     * divided by something else than the samples). Steps are counted over everything the run
     * commits; the update takes the learning rate of its last step. Clipping sees the mean. */
    int32_t accumulate;
    /* d > 0: states "<parameter>.average" follow the parameters: the first update copies, later ones
     * set d * average + (1 - d) * parameter. */
    float average_decay;
    /* S > 0, a power of two: dynamic loss scaling, which precision f16 needs (tutti/plan.h). The
     * backward pass starts from the graph scalar "loss_scale", at first S, in the place of 1, so that small gradients
     * do not vanish in f16; gradients of parameters are divided by it again once they have been summed over
     * devices, before they are accumulated or clipped. When one of them is not finite then, the
     * step changes nothing (neither parameters nor states, and it is not counted as committed)
     * and the scale is halved, down to 1; after TUTTI_LOSS_SCALE_GROWTH committed steps in a row it is
     * doubled, up to 2^24. tutti_graph_grad then gives a parameter's gradient after the division; those
     * of inputs, and those asked for before, are the loss's times the scale. 65536 is a good start. */
    float loss_scale;
} tutti_optimizer;

#define TUTTI_LOSS_SCALE_GROWTH 2000

/* Appends backward (when missing), clipping and one update node per parameter. Sources: SGD with
 * momentum as in PyTorch; Adam: Kingma, Ba 2015; AdamW: Loshchilov, Hutter 2019; RMSprop: Hinton
 * 2012, Graves 2013; Adagrad: Duchi, Hazan, Singer 2011; LAMB: You et al. 2020.
 */
TUTTI_API tutti_status tutti_graph_optimize(tutti_graph *graph, const tutti_optimizer *optimizer);

/* Training steps that make one update: accumulate of the optimizer, at least 1. */
TUTTI_API int32_t tutti_graph_steps_per_update(const tutti_graph *graph);
/* The average of a parameter (average_decay); invalid when there is none. */
TUTTI_API tutti_tensor tutti_graph_average(const tutti_graph *graph, tutti_tensor param);

/* Checks the graph and makes it read-only. Returns the first error of any constructor. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_graph_freeze(tutti_graph *graph);

/* The declared loss; invalid when there is none. */
TUTTI_API tutti_tensor tutti_graph_loss(const tutti_graph *graph);
/* True after tutti_graph_optimize: training steps change parameters. */
TUTTI_API bool tutti_graph_has_optimizer(const tutti_graph *graph);

/* The first error so far and its message ("" when none). Borrowed. */
TUTTI_API tutti_status tutti_graph_status(const tutti_graph *graph);
TUTTI_API const char *tutti_graph_message(const tutti_graph *graph);

/* The graph as text, a line per node; malloc'd, the caller frees with tutti_free. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_graph_print(const tutti_graph *graph, char **out_text);

/* Looks up an input, parameter, state or output by name; invalid when there is none. */
TUTTI_API tutti_tensor tutti_graph_find(const tutti_graph *graph, const char *name);
/* Name of an input, parameter, state; generated names for results. Borrowed. */
TUTTI_API const char *tutti_graph_tensor_name(const tutti_graph *graph, tutti_tensor tensor);
/* Shape of a tensor; a scalar when it is invalid. */
TUTTI_API tutti_shape tutti_graph_tensor_shape(const tutti_graph *graph, tutti_tensor tensor);
/* Parameters, in order of creation. */
TUTTI_API int32_t tutti_graph_param_count(const tutti_graph *graph);
TUTTI_API tutti_tensor tutti_graph_param_at(const tutti_graph *graph, int32_t index);
/* What training leaves behind, parameters and running statistics, in order of creation: the first
 * one behind `previous` (invalid: the first of all); invalid when there is none. */
TUTTI_API tutti_tensor tutti_graph_next_learned(const tutti_graph *graph, tutti_tensor previous);

#ifdef __cplusplus
}
#endif
#endif
