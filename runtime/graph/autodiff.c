/* Symbolic backward: walks the nodes from the loss to the wanted tensors and lets each op emit the
 * gradients of its inputs. */
#include <inttypes.h>

#include "base/status.h"
#include "graph/graph.h"
#include "op/ops.h"

/* Marks the tensors through which the loss depends on a wanted one. */
static void mark_needed(const tutti_graph *graph, bool *needed) {
    for (int32_t i = 1; i < graph->n_tensors; i++)
        needed[i] = graph->tensors[i].want_grad;
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        const tutti_node *node = &graph->nodes[n];
        if ((node->op->flags & (TUTTI_OP_NO_GRAD | TUTTI_OP_UPDATE)) != 0)
            continue;
        bool any = false;
        for (int32_t i = 0; i < node->n_in; i++)
            any |= needed[node->in[i].id];
        for (int32_t i = 0; i < node->n_out; i++)
            needed[node->out[i].id] =
                any && graph->tensors[node->out[i].id].type.dtype != TUTTI_I32;
    }
}

static tutti_status accumulate(tutti_graph *graph, const tutti_node_info *node, int32_t input,
                               tutti_tensor grad) {
    tutti_tensor_record *record = &graph->tensors[node->in[input].id];
    const tutti_type type = tutti_tensor_type(graph, grad);
    if (!tutti_graph_owns(graph, grad) || type.dtype != TUTTI_F32 ||
        !tutti_shape_equal(&type.shape, &record->type.shape)) {
        char got[TUTTI_SHAPE_TEXT], expected[TUTTI_SHAPE_TEXT];
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "grad gave input %" PRId32 " (%s) a gradient of %s %s", input,
                             tutti_shape_text(&record->type.shape, expected),
                             tutti_dtype_name(type.dtype), tutti_shape_text(&type.shape, got));
    }
    if (record->grad.id == 0) {
        record->grad = grad;
        return TUTTI_OK;
    }
    const tutti_tensor sum = tutti_add(graph, record->grad, grad);
    graph->tensors[node->in[input].id].grad = sum; /* record may have moved */
    return graph->status;
}

static tutti_status node_backward(tutti_graph *graph, int32_t index, const bool *needed) {
    const tutti_node node = graph->nodes[index];
    bool reached = false, wanted = false;
    for (int32_t i = 0; i < node.n_out; i++)
        reached |= needed[node.out[i].id] && graph->tensors[node.out[i].id].grad.id != 0;
    for (int32_t i = 0; i < node.n_in; i++)
        wanted |= needed[node.in[i].id];
    if (!reached || !wanted)
        return TUTTI_OK;
    const size_t n = (size_t)(node.n_in + node.n_out);
    tutti_type *types = tutti_arena_array(&graph->arena, n, sizeof *types);
    tutti_tensor *grads = tutti_arena_array(&graph->arena, n, sizeof *grads);
    bool *want = tutti_arena_array(&graph->arena, n, sizeof *want);
    if (types == NULL || grads == NULL || want == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const tutti_node_info info = tutti_node_view(graph, &node, types);
    if (node.op->grad == NULL)
        return tutti_op_fail(&info, TUTTI_UNSUPPORTED,
                             "the loss depends on it, but the op has no gradient");
    for (int32_t i = 0; i < node.n_in; i++)
        want[i] = needed[node.in[i].id];
    tutti_tensor *din = grads, *dout = grads + node.n_in;
    for (int32_t i = 0; i < node.n_out; i++)
        dout[i] = graph->tensors[node.out[i].id].grad;
    TUTTI_TRY(node.op->grad(graph, &info, dout, want, din));
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, tutti_graph_message(graph));
    for (int32_t i = 0; i < node.n_in; i++)
        if (want[i] && din[i].id != 0)
            TUTTI_TRY(accumulate(graph, &info, i, din[i]));
    return TUTTI_OK;
}

static tutti_status backward(tutti_graph *graph) {
    TUTTI_TRY(tutti_graph_check_open(graph, "backward"));
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, tutti_graph_message(graph));
    if (graph->has_backward)
        return tutti_fail(TUTTI_STATE, "backward: was already appended");
    if (graph->loss.id == 0)
        return tutti_fail(TUTTI_STATE, "backward: no loss is declared");
    const int32_t n_forward = graph->n_nodes;
    bool *needed = tutti_arena_array(&graph->arena, (size_t)graph->n_tensors, sizeof *needed);
    if (needed == NULL)
        return TUTTI_OUT_OF_MEMORY;
    mark_needed(graph, needed);
    graph->has_backward = true;
    if (!needed[graph->loss.id])
        return TUTTI_OK;
    const tutti_shape scalar = {0};
    const tutti_tensor seed = tutti_constant(graph, &scalar, 1.0F);
    if (seed.id == 0)
        return graph->status;
    graph->tensors[graph->loss.id].grad = seed;
    graph->seed = seed;
    tutti_status status = TUTTI_OK;
    for (int32_t i = n_forward - 1; i >= 0 && status == TUTTI_OK; i--)
        status = node_backward(graph, i, needed);
    for (int32_t i = n_forward; i < graph->n_nodes; i++)
        graph->nodes[i].backward = true;
    return status;
}

tutti_status tutti_graph_backward(tutti_graph *graph) {
    const tutti_status status = backward(graph);
    if (status != TUTTI_OK)
        (void)tutti_graph_reject(graph, status);
    return status;
}
