/* x to the power value */
#include <math.h>

#include "op/elementwise.h"

tutti_tensor tutti_pow_scalar(tutti_graph *g, tutti_tensor x, float value) {
    return tutti_op_apply1(g, &tutti_op_pow_scalar, &x, 1, &value, sizeof value);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    const float value = *(const float *)node->attr;
    char number[TUTTI_F32_TEXT];
    if (value == 2)
        return tutti_expr(text, text_size, "%s * %s", in[0], in[0]);
    if (value == -1)
        return tutti_expr(text, text_size, "1.0f / %s", in[0]);
    if (value == floorf(value) && fabsf(value) <= 1024)
        return tutti_expr(text, text_size, "pown(%s, %d)", in[0], (int)value);
    return tutti_expr(text, text_size, "pow(%s, %s)", in[0], tutti_f32_text(value, number));
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    return pow(x[0], (double)*(const float *)call->node->attr);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        const float value = *(const float *)node->attr;
        if (value == 0) { /* not 0 / x, which is no number at 0 */
            din[0] = tutti_constant(graph, &node->in_type[0].shape, 0);
            return tutti_graph_status(graph);
        }
        const tutti_tensor power = tutti_pow_scalar(graph, node->in[0], value - 1);
        din[0] = tutti_mul(graph, dout[0], tutti_scale(graph, power, value));
    }
    return tutti_graph_status(graph);
}

static const float example_value = 1.7F;
static const float square = 2, cube = 3, inverse = -1, inverse_square = -2, zero = 0;
static const tutti_op_example examples[] = {
    {.label = "vector",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {37}, .lo = 0.5F, .hi = 2}},
     .attr = &example_value},
    {.label = "batched",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}, .lo = 0.5F, .hi = 2}},
     .attr = &example_value},
    {.label = "scalar",
     .n_in = 1,
     .in = {{.rank = 0, .lo = 0.5F, .hi = 2}},
     .attr = &example_value},
    {.label = "square",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {21}, .lo = -2, .hi = 2}},
     .attr = &square},
    {.label = "cube",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {21}, .lo = -2, .hi = 2}},
     .attr = &cube},
    {.label = "inverse",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {21}, .lo = -2, .hi = -0.5F}},
     .attr = &inverse},
    {.label = "inverse_square",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {21}, .lo = -2, .hi = -0.5F}},
     .attr = &inverse_square},
    {.label = "zero", .n_in = 1, .in = {{.rank = 1, .dim = {21}, .lo = 1, .hi = 2}}, .attr = &zero},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &example_value,
     .refused = "pow_scalar: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_pow_scalar = {
    .name = "pow_scalar",
    .summary = "x to the power value",
    .options = "value; x above 0 unless it is a whole number",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .attr_size = sizeof(float),
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
