/* The value of one of the graph's scalars, which may change between steps. */
#include "op/elementwise.h"

tutti_tensor tutti_scalar_value(tutti_graph *graph, uint32_t scalar) {
    return tutti_op_apply1(graph, &tutti_op_scalar, NULL, 0, &scalar, sizeof scalar);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    (void)node;
    out->type = (tutti_type){.dtype = TUTTI_F32};
    return TUTTI_OK;
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)in;
    return tutti_expr(text, text_size, "S%u", (unsigned)*(const uint32_t *)node->attr);
}

static void ref(const tutti_ref_call *call) {
    *(float *)call->out[0] = call->run->scalars[*(const uint32_t *)call->node->attr];
}

static const uint32_t first = 0, last = 7;
static const tutti_op_example examples[] = {{.label = "first", .attr = &first},
                                            {.label = "last", .attr = &last}};

const tutti_op tutti_op_scalar = {
    .name = "scalar",
    .summary = "the value of a scalar of the graph",
    .options = "its index",
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(uint32_t),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
