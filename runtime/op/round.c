/* The nearest whole number; halves go to the even one (IEEE 754). */
#include <math.h>

#include "op/elementwise.h"

tutti_tensor tutti_round(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_round, &x, 1, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "rint(%s)", in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return nearbyint(x[0]);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static const tutti_op_example examples[] = {
    {.label = "vector", .n_in = 1, .in = {{.rank = 1, .dim = {37}, .lo = -9, .hi = 9}}},
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}}},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}},
    {.label = "a half", .n_in = 1, .in = {{.rank = 1, .dim = {4}, .lo = 2.5F, .hi = 2.5F}}},
    {.label = "large", .n_in = 1, .in = {{.rank = 1, .dim = {40}, .lo = -3e9F, .hi = 3e9F}}},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "round: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_round = {
    .name = "round",
    .summary = "nearest whole number, halves to even",
    .source = "halves to even: IEEE 754",
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
