#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/narrow.h"
#include "base/status.h"
#include "graph/graph.h"

#define OUTPUTS_MAX 16

tutti_status tutti_op_fail(const tutti_node_info *node, tutti_status status, const char *format,
                           ...) {
    char text[TUTTI_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tutti_fail(status, "%s: %s", node->op->name, text);
}

tutti_node_info tutti_node_view(const tutti_graph *graph, const tutti_node *node,
                                tutti_type *types) {
    for (int32_t i = 0; i < node->n_in; i++)
        types[i] = graph->tensors[node->in[i].id].type;
    for (int32_t i = 0; i < node->n_out; i++)
        types[node->n_in + i] = graph->tensors[node->out[i].id].type;
    return (tutti_node_info){.op = node->op,
                             .attr = node->attr,
                             .n_in = node->n_in,
                             .n_out = node->n_out,
                             .in = node->in,
                             .out = node->out,
                             .in_type = types,
                             .out_type = types + node->n_in};
}

/* An output that may share the memory of an input has the same elements. */
static tutti_status check_alias(const tutti_node_info *node, int32_t input,
                                const tutti_type *type) {
    char text[TUTTI_SHAPE_TEXT], text_in[TUTTI_SHAPE_TEXT];
    const tutti_type *in = input >= 0 && input < node->n_in ? &node->in_type[input] : NULL;
    if (in != NULL && in->dtype == type->dtype && in->shape.batched == type->shape.batched &&
        tutti_shape_sample_count(&in->shape) == tutti_shape_sample_count(&type->shape))
        return TUTTI_OK;
    return tutti_op_fail(node, TUTTI_SHAPE,
                         "infer gave the alias %s other elements than its input %s",
                         tutti_shape_text(&type->shape, text),
                         in == NULL ? "none" : tutti_shape_text(&in->shape, text_in));
}

/* An own op may get its shapes wrong: everything later relies on these. */
static tutti_status check_inferred(const tutti_node_info *node, int32_t output,
                                   const tutti_infer *inferred) {
    const tutti_shape *shape = &inferred->type.shape;
    char text[TUTTI_SHAPE_TEXT];
    if (shape->rank < 0 || shape->rank > TUTTI_MAX_RANK)
        return tutti_op_fail(node, TUTTI_SHAPE, "infer gave output %" PRId32 " rank %" PRId32,
                             output, shape->rank);
    if (shape->batched && shape->rank == 0)
        return tutti_op_fail(node, TUTTI_SHAPE, "infer gave output %" PRId32 " a batched scalar",
                             output);
    for (int32_t i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 1)
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "infer gave output %" PRId32 " the extent %" PRId64, output,
                                 shape->dim[i]);
    tutti_shape checked;
    tutti_status status = tutti_shape_make(shape->rank, shape->dim, &checked);
    if (status != TUTTI_OK)
        return tutti_fail_context(status, "%s: output %" PRId32, node->op->name, output);
    if ((unsigned)inferred->type.dtype > TUTTI_BF16)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "infer gave output %" PRId32 " the element type %d, which is none",
                             output, (int)inferred->type.dtype);
    if (inferred->batch_sum && inferred->type.dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                             "infer calls output %" PRId32 " a batch sum, but it is %s, not f32",
                             output, tutti_dtype_name(inferred->type.dtype));
    if (shape->batched && inferred->batch_sum)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "infer calls output %" PRId32 " (%s) both batched and a batch sum",
                             output, tutti_shape_text(shape, text));
    if ((node->op->flags & TUTTI_OP_ALIAS) != 0)
        TUTTI_TRY(check_alias(node, 0, &inferred->type));
    if ((node->op->flags & TUTTI_OP_TRAIN_ONLY) != 0)
        TUTTI_TRY(check_alias(node, node->n_in - 1, &inferred->type));
    return TUTTI_OK;
}

static tutti_status check_call(const tutti_graph *graph, const tutti_op *op, const tutti_tensor *in,
                               int32_t n_in, const void *attr, size_t attr_size) {
    TUTTI_TRY(tutti_graph_check_open(graph, op->name));
    if (n_in < op->n_in_min || n_in > op->n_in_max)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "%s: has %" PRId32 " inputs, takes %" PRId32 " to %" PRId32, op->name,
                          n_in, op->n_in_min, op->n_in_max);
    if (attr_size != op->attr_size || (attr == NULL && attr_size != 0))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s: attributes have %zu bytes, takes %zu",
                          op->name, attr == NULL ? 0 : attr_size, op->attr_size);
    if (op->infer == NULL || op->n_out < 0 || op->n_out > OUTPUTS_MAX)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "%s: the op table has no infer or %" PRId32 " outputs (at most %d)",
                          op->name, op->n_out, OUTPUTS_MAX);
    for (int32_t i = 0; i < n_in; i++)
        if (!tutti_graph_owns(graph, in[i]))
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "%s: input %" PRId32 " (tensor %" PRIu32 ") is not of this graph",
                              op->name, i, in[i].id);
    return TUTTI_OK;
}

