/* x where it is positive, else alpha (exp(x) - 1) (Clevert, Unterthiner, Hochreiter: Fast and
 * accurate deep network learning by exponential linear units, 2015) */
#include <math.h>

#include "op/elementwise.h"

tutti_tensor tutti_elu(tutti_graph *g, tutti_tensor x, float alpha) {
    return tutti_op_apply1(g, &tutti_op_elu, &x, 1, &alpha, sizeof alpha);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const float alpha = *(const float *)node->attr;
    if (!isfinite(alpha))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "alpha is %g, must be finite",
                             (double)alpha);
    return tutti_elementwise_infer(node, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    char alpha[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "(%s > 0.0f ? %s : %s * expm1(%s))", in[0], in[0],
                      tutti_f32_text(*(const float *)node->attr, alpha), in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    return x[0] > 0 ? x[0] : (double)*(const float *)call->node->attr * (exp(x[0]) - 1);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        const tutti_tensor x = node->in[0];
        const tutti_tensor slope =
            tutti_scale(graph, tutti_exp(graph, x), *(const float *)node->attr);
        din[0] = tutti_where(graph, tutti_heaviside(graph, x), dout[0],
                             tutti_mul(graph, dout[0], slope));
    }
    return tutti_graph_status(graph);
}

static const float one = 1, other = 1.5F, bad = NAN;
static const tutti_op_example examples[] = {
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}}, .attr = &one},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0, .lo = 0.25F, .hi = 1}}, .attr = &one},
    {.label = "far above",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {40}, .lo = 90, .hi = 100}},
     .attr = &one},
    {.label = "far below",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {40}, .lo = -100, .hi = -90}},
     .attr = &one},
    {.label = "alpha 1.5",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {37}, .lo = -4, .hi = -0.1F}},
     .attr = &other},
    {.label = "alpha",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}}},
     .attr = &bad,
     .refused = "elu: alpha is nan, must be finite"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &one,
     .refused = "elu: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_elu = {
    .name = "elu",
    .summary = "x where it is positive, else alpha (exp(x) - 1)",
    .options = "alpha",
    .source = "Clevert, Unterthiner, Hochreiter: Fast and accurate deep network learning by "
              "exponential linear units, 2015",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .attr_size = sizeof(float),
    .infer = infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
