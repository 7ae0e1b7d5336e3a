/* Defines the op NAME: a where a OPERATOR b, else b; NaN when one of them is. Where they are equal,
 * each gets half of the gradient. To be included once, after SUMMARY is defined too, BEFORE, the
 * constructor of the comparison, and REFERENCE, the function of C. */
#include <math.h>

#include "op/elementwise.h"
#include "op/template.h"

tutti_tensor TUTTI_CONSTRUCTOR(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    return tutti_op_apply1(g, &TUTTI_TABLE, (tutti_tensor[]){a, b}, 2, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "(%s " TUTTI_TEXT(OPERATOR) " %s || %s != %s ? %s : %s)",
                      in[0], in[1], in[0], in[0], in[0], in[1]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return isnan(x[0]) || isnan(x[1]) ? NAN : REFERENCE(x[0], x[1]);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

/* dout where own goes before other, half of it where they are equal. */
static tutti_tensor share(tutti_graph *graph, tutti_tensor dout, tutti_tensor own,
                          tutti_tensor other) {
    const tutti_tensor half = tutti_scale(graph, tutti_equal(graph, own, other), 0.5F);
    return tutti_mul(graph, dout, tutti_add(graph, BEFORE(graph, own, other), half));
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor a = node->in[0], b = node->in[1];
    if (want[0])
        din[0] = tutti_reduce_to(graph, share(graph, dout[0], a, b), &node->in_type[0].shape);
    if (want[1])
        din[1] = tutti_reduce_to(graph, share(graph, dout[0], b, a), &node->in_type[1].shape);
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "apart",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {37}, .lo = -2, .hi = -0.1F},
            {.rank = 1, .dim = {37}, .lo = 0.1F, .hi = 2}}},
    {.label = "apart, swapped",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}, .lo = 0.1F, .hi = 2},
            {.rank = 3, .dim = {TUTTI_BATCH, 3, 5}, .lo = -2, .hi = -0.1F}}},
    {.label = "row",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 9}, .lo = 1, .hi = 2}, {.rank = 1, .dim = {9}}}},
    {.label = "both",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {4, 1, 3}, .lo = 1, .hi = 2}, {.rank = 4, .dim = {2, 1, 5, 1}}}},
    {.label = "scalar",
     .n_in = 2,
     .in = {{.rank = 0, .lo = 1, .hi = 2}, {.rank = 2, .dim = {TUTTI_BATCH, 7}}}},
    {.label = "mixed",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 40}, .no_grad = true},
            {.rank = 2, .dim = {TUTTI_BATCH, 40}, .no_grad = true}}},
    {.label = "NaN first",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {7}, .lo = NAN, .hi = NAN, .no_grad = true},
            {.rank = 1, .dim = {7}, .no_grad = true}}},
    {.label = "NaN second",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {7}, .no_grad = true},
            {.rank = 1, .dim = {7}, .lo = NAN, .hi = NAN, .no_grad = true}}},
    {.label = "no fit",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}, {.rank = 1, .dim = {3}}},
     .refused = TUTTI_TEXT(NAME) ": Nx4 and 3 do not broadcast"},
    {.label = "labels",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {4}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = TUTTI_TEXT(NAME) ": input 1 is i32, expected f32"},
};

const tutti_op TUTTI_TABLE = {
    .name = TUTTI_TEXT(NAME),
    .summary = SUMMARY,
    .n_in_min = 2,
    .n_in_max = 2,
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
