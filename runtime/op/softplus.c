/* log(1 + exp(beta x)) / beta, x itself where beta x is above the threshold, as PyTorch has it (Dugas
 * et al.: Incorporating second-order functional knowledge for better option pricing, 2000) */
#include <math.h>

#include "op/elementwise.h"

typedef struct softplus_attr {
    float beta, threshold;
} softplus_attr;

tutti_tensor tutti_softplus(tutti_graph *g, tutti_tensor x, float beta, float threshold) {
    const softplus_attr attr = {beta, threshold};
    return tutti_op_apply1(g, &tutti_op_softplus, &x, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const softplus_attr *attr = node->attr;
    if (!(attr->beta > 0) || !isfinite(attr->beta) || isnan(attr->threshold))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "beta is %g, threshold is %g: beta must be above 0",
                             (double)attr->beta, (double)attr->threshold);
    return tutti_elementwise_infer(node, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    const softplus_attr *attr = node->attr;
    char beta[TUTTI_F32_TEXT], threshold[TUTTI_F32_TEXT];
    tutti_f32_text(attr->beta, beta);
    /* max(z, 0) + log(1 + exp(-|z|)) never overflows. */
    return tutti_expr(
        text, text_size,
        "(%s * %s > %s ? %s : (fmax(%s * %s, 0.0f) + log1p(exp(-fabs(%s * %s)))) / %s)", in[0],
        beta, tutti_f32_text(attr->threshold, threshold), in[0], in[0], beta, in[0], beta, beta);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    const softplus_attr *attr = call->node->attr;
    const double z = x[0] * (double)attr->beta;
    return z > (double)attr->threshold ? x[0] : log1p(exp(z)) / (double)attr->beta;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        const softplus_attr *attr = node->attr;
        const tutti_tensor z = tutti_scale(graph, node->in[0], attr->beta);
        const tutti_tensor above =
            tutti_heaviside(graph, tutti_add_scalar(graph, z, -attr->threshold));
        din[0] =
            tutti_where(graph, above, dout[0], tutti_mul(graph, dout[0], tutti_sigmoid(graph, z)));
    }
    return tutti_graph_status(graph);
}

static const softplus_attr usual = {1, 20}, steep = {3, 100}, low = {0.5F, 0.25F}, bad = {0, 20};
static const tutti_op_example examples[] = {
    {.label = "batched",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}},
     .attr = &usual},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0, .lo = 0.25F, .hi = 1}}, .attr = &usual},
    {.label = "far above",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {40}, .lo = 90, .hi = 100}},
     .attr = &usual},
    {.label = "far below",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {40}, .lo = -100, .hi = -90}},
     .attr = &usual},
    {.label = "steep",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {37}, .lo = -30, .hi = 30}},
     .attr = &steep},
    {.label = "low threshold",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {37}, .lo = 0.6F, .hi = 2}},
     .attr = &low},
    {.label = "beta",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}}},
     .attr = &bad,
     .refused = "softplus: beta is 0, threshold is 20: beta must be above 0"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &usual,
     .refused = "softplus: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_softplus = {
    .name = "softplus",
    .summary = "log(1 + exp(beta x)) / beta",
    .options = "beta above 0; threshold of beta x, above which the result is x",
    .source = "Dugas et al.: Incorporating second-order functional knowledge for better option "
              "pricing, 2000",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .attr_size = sizeof(softplus_attr),
    .infer = infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
