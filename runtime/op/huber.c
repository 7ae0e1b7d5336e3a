/* d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = x - target, per element (Huber:
 * Robust estimation of a location parameter, 1964). The constructors take the mean; smooth L1
 * (Girshick: Fast R-CNN, 2015) is the same divided by its beta, or L1 when beta is 0. */
#include "op/loss.h"

#include <math.h>

tutti_tensor tutti_huber(tutti_graph *g, tutti_tensor x, tutti_tensor target, float delta) {
    const tutti_tensor each =
        tutti_op_apply1(g, &tutti_op_huber, (tutti_tensor[]){x, target}, 2, &delta, sizeof delta);
    return tutti_mean(g, each, 0, NULL, false);
}

tutti_tensor tutti_smooth_l1(tutti_graph *g, tutti_tensor x, tutti_tensor target, float beta) {
    return beta == 0 ? tutti_l1(g, x, target)
                     : tutti_scale(g, tutti_huber(g, x, target, beta), 1 / beta);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const float delta = *(const float *)node->attr;
    if (!(delta > 0) || !isfinite(delta))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "delta is %g, must be above 0",
                             (double)delta);
    return tutti_loss_infer(node, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    char delta[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "huber(%s - %s, %s)", in[0], in[1],
                      tutti_f32_text(*(const float *)node->attr, delta));
}

static const char prelude[] = "static inline float huber(float d, float delta) {\n"
                              "    const float a = fabs(d);\n"
                              "    return a <= delta ? 0.5f * d * d : delta * (a - 0.5f * delta);\n"
                              "}\n";

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    const double delta = (double)*(const float *)call->node->attr, d = fabs(x[0] - x[1]);
    return d <= delta ? d * d / 2 : delta * d - delta * delta / 2;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

/* d cut to +-delta */
static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const float delta = *(const float *)node->attr;
    const tutti_tensor d = tutti_sub(graph, node->in[0], node->in[1]);
    const tutti_tensor dx = tutti_mul(graph, dout[0], tutti_clamp(graph, d, -delta, delta));
    if (want[0])
        din[0] = dx;
    if (want[1])
        din[1] = tutti_neg(graph, dx);
    return tutti_graph_status(graph);
}

static const float one = 1, small = 0.125F, zero = 0;
static const tutti_op_example examples[] = {
    {.label = "vector",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {37}}, {.rank = 1, .dim = {37}}},
     .attr = &one},
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}, .lo = -3, .hi = 3},
            {.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}},
     .attr = &one},
    {.label = "scalar",
     .n_in = 2,
     .in = {{.rank = 0, .lo = 1, .hi = 2}, {.rank = 0}},
     .attr = &one},
    {.label = "shapes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 1}}, {.rank = 1, .dim = {TUTTI_BATCH}}},
     .attr = &one,
     .refused = "huber: x is Nx1, target is N"},
    {.label = "labels",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {4}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &one,
     .refused = "huber: input 1 is i32, expected f32"},
    {.label = "small delta",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 20}}, {.rank = 2, .dim = {TUTTI_BATCH, 20}}},
     .attr = &small},
    {.label = "no delta",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {4}}, {.rank = 1, .dim = {4}}},
     .attr = &zero,
     .refused = "huber: delta is 0, must be above 0"},
};

const tutti_op tutti_op_huber = {
    .name = "huber",
    .summary = "Huber loss of each element against its target",
    .shapes = "x, target of one shape -> that shape",
    .options = "delta: above 0",
    .source = "Huber: Robust estimation of a location parameter, 1964; Girshick: Fast R-CNN, 2015 "
              "(smooth L1)",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .attr_size = sizeof(float),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .expr_prelude = prelude,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
