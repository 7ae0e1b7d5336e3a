#include <inttypes.h>

#include "base/log.h"
#include "base/status.h"
#include "graph/graph.h"

/* A parameter or state may be changed by one node only: the order of two would decide. */
static tutti_status check_updates(const tutti_graph *graph, int32_t *changed_by) {
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        const tutti_node *node = &graph->nodes[n];
        for (int32_t i = 0; i < node->n_in; i++) {
            if (!tutti_op_mutates(node->op, i))
                continue;
            const tutti_tensor_record *record = tutti_graph_record(graph, node->in[i]);
            if ((node->op->flags & TUTTI_OP_UPDATE) == 0 ||
                (record->kind != TUTTI_TENSOR_PARAM && record->kind != TUTTI_TENSOR_STATE))
                return tutti_fail(TUTTI_INVALID_ARGUMENT,
                                  "%s (node %" PRId32
                                  "): changes %s, but only updates change something, and only "
                                  "parameters and states",
                                  node->op->name, n, record->name);
            const int32_t other = changed_by[node->in[i].id];
            if (other != 0)
                return tutti_fail(
                    TUTTI_INVALID_ARGUMENT,
                    "%s: changed by node %" PRId32 " (%s) and by node %" PRId32 " (%s)",
                    record->name, other - 1, graph->nodes[other - 1].op->name, n, node->op->name);
            changed_by[node->in[i].id] = n + 1;
        }
    }
    return TUTTI_OK;
}

static void warn_unused(const tutti_graph *graph, bool *used) {
    for (int32_t n = 0; n < graph->n_nodes; n++)
        for (int32_t i = 0; i < graph->nodes[n].n_in; i++)
            used[graph->nodes[n].in[i].id] = true;
    for (int32_t i = 0; i < graph->n_outputs; i++)
        used[graph->outputs[i].tensor.id] = true;
    for (int32_t i = 1; i < graph->n_tensors; i++) {
        const tutti_tensor_record *record = &graph->tensors[i];
        if (!used[i] && record->kind != TUTTI_TENSOR_RESULT)
            tutti_log_write(TUTTI_LOG_WARNING, "graph: nothing reads \"%s\"", record->name);
    }
}

static tutti_status freeze(tutti_graph *graph) {
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, tutti_graph_message(graph));
    if (graph->frozen)
        return TUTTI_OK;
    if (graph->loss.id == 0 && graph->n_outputs == 0)
        return tutti_fail(TUTTI_STATE, "freeze: the graph has neither a loss nor an output");
    int32_t *changed_by =
        tutti_arena_array(&graph->arena, (size_t)graph->n_tensors, sizeof *changed_by);
    bool *used = tutti_arena_array(&graph->arena, (size_t)graph->n_tensors, sizeof *used);
    if (changed_by == NULL || used == NULL)
        return TUTTI_OUT_OF_MEMORY;
    TUTTI_TRY(check_updates(graph, changed_by));
    warn_unused(graph, used);
    TUTTI_TRY(tutti_graph_recompute(graph));
    graph->frozen = true;
    return TUTTI_OK;
}

tutti_status tutti_graph_freeze(tutti_graph *graph) {
    const tutti_status status = freeze(graph);
    if (status != TUTTI_OK)
        (void)tutti_graph_reject(graph, status);
    return status;
}
