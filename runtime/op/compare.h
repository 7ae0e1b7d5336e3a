/* Defines the op NAME: 1 where a OPERATOR b, else 0. To be included once, after SUMMARY is defined
 * too. */
#include <math.h>

#include "op/elementwise.h"
#include "op/template.h"

tutti_tensor TUTTI_CONSTRUCTOR(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    return tutti_op_apply1(g, &TUTTI_TABLE, (tutti_tensor[]){a, b}, 2, NULL, 0);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "(%s " TUTTI_TEXT(OPERATOR) " %s ? 1.0f : 0.0f)", in[0],
                      in[1]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0] OPERATOR x[1] ? 1 : 0;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static const tutti_op_example examples[] = {
    {.label = "different", .n_in = 2, .in = {{.rank = 1, .dim = {37}}, {.rank = 1, .dim = {37}}}},
    {.label = "same",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}, .lo = 1, .hi = 1}, {.rank = 0, .lo = 1, .hi = 1}}},
    {.label = "row",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 7}}, {.rank = 1, .dim = {7}}}},
    {.label = "NaN",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {7}, .lo = NAN, .hi = NAN},
            {.rank = 1, .dim = {7}, .lo = NAN, .hi = NAN}}},
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
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NO_GRAD,
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
