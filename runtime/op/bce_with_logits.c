/* Binary cross-entropy with logits, per element: max(x, 0) - x t + log(1 + exp(-|x|)), which
 * overflows nowhere. The constructor takes the mean. */
#include <math.h>

#include "op/loss.h"

tutti_tensor tutti_bce_with_logits(tutti_graph *g, tutti_tensor logits, tutti_tensor targets) {
    const tutti_tensor each = tutti_op_apply1(g, &tutti_op_bce_with_logits,
                                              (tutti_tensor[]){logits, targets}, 2, NULL, 0);
    return tutti_mean(g, each, 0, NULL, false);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "fmax(%s, 0.0f) - %s * %s + log1p(exp(-fabs(%s)))", in[0],
                      in[0], in[1], in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    const double y = 1.0 / (1.0 + exp(-fabs(x[0]))); /* of the likelier side */
    const double on_likelier = x[0] > 0 ? x[1] : 1.0 - x[1];
    return -log(y) + (1.0 - on_likelier) * fabs(x[0]);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor x = node->in[0], t = node->in[1];
    if (want[0])
        din[0] = tutti_mul(graph, dout[0], tutti_sub(graph, tutti_sigmoid(graph, x), t));
    if (want[1])
        din[1] = tutti_neg(graph, tutti_mul(graph, dout[0], x));
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 7}, .lo = -4, .hi = 4},
            {.rank = 2, .dim = {TUTTI_BATCH, 7}, .lo = 0, .hi = 1}}},
    {.label = "far",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {50}, .lo = -100, .hi = 100, .no_grad = true},
            {.rank = 1, .dim = {50}, .lo = 0, .hi = 1, .no_grad = true}}},
    {.label = "sure and right",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {20}, .lo = 90, .hi = 100},
            {.rank = 1, .dim = {20}, .lo = 0.99F, .hi = 1}}},
    {.label = "shapes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 1}}, {.rank = 1, .dim = {TUTTI_BATCH}}},
     .refused = "bce_with_logits: x is Nx1, target is N"},
};

const tutti_op tutti_op_bce_with_logits = {
    .name = "bce_with_logits",
    .summary = "binary cross-entropy of each logit with its target",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .infer = tutti_loss_infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
