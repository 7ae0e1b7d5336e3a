/* One tensor when training, another when evaluating and predicting; no kernel runs, and what only
 * the other mode needs is left out. The gradient is split in the same way. */
#include <string.h>

#include "op/elementwise.h"

tutti_tensor tutti_by_mode(tutti_graph *g, tutti_tensor train, tutti_tensor other) {
    return tutti_op_apply1(g, &tutti_op_by_mode, (tutti_tensor[]){train, other}, 2, NULL, 0);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *a = &node->in_type[0], *b = &node->in_type[1];
    char text_a[TUTTI_SHAPE_TEXT], text_b[TUTTI_SHAPE_TEXT];
    if (a->dtype != b->dtype || !tutti_shape_equal(&a->shape, &b->shape))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "inputs are %s %s and %s %s: expected equal types and shapes",
                             tutti_dtype_name(a->dtype), tutti_shape_text(&a->shape, text_a),
                             tutti_dtype_name(b->dtype), tutti_shape_text(&b->shape, text_b));
    out->type = *a;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)node;
    (void)n;
    return (tutti_cost){0};
}

static void ref(const tutti_ref_call *call) {
    const tutti_type *type = &call->node->in_type[0];
    const int64_t count = tutti_shape_count(&type->shape, call->run->n);
    if (call->out[0] != call->in[0])
        memcpy(call->out[0], call->in[0], (size_t)count * tutti_dtype_size_bytes(type->dtype));
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor zero = tutti_constant(graph, &node->in_type[0].shape, 0);
    if (want[0])
        din[0] = tutti_by_mode(graph, dout[0], zero);
    if (want[1])
        din[1] = tutti_by_mode(graph, zero, dout[0]);
    return tutti_graph_status(graph);
}

static const tutti_op_example examples[] = {
    {.label = "vectors", .n_in = 2, .in = {{.rank = 1, .dim = {7}}, {.rank = 1, .dim = {7}}}},
    {.label = "scalars", .n_in = 2, .in = {{.rank = 0}, {.rank = 0}}},
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}}, {.rank = 2, .dim = {TUTTI_BATCH, 3}}}},
    {.label = "shapes",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {6}}, {.rank = 2, .dim = {2, 3}}},
     .refused = "by_mode: inputs are f32 6 and f32 2x3: expected equal types and shapes"},
    {.label = "types",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {6}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {6}, .hi = 3}},
     .refused = "by_mode: inputs are f32 6 and i32 6"},
};

const tutti_op tutti_op_by_mode = {
    .name = "by_mode",
    .summary = "the first input when training, the second otherwise",
    .shapes = "two of one shape -> that shape",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_ALIAS | TUTTI_OP_TRAIN_ONLY,
    .infer = infer,
    .cost = cost,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
