/* a where condition is not 0, else b, broadcast. The other operand's value does not matter, not even
 * a NaN or an infinity, neither for the result nor for the gradient. */
#include <string.h>

#include "op/elementwise.h"

tutti_tensor tutti_where(tutti_graph *g, tutti_tensor condition, tutti_tensor a, tutti_tensor b) {
    return tutti_op_apply1(g, &tutti_op_where, (tutti_tensor[]){condition, a, b}, 3, NULL, 0);
}

/* The condition may be of either type. */
static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    tutti_type types[3];
    tutti_node_info view = *node;
    memcpy(types, node->in_type, sizeof types);
    types[0].dtype = TUTTI_F32;
    view.in_type = types;
    return tutti_elementwise_infer(&view, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "(%s != 0.0f ? %s : %s)", in[0], in[1], in[2]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0] == 0 ? x[2] : x[1];
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor condition = node->in[0];
    const tutti_tensor zero = tutti_constant(graph, &node->out_type[0].shape, 0);
    /* The condition is a step. */
    if (want[0])
        din[0] = tutti_constant(graph, &node->in_type[0].shape, 0);
    if (want[1])
        din[1] = tutti_reduce_to(graph, tutti_where(graph, condition, dout[0], zero),
                                 &node->in_type[1].shape);
    if (want[2])
        din[2] = tutti_reduce_to(graph, tutti_where(graph, condition, zero, dout[0]),
                                 &node->in_type[2].shape);
    return tutti_graph_status(graph);
}

#define MASK .dtype = TUTTI_I32, .lo = 0, .hi = 2
static const tutti_op_example examples[] = {
    {.label = "vector",
     .n_in = 3,
     .in = {{MASK, .rank = 1, .dim = {37}}, {.rank = 1, .dim = {37}}, {.rank = 1, .dim = {37}}}},
    {.label = "batched",
     .n_in = 3,
     .in = {{MASK, .rank = 2, .dim = {TUTTI_BATCH, 20}},
            {.rank = 2, .dim = {TUTTI_BATCH, 20}},
            {.rank = 0}}},
    {.label = "mask for all samples",
     .n_in = 3,
     .in = {{MASK, .rank = 2, .dim = {3, 3}},
            {.rank = 1, .dim = {3}},
            {.rank = 4, .dim = {TUTTI_BATCH, 2, 3, 3}}}},
    {.label = "scalars",
     .n_in = 3,
     .in = {{MASK, .rank = 1, .dim = {20}}, {.rank = 0}, {.rank = 0}}},
    {.label = "f32",
     .n_in = 3,
     .in = {{.rank = 1, .dim = {9}, .lo = 0.5F, .hi = 1}, {.rank = 1, .dim = {9}}, {.rank = 0}}},
    {.label = "no fit",
     .n_in = 3,
     .in = {{MASK, .rank = 1, .dim = {3}}, {.rank = 1, .dim = {4}}, {.rank = 0}},
     .refused = "where: 3 and 4 do not broadcast"},
    {.label = "labels",
     .n_in = 3,
     .in = {{MASK, .rank = 1, .dim = {4}}, {MASK, .rank = 1, .dim = {4}}, {.rank = 0}},
     .refused = "where: input 1 is i32, expected f32"},
};

const tutti_op tutti_op_where = {
    .name = "where",
    .summary = "a where condition is not 0, else b",
    .shapes = "condition (f32 or i32), a, b -> their broadcast shape",
    .n_in_min = 3,
    .n_in_max = 3,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
