/* a + b, broadcast. */
#include "op/elementwise.h"

tutti_tensor tutti_add(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    return tutti_op_apply1(g, &tutti_op_add, (tutti_tensor[]){a, b}, 2, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "%s + %s", in[0], in[1]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0] + x[1];
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_reduce_to(graph, dout[0], &node->in_type[0].shape);
    if (want[1])
        din[1] = tutti_reduce_to(graph, dout[0], &node->in_type[1].shape);
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "equal", .n_in = 2, .in = {{.rank = 2, .dim = {7, 5}}, {.rank = 2, .dim = {7, 5}}}},
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 4}}, {.rank = 3, .dim = {TUTTI_BATCH, 3, 4}}}},
    {.label = "row",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 33}}, {.rank = 1, .dim = {33}}}},
    {.label = "column",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 1}}, {.rank = 2, .dim = {TUTTI_BATCH, 6}}}},
    {.label = "both",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {4, 1, 3}}, {.rank = 4, .dim = {2, 1, 5, 1}}}},
    {.label = "scalar", .n_in = 2, .in = {{.rank = 0}, {.rank = 2, .dim = {TUTTI_BATCH, 9}}}},
    {.label = "no fit",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}, {.rank = 1, .dim = {3}}},
     .refused = "add: Nx4 and 3 do not broadcast"},
    {.label = "labels",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {4}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "add: input 1 is i32, expected f32"},
};

const tutti_op tutti_op_add = {
    .name = "add",
    .summary = "a + b",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_LINEAR,
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
