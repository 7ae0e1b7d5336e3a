/* x as a constant for derivatives; no kernel runs. */
#include <string.h>

#include "op/elementwise.h"

tutti_tensor tutti_detach(tutti_graph *g, tutti_tensor x) {
    return tutti_op_apply1(g, &tutti_op_detach, &x, 1, NULL, 0);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    out->type = node->in_type[0];
    if (out->type.dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(out->type.dtype));
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)node;
    (void)n;
    return (tutti_cost){0};
}

static void ref(const tutti_ref_call *call) {
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    if (call->out[0] != call->in[0])
        memcpy(call->out[0], call->in[0], (size_t)count * sizeof(float));
}

static const tutti_op_example examples[] = {
    {.label = "batched", .n_in = 1, .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 4}}}},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "detach: x is i32, expected f32"},
};

const tutti_op tutti_op_detach = {
    .name = "detach",
    .summary = "x, through which no gradient passes",
    .shapes = "x (any) -> the same",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ALIAS | TUTTI_OP_LINEAR | TUTTI_OP_NO_GRAD,
    .infer = infer,
    .cost = cost,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
