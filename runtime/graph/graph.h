/* The graph's insides: tensors and nodes in order of creation, which is a topological order. */
#ifndef TUTTI_GRAPH_GRAPH_H
#define TUTTI_GRAPH_GRAPH_H

#include "base/arena.h"
#include "tutti/ext/op.h"
#include "tutti/graph.h"

#define TUTTI_LOSS_SCALE_MAX 0x1p24F
#define TUTTI_NAME_MAX       200 /* bytes, of inputs, parameters, states, scalars and outputs */

typedef enum tutti_tensor_kind {
    TUTTI_TENSOR_NONE, /* id 0 */
    TUTTI_TENSOR_INPUT,
    TUTTI_TENSOR_PARAM,
    TUTTI_TENSOR_STATE,
    TUTTI_TENSOR_RESULT
} tutti_tensor_kind;

typedef struct tutti_tensor_record {
    tutti_tensor_kind kind;
    tutti_type type;
    const char *name;     /* of inputs, params, states; "<op>.<node>" for results */
    tutti_init init;      /* params and states */
    int32_t node;         /* producer of a result, else -1 */
    int32_t output;       /* which output of it */
    bool batch_sum;       /* see tutti_infer */
    bool again;           /* computed again for the backward pass (graph/recompute.c) */
    bool want_grad;       /* params, and inputs that asked for it */
    tutti_tensor grad;    /* set by backward */
    tutti_tensor average; /* of a parameter: the state that optimize made for its average */
} tutti_tensor_record;

typedef struct tutti_node {
    const tutti_op *op;
    const void *attr;
    int32_t n_in, n_out;
    tutti_tensor *in, *out;
    bool backward; /* appended by backward or optimize */
    /* Above 1: runs in every such step only, counting the committed ones (what follows accumulated
     * gradients). */
    int32_t every;
} tutti_node;

typedef struct tutti_named {
    const char *name;
    tutti_tensor tensor;
} tutti_named;

typedef struct tutti_scalar_record {
    const char *name;
    float initial;
} tutti_scalar_record;

struct tutti_graph {
    tutti_arena arena;
    tutti_tensor_record *tensors; /* [0] is the invalid tensor */
    int32_t n_tensors, cap_tensors;
    tutti_node *nodes;
    int32_t n_nodes, cap_nodes;
    tutti_named *outputs;
    int32_t n_outputs, cap_outputs;
    tutti_scalar_record *scalars;
    int32_t n_scalars, cap_scalars;
    tutti_tensor loss;
    uint32_t n_random; /* random streams handed out to ops such as dropout */
    bool has_backward, has_optimizer, frozen;
    int32_t accumulate; /* of the optimizer */
    /* Loss scaling: scalars with the scale and its inverse, and the sum of all gradients, which is
     * finite when they are; invalid without. */
    uint32_t loss_scale, loss_unscale;
    tutti_tensor finite;
    tutti_tensor seed; /* the gradient of the loss */
    tutti_status status;
    char *message;
};

static inline const tutti_tensor_record *tutti_graph_record(const tutti_graph *graph,
                                                            tutti_tensor tensor) {
    return &graph->tensors[tensor.id];
}

/* True for a parameter, or a state that a node of the step reads in some mode (running statistics):
 * every device has it, and it belongs to what the graph has learned. */
bool tutti_graph_is_shared(const tutti_graph *graph, tutti_tensor tensor);

/* Appends a tensor; the invalid one, after tutti_graph_reject, when that fails. name must live in
 * the graph's arena. */
tutti_tensor tutti_graph_add_tensor(tutti_graph *graph, tutti_tensor_kind kind,
                                    const tutti_type *type, const char *name);
/* Appends an empty node; NULL, after tutti_graph_reject, when that fails. Moves earlier nodes. */
tutti_node *tutti_graph_add_node(tutti_graph *graph);
/* Fails with TUTTI_STATE, naming what was tried, when the graph is frozen. */
TUTTI_MUST_USE tutti_status tutti_graph_check_open(const tutti_graph *graph, const char *what);
/* True for an id that this graph gave out. */
bool tutti_graph_owns(const tutti_graph *graph, tutti_tensor tensor);
/* Keeps the first error (status and the thread's message) unless the graph is frozen; returns the
 * invalid tensor. */
tutti_tensor tutti_graph_reject(tutti_graph *graph, tutti_status status);
/* The node as op callbacks see it; attr, in and out stay valid when nodes are added. in_type and
 * out_type point into `types`, which holds n_in + n_out entries. */
tutti_node_info tutti_node_view(const tutti_graph *graph, const tutti_node *node,
                                tutti_type *types);
/* True when the op changes its i-th input in place. */
static inline bool tutti_op_mutates(const tutti_op *op, int32_t input) {
    return input < 32 && (op->mutates >> input & 1) != 0;
}
/* A number for a random stream of the graph (dropout's key). */
uint32_t tutti_graph_random_stream(tutti_graph *graph);

/* Lets the backward pass recompute cheap values, in place of keeping them (graph/recompute.c). */
TUTTI_MUST_USE tutti_status tutti_graph_recompute(tutti_graph *graph);

/* Shapes (graph/shape.c). */
/* NumPy broadcasting of a and b, with the rule for the batch; false when they do not fit. */
bool tutti_shape_broadcast(const tutti_shape *a, const tutti_shape *b, tutti_shape *out);
/* From the dims of a constructor; fails naming the bad extent. */
TUTTI_MUST_USE tutti_status tutti_shape_make(int32_t rank, const int64_t *dims, tutti_shape *out);

/* Initial values (graph/initial.c). */
/* Refuses what cannot start a tensor of that shape, with values. */
TUTTI_MUST_USE tutti_status tutti_init_check(const tutti_init *init, const tutti_shape *shape);
/* For rank 2 and more. */
double tutti_fan_in(const tutti_shape *shape);
double tutti_fan_out(const tutti_shape *shape);

#endif
