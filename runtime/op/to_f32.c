/* Whole numbers as f32, rounded to the nearest where 24 bits do not hold them; f16 and bf16 as f32,
 * exactly. Elementwise: the generated kernel converts where it loads. */
#include "op/elementwise.h"

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *x = &node->in_type[0];
    if (x->dtype == TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected i32, f16 or bf16",
                             tutti_dtype_name(x->dtype));
    out->type = (tutti_type){TUTTI_F32, x->shape};
    return TUTTI_OK;
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "%s", in[0]);
}

static void ref(const tutti_ref_call *call) {
    const int64_t count = tutti_shape_count(&call->node->out_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++)
        ((float *)call->out[0])[i] = call->node->in_type[0].dtype == TUTTI_I32
                                         ? (float)((const int32_t *)call->in[0])[i]
                                         : ((const float *)call->in[0])[i];
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0] && node->in_type[0].dtype != TUTTI_I32)
        din[0] = dout[0];
    return tutti_graph_status(graph);
}

#define CASE(text, low, high, dims, ...)                                                           \
    {                                                                                              \
        .label = text, .n_in = 1, .in = {                                                          \
            {.dtype = TUTTI_I32, .rank = dims, .dim = {__VA_ARGS__}, .lo = low, .hi = high}        \
        }                                                                                          \
    }
static const tutti_op_example examples[] = {
    CASE("vector", -9, 10, 1, 37),
    CASE("batched", 0, 1000, 3, TUTTI_BATCH, 3, 5),
    CASE("large", -1000000000, 1000000000, 1, 40),
    CASE("scalar", 0, 2, 0, 0),
    {.label = "f16",
     .n_in = 1,
     .in = {{.dtype = TUTTI_F16, .rank = 2, .dim = {TUTTI_BATCH, 9}, .lo = -1e-4F, .hi = 1e-4F}}},
    {.label = "bf16", .n_in = 1, .in = {{.dtype = TUTTI_BF16, .rank = 1, .dim = {37}}}},
    {.label = "f32",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}}},
     .refused = "to_f32: x is f32, expected i32, f16 or bf16"},
};

const tutti_op tutti_op_to_f32 = {
    .name = "to_f32",
    .summary = "whole numbers, f16 or bf16 as f32",
    .shapes = "x i32, f16 or bf16 (any) -> f32, the same",
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
