/* x hard_sigmoid(x) (Howard et al.: Searching for MobileNetV3, 2019). At -3 and 3 the gradient is that
 * of the middle part, as PyTorch has it. */
#include "op/elementwise.h"

tutti_tensor tutti_hard_swish(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_hard_swish, &x, 1, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size,
                      "(%s <= -3.0f ? 0.0f : %s >= 3.0f ? %s : %s * (%s / 6.0f + 0.5f))", in[0],
                      in[0], in[0], in[0], in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0] <= -3 ? 0 : x[0] >= 3 ? x[0] : x[0] * (x[0] + 3) / 6;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        const tutti_shape scalar = {0};
        const tutti_tensor x = node->in[0];
        const tutti_tensor zero = tutti_constant(graph, &scalar, 0),
                           one = tutti_constant(graph, &scalar, 1);
        const tutti_tensor above = tutti_heaviside(graph, tutti_add_scalar(graph, x, -3));
        const tutti_tensor below =
            tutti_heaviside(graph, tutti_add_scalar(graph, tutti_neg(graph, x), -3));
        const tutti_tensor middle = tutti_add_scalar(graph, tutti_scale(graph, x, 1.0F / 3), 0.5F);
        const tutti_tensor slope =
            tutti_where(graph, above, one, tutti_where(graph, below, zero, middle));
        din[0] = tutti_mul(graph, dout[0], slope);
    }
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}}},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0, .lo = 0.25F, .hi = 1}}},
    {.label = "above", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = 3.1F, .hi = 9}}},
    {.label = "below", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -9, .hi = -3.1F}}},
    {.label = "between", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -2.9F, .hi = 2.9F}}},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "hard_swish: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_hard_swish = {
    .name = "hard_swish",
    .summary = "x hard_sigmoid(x)",
    .source = "Howard et al.: Searching for MobileNetV3, 2019",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