static tutti_status append(tutti_graph *graph, const tutti_op *op, const tutti_tensor *in,
                           int32_t n_in, const void *attr, size_t attr_size, tutti_tensor *out) {
    TUTTI_TRY(check_call(graph, op, in, n_in, attr, attr_size));
    tutti_type *types = tutti_arena_array(&graph->arena, (size_t)n_in + 1, sizeof *types);
    tutti_tensor *ids =
        tutti_arena_array(&graph->arena, (size_t)(n_in + op->n_out) + 1, sizeof *ids);
    const void *attr_copy = NULL;
    if (types == NULL || ids == NULL)
        return TUTTI_OUT_OF_MEMORY;
    if (attr_size != 0 && (attr_copy = tutti_arena_copy(&graph->arena, attr, attr_size)) == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t i = 0; i < n_in; i++) {
        ids[i] = in[i];
        types[i] = graph->tensors[in[i].id].type;
    }
    for (int32_t i = 0; i < n_in && (op->flags & (TUTTI_OP_NARROW | TUTTI_OP_ALIAS)) == 0; i++)
        if (tutti_dtype_is_narrow(types[i].dtype))
            return tutti_fail(TUTTI_SHAPE, "%s: input %" PRId32 " is %s, expected f32 (tutti_cast)",
                              op->name, i, tutti_dtype_name(types[i].dtype));
    const tutti_node_info info = {
        .op = op, .attr = attr_copy, .n_in = n_in, .n_out = op->n_out, .in = ids, .in_type = types};
    tutti_infer inferred[OUTPUTS_MAX] = {0};
    TUTTI_TRY(op->infer(&info, inferred));
    int32_t n_out = 0;
    while (n_out < op->n_out && !inferred[n_out].absent)
        n_out++;
    for (int32_t i = 0; i < n_out; i++)
        TUTTI_TRY(check_inferred(&info, i, &inferred[i]));

    const int32_t index = graph->n_nodes;
    for (int32_t i = 0; i < n_out; i++) {
        const char *name =
            i == 0
                ? tutti_arena_printf(&graph->arena, "%s.%" PRId32, op->name, index)
                : tutti_arena_printf(&graph->arena, "%s.%" PRId32 ".%" PRId32, op->name, index, i);
        if (name == NULL)
            return TUTTI_OUT_OF_MEMORY;
        const tutti_tensor tensor =
            tutti_graph_add_tensor(graph, TUTTI_TENSOR_RESULT, &inferred[i].type, name);
        if (tensor.id == 0)
            return graph->status;
        tutti_tensor_record *record = &graph->tensors[tensor.id];
        record->node = index;
        record->output = i;
        record->batch_sum = inferred[i].batch_sum;
        ids[n_in + i] = tensor;
    }
    tutti_node *node = tutti_graph_add_node(graph);
    if (node == NULL)
        return graph->status;
    *node = (tutti_node){
        .op = op, .attr = attr_copy, .n_in = n_in, .n_out = n_out, .in = ids, .out = ids + n_in};
    for (int32_t i = 0; i < n_out; i++)
        out[i] = node->out[i];
    return TUTTI_OK;
}

tutti_status tutti_op_apply(tutti_graph *graph, const tutti_op *op, const tutti_tensor *in,
                            int32_t n_in, const void *attr, size_t attr_size, tutti_tensor *out) {
    for (int32_t i = 0; i < op->n_out; i++)
        out[i] = (tutti_tensor){0};
    /* After the first error, model code goes on with invalid tensors. */
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, tutti_graph_message(graph));
    tutti_status status = append(graph, op, in, n_in, attr, attr_size, out);
    if (status != TUTTI_OK)
        (void)tutti_graph_reject(graph, status);
    return status;
}

tutti_tensor tutti_op_apply1(tutti_graph *graph, const tutti_op *op, const tutti_tensor *in,
                             int32_t n_in, const void *attr, size_t attr_size) {
    tutti_tensor out[OUTPUTS_MAX] = {{0}};
    if (tutti_op_apply(graph, op, in, n_in, attr, attr_size, out) != TUTTI_OK)
        return (tutti_tensor){0};
    return out[0];
}
