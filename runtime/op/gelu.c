/* GELU as it is defined, x times the normal distribution's probability of less than x (Hendrycks,
 * Gimpel: Gaussian error linear units, 2016); PyTorch's default. No digits are lost far below zero. */
#include <math.h>

#include "op/elementwise.h"

tutti_tensor tutti_gelu(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_gelu, &x, 1, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "gelu_f32(%s)", in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0] * 0.5 * erfc(-x[0] / sqrt(2));
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        /* probability + x density */
        const tutti_tensor x = node->in[0];
        const tutti_tensor half_erf =
            tutti_scale(graph, tutti_erf(graph, tutti_scale(graph, x, (float)M_SQRT1_2)), 0.5F);
        const tutti_tensor bell =
            tutti_exp(graph, tutti_scale(graph, tutti_mul(graph, x, x), -0.5F));
        const tutti_tensor slope =
            tutti_add(graph, tutti_add_scalar(graph, half_erf, 0.5F),
                      tutti_scale(graph, tutti_mul(graph, x, bell), (float)(1 / sqrt(2 * M_PI))));
        din[0] = tutti_mul(graph, dout[0], slope);
    }
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}}},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0, .lo = 0.25F, .hi = 1}}},
    {.label = "wide", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -4, .hi = 4}}},
    {.label = "far above", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = 90, .hi = 100}}},
    {.label = "far below", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -100, .hi = -90}}},
    {.label = "below", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -6, .hi = -5}}},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "gelu: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_gelu = {
    .name = "gelu",
    .summary = "x times the probability that a normal variable is less than x",
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
    .expr_prelude = "#include \"erf.clh\"\n",
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
