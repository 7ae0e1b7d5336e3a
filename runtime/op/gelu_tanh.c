/* GELU in its tanh form (Hendrycks, Gimpel: Gaussian error linear units, 2016). Since
 * (1 + tanh(u)) / 2 is sigmoid(2u), the kernel computes x sigmoid(a1 x + a3 x^3), which loses no
 * digits where tanh nears -1. */
#include <math.h>

#include "op/elementwise.h"

#define A1 1.595769122F   /* 2 sqrt(2/pi) */
#define A3 0.07135481283F /* 0.044715 a1 */

tutti_tensor tutti_gelu_tanh(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_gelu_tanh, &x, 1, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    char a1[TUTTI_F32_TEXT], a3[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "%s / (1.0f + exp_f32(-%s * (%s + %s * %s * %s)))", in[0],
                      in[0], tutti_f32_text(A1, a1), tutti_f32_text(A3, a3), in[0], in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    const double inner = sqrt(2.0 / M_PI) * (x[0] + 0.044715 * x[0] * x[0] * x[0]);
    return 0.5 * x[0] * (1.0 + tanh(inner));
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        /* y = x s(u): dy/dx = s + x s (1 - s) u' = s + y (1 - s) u' */
        const tutti_tensor x = node->in[0], y = node->out[0];
        const tutti_tensor square = tutti_mul(graph, x, x);
        const tutti_tensor inner =
            tutti_mul(graph, x, tutti_add_scalar(graph, tutti_scale(graph, square, A3), A1));
        const tutti_tensor slope = tutti_add_scalar(graph, tutti_scale(graph, square, 3 * A3), A1);
        const tutti_tensor s = tutti_sigmoid(graph, inner);
        const tutti_tensor rest = tutti_mul(
            graph, y, tutti_mul(graph, tutti_add_scalar(graph, tutti_neg(graph, s), 1), slope));
        din[0] = tutti_mul(graph, dout[0], tutti_add(graph, s, rest));
    }
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "vector", .n_in = 1, .in = {{.rank = 1, .dim = {37}}}},
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}}},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}},
    {.label = "far", .n_in = 1, .in = {{.rank = 2, .dim = {TUTTI_BATCH, 40}, .lo = 90, .hi = 100}}},
    {.label = "far below",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 40}, .lo = -100, .hi = -90}}},
    {.label = "wide", .n_in = 1, .in = {{.rank = 2, .dim = {TUTTI_BATCH, 40}, .lo = -4, .hi = 4}}},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "gelu_tanh: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_gelu_tanh = {
    .name = "gelu_tanh",
    .summary = "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
    .source = "Hendrycks, Gimpel: Gaussian error linear units, 2016",
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
