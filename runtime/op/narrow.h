/* Defines the op NAME, a cast to f16 or bf16. To be included once, after DTYPE, ROUND (of
 * cl/storage.clh) and WORD are defined too. The generated kernel rounds where it stores; its members
 * after the cast see the rounded value as well. */
#include <math.h>

#include "base/narrow.h"
#include "op/elementwise.h"
#include "op/template.h"

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *x = &node->in_type[0];
    if (x->dtype == DTYPE)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is " WORD " already");
    out->type = (tutti_type){DTYPE, x->shape};
    return TUTTI_OK;
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, ROUND "(%s)", in[0]);
}

static void ref(const tutti_ref_call *call) {
    const int64_t count = tutti_shape_count(&call->node->out_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++) {
        const float x = call->node->in_type[0].dtype == TUTTI_I32
                            ? (float)((const int32_t *)call->in[0])[i]
                            : ((const float *)call->in[0])[i];
        ((float *)call->out[0])[i] = tutti_widen(DTYPE, tutti_narrow(DTYPE, x));
    }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0] && node->in_type[0].dtype != TUTTI_I32)
        din[0] = dout[0];
    return tutti_graph_status(graph);
}

/* no_grad: steps have no differences. */
static const tutti_op_example examples[] = {
    {.label = "vector", .n_in = 1, .in = {{.rank = 1, .dim = {37}, .no_grad = true}}},
    {.label = "batched",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 16}, .lo = -9, .hi = 9, .no_grad = true}}},
    {.label = "small",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {300}, .lo = -1e-4F, .hi = 1e-4F, .no_grad = true}}},
    {.label = "large",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {300}, .lo = -7e4F, .hi = 7e4F, .no_grad = true}}},
    {.label = "NaN",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}, .lo = NAN, .hi = NAN, .no_grad = true}}},
    {.label = "whole numbers",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {40}, .lo = -9000, .hi = 9000}}},
    {.label = "the same",
     .n_in = 1,
     .in = {{.dtype = DTYPE, .rank = 1, .dim = {4}}},
     .refused = TUTTI_TEXT(NAME) ": x is " WORD " already"},
};

const tutti_op TUTTI_TABLE = {
    .name = TUTTI_TEXT(NAME),
    .summary = "x rounded to " WORD,
    .shapes = "x (any) -> " WORD ", the same",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NARROW,
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
