/* x * value */
#include "op/elementwise.h"

tutti_tensor tutti_scale(tutti_graph *g, tutti_tensor x, float value) {
    return tutti_op_apply1(g, &tutti_op_scale, &x, 1, &value, sizeof value);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    const float *value = node->attr;
    char number[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "%s * %s", in[0], tutti_f32_text(*value, number));
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    return x[0] * (double)*(const float *)call->node->attr;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_scale(graph, dout[0], *(const float *)node->attr);
    return tutti_graph_status(graph);
}

static const float example_value = -2.75F;
static const tutti_op_example examples[] = {
    {.label = "vector", .n_in = 1, .in = {{.rank = 1, .dim = {37}}}, .attr = &example_value},
    {.label = "batched",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}},
     .attr = &example_value},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}, .attr = &example_value},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &example_value,
     .refused = "scale: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_scale = {
    .name = "scale",
    .summary = "x * value",
    .options = "value",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_LINEAR,
    .attr_size = sizeof(float),
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
