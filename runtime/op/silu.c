/* x sigmoid(x), also called swish (Elfwing, Uchibe, Doya: Sigmoid-weighted linear units for neural
 * network function approximation in reinforcement learning, 2017) */
#include <math.h>

#include "op/elementwise.h"

tutti_tensor tutti_silu(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_silu, &x, 1, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "%s / (1.0f + exp_f32(-%s))", in[0], in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0] / (1 + exp(-x[0]));
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        /* s + x s (1 - s) = s + y (1 - s) */
        const tutti_tensor s = tutti_sigmoid(graph, node->in[0]);
        const tutti_tensor rest = tutti_add_scalar(graph, tutti_neg(graph, s), 1);
        din[0] =
            tutti_mul(graph, dout[0], tutti_add(graph, s, tutti_mul(graph, node->out[0], rest)));
    }
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}}},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0, .lo = 0.25F, .hi = 1}}},
    {.label = "wide", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -8, .hi = 8}}},
    {.label = "far above", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = 90, .hi = 100}}},
    {.label = "far below", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -85, .hi = -75}}},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "silu: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_silu = {
    .name = "silu",
    .summary = "x sigmoid(x)",
    .source = "Elfwing, Uchibe, Doya: Sigmoid-weighted linear units for neural network function "
              "approximation in reinforcement learning, 2017",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .expr_prelude = "#include \"exp.clh\"\n",
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
