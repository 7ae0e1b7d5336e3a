/* Binary cross-entropy of a probability p with its target t: -t log p - (1 - t) log(1 - p) per
 * element; the logarithms are cut at -100, and the gradient's p (1 - p) at 1e-12, as in PyTorch. The
 * constructor takes the mean. */
#include "op/loss.h"

#include <math.h>

tutti_tensor tutti_bce(tutti_graph *g, tutti_tensor probabilities, tutti_tensor targets) {
    const tutti_tensor each =
        tutti_op_apply1(g, &tutti_op_bce, (tutti_tensor[]){probabilities, targets}, 2, NULL, 0);
    return tutti_mean(g, each, 0, NULL, false);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "bce(%s, %s)", in[0], in[1]);
}

/* A probability outside of [0, 1] gives not a number, which fmax would hide. */
static const char prelude[] =
    "static inline float bce(float p, float t) {\n"
    "    if (!(p >= 0.0f && p <= 1.0f))\n"
    "        return NAN;\n"
    "    return (t - 1.0f) * fmax(log1p(-p), -100.0f) - t * fmax(log(p), -100.0f);\n"
    "}\n";

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    if (!(x[0] >= 0 && x[0] <= 1))
        return (double)NAN;
    return -(x[1] * fmax(log(x[0]), -100) + (1 - x[1]) * fmax(log(1 - x[0]), -100));
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor p = node->in[0], t = node->in[1];
    const tutti_tensor rest = tutti_add_scalar(graph, tutti_neg(graph, p), 1);
    if (want[0]) {
        const tutti_tensor spread = tutti_clamp(graph, tutti_mul(graph, p, rest), 1e-12F, INFINITY);
        din[0] = tutti_mul(graph, dout[0], tutti_div(graph, tutti_sub(graph, p, t), spread));
    }
    if (want[1]) {
        const tutti_tensor logs = tutti_sub(graph, tutti_log(graph, rest), tutti_log(graph, p));
        din[1] = tutti_mul(graph, dout[0], logs);
    }
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 7}, .lo = 0.1F, .hi = 0.9F},
            {.rank = 2, .dim = {TUTTI_BATCH, 7}, .lo = 0, .hi = 1}}},
    {.label = "nearly sure",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {50}, .lo = 0, .hi = 1e-30F, .no_grad = true},
            {.rank = 1, .dim = {50}, .lo = 0, .hi = 1, .no_grad = true}}},
    {.label = "no probability",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {20}, .lo = -1, .hi = 2, .no_grad = true},
            {.rank = 1, .dim = {20}, .lo = 0, .hi = 1, .no_grad = true}}},
    {.label = "scalar",
     .n_in = 2,
     .in = {{.rank = 0, .lo = 0.25F, .hi = 0.75F}, {.rank = 0, .lo = 0, .hi = 1}}},
    {.label = "shapes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 1}}, {.rank = 1, .dim = {TUTTI_BATCH}}},
     .refused = "bce: x is Nx1, target is N"},
};

const tutti_op tutti_op_bce = {
    .name = "bce",
    .summary = "binary cross-entropy of each probability with its target",
    .shapes = "x, target of one shape -> that shape",
    .source = "as in PyTorch: logarithms cut at -100",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .infer = tutti_loss_infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .expr_prelude = prelude,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
