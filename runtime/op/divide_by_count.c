/* x / (elements of the whole batch - correction), for statistics over the batch. */
#include "op/reduce.h"

tutti_tensor tutti_divide_by_count(tutti_graph *graph, tutti_tensor x, double per_sample,
                                   double correction) {
    const tutti_count_attr attr = {per_sample, correction};
    return tutti_op_apply1(graph, &tutti_op_divide_by_count, &x, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_count_attr *attr = node->attr;
    if (!(attr->per_sample >= 1) || !(attr->correction >= 0))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "%g elements per sample less %g: expected at least 1 and 0",
                             attr->per_sample, attr->correction);
    return tutti_elementwise_infer(node, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    const tutti_count_attr *attr = node->attr;
    char per_sample[TUTTI_F32_TEXT], correction[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "%s * (INV_BATCH / (%s - %s * INV_BATCH))", in[0],
                      tutti_f32_text((float)attr->per_sample, per_sample),
                      tutti_f32_text((float)attr->correction, correction));
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    const tutti_count_attr *attr = call->node->attr;
    (void)index;
    return x[0] / (attr->per_sample * (double)call->run->n_global - attr->correction);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_divide_by_count, dout, 1, node->attr,
                                 sizeof(tutti_count_attr));
    return tutti_graph_status(graph);
}

static const tutti_count_attr twelve = {12, 1}, one = {1, 0}, none = {0, 0};
static const tutti_op_example examples[] = {
    {.label = "vector", .n_in = 1, .in = {{.rank = 1, .dim = {37}}}, .attr = &twelve},
    {.label = "batched", .n_in = 1, .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}}, .attr = &one},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}, .attr = &twelve},
    {.label = "none",
     .n_in = 1,
     .in = {{.rank = 0}},
     .attr = &none,
     .refused = "divide_by_count: 0 elements per sample less 0: expected at least 1"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &one,
     .refused = "divide_by_count: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_divide_by_count = {
    .name = "divide_by_count",
    .summary = "x / (elements of the whole batch - correction)",
    .options = "per_sample >= 1, correction >= 0",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_LINEAR | TUTTI_OP_INV_BATCH,
    .attr_size = sizeof(tutti_count_attr),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
