/* Summand of the Kullback-Leibler divergence (Kullback, Leibler: On information and sufficiency,
 * 1951) of a distribution q, given as logarithms x, from p: p (log p - x), 0 where p is 0; or with
 * the target t = log p: exp(t) (t - x). The constructor sums and divides by the rows (PyTorch's
 * batchmean). */
#include "op/loss.h"

#include <math.h>

tutti_tensor tutti_kl_div(tutti_graph *g, tutti_tensor log_q, tutti_tensor p, bool log_target) {
    const uint32_t attr = log_target;
    const tutti_tensor each =
        tutti_op_apply1(g, &tutti_op_kl_div, (tutti_tensor[]){log_q, p}, 2, &attr, sizeof attr);
    const tutti_shape shape = tutti_tensor_type(g, log_q).shape;
    const tutti_tensor sum = tutti_sum(g, each, 0, NULL, false);
    const float factor = shape.rank > 0 ? (float)(1.0 / (double)shape.dim[0]) : 1.0F;
    return shape.batched ? tutti_scale_over_batch(g, sum, factor) : tutti_scale(g, sum, factor);
}

static bool is_log(const tutti_node_info *node) {
    return *(const uint32_t *)node->attr != 0;
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    if (is_log(node))
        return tutti_expr(text, text_size, "exp(%s) * (%s - %s)", in[1], in[1], in[0]);
    return tutti_expr(text, text_size, "(%s == 0.0f ? 0.0f : %s * (log(%s) - %s))", in[1], in[1],
                      in[1], in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    const double p = is_log(call->node) ? exp(x[1]) : x[1];
    const double log_p = is_log(call->node) ? x[1] : log(x[1]);
    return p == 0 ? 0 : p * log_p - p * x[0];
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor x = node->in[0], t = node->in[1];
    const tutti_tensor p = is_log(node) ? tutti_exp(graph, t) : t;
    if (want[0])
        din[0] = tutti_neg(graph, tutti_mul(graph, dout[0], p));
    if (want[1]) {
        const tutti_tensor log_p = is_log(node) ? t : tutti_log(graph, t);
        const tutti_tensor slope = tutti_add_scalar(graph, tutti_sub(graph, log_p, x), 1);
        din[1] = tutti_mul(graph, dout[0], is_log(node) ? tutti_mul(graph, p, slope) : slope);
    }
    return tutti_graph_status(graph);
}

static const uint32_t plain = 0, logs = 1;
static const tutti_op_example examples[] = {
    {.label = "vector",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {37}, .lo = -5, .hi = 0},
            {.rank = 1, .dim = {37}, .lo = 0.05F, .hi = 1}},
     .attr = &plain},
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 15}, .lo = -5, .hi = 0},
            {.rank = 2, .dim = {TUTTI_BATCH, 15}, .lo = 0.05F, .hi = 1}},
     .attr = &plain},
    {.label = "logarithms",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 15}, .lo = -5, .hi = 0},
            {.rank = 2, .dim = {TUTTI_BATCH, 15}, .lo = -5, .hi = 0}},
     .attr = &logs},
    {.label = "scalar",
     .n_in = 2,
     .in = {{.rank = 0, .lo = -2, .hi = -1}, {.rank = 0, .lo = 0.25F, .hi = 0.5F}},
     .attr = &plain},
    {.label = "shapes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 1}}, {.rank = 1, .dim = {TUTTI_BATCH}}},
     .attr = &plain,
     .refused = "kl_div: x is Nx1, target is N"},
};

const tutti_op tutti_op_kl_div = {
    .name = "kl_div",
    .summary = "p (log p - log q) of each element, the summand of the KL divergence",
    .shapes = "log q, p of one shape -> that shape",
    .options = "log_target: p holds logarithms",
    .source = "Kullback, Leibler: On information and sufficiency, 1951",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .attr_size = sizeof(uint32_t),
    .infer = tutti_loss_infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
