/* x where it is positive, else slope x (Maas, Hannun, Ng: Rectifier nonlinearities improve neural
 * network acoustic models, 2013) */
#include <math.h>

#include "op/elementwise.h"

tutti_tensor tutti_leaky_relu(tutti_graph *g, tutti_tensor x, float slope) {
    return tutti_op_apply1(g, &tutti_op_leaky_relu, &x, 1, &slope, sizeof slope);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const float slope = *(const float *)node->attr;
    if (!isfinite(slope))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "slope is %g, must be finite",
                             (double)slope);
    return tutti_elementwise_infer(node, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    char slope[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "(%s > 0.0f ? %s : %s * %s)", in[0], in[0],
                      tutti_f32_text(*(const float *)node->attr, slope), in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    return x[0] > 0 ? x[0] : (double)*(const float *)call->node->attr * x[0];
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_where(graph, tutti_heaviside(graph, node->in[0]), dout[0],
                             tutti_scale(graph, dout[0], *(const float *)node->attr));
    return tutti_graph_status(graph);
}

static const float tenth = 0.1F, none = 0, bad = INFINITY;
static const tutti_op_example examples[] = {
    {.label = "batched",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}},
     .attr = &tenth},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0, .lo = 0.25F, .hi = 1}}, .attr = &tenth},
    {.label = "positive",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {40}, .lo = 0.5F, .hi = 4}},
     .attr = &tenth},
    {.label = "negative",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {40}, .lo = -4, .hi = -0.5F}},
     .attr = &tenth},
    {.label = "slope 0", .n_in = 1, .in = {{.rank = 1, .dim = {37}}}, .attr = &none},
    {.label = "slope",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}}},
     .attr = &bad,
     .refused = "leaky_relu: slope is inf, must be finite"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &tenth,
     .refused = "leaky_relu: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_leaky_relu = {
    .name = "leaky_relu",
    .summary = "x where it is positive, else slope x",
    .options = "slope",
    .source =
        "Maas, Hannun, Ng: Rectifier nonlinearities improve neural network acoustic models, 2013",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .attr_size = sizeof(float),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
