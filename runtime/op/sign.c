/* -1, 0 or 1 as x is below, at or above 0; NaN stays NaN. */
#include "op/elementwise.h"

tutti_tensor tutti_sign(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_sign, &x, 1, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "(%s > 0.0f ? 1.0f : %s < 0.0f ? -1.0f : %s)", in[0], in[0],
                      in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0] > 0 ? 1 : x[0] < 0 ? -1 : x[0];
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static const tutti_op_example examples[] = {
    {.label = "vector", .n_in = 1, .in = {{.rank = 1, .dim = {37}}}},
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}}},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}},
    {.label = "ones", .n_in = 1, .in = {{.rank = 1, .dim = {4}, .lo = 1, .hi = 1}}},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "sign: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_sign = {
    .name = "sign",
    .summary = "-1, 0 or 1 as x is below, at or above 0",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NO_GRAD,
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
