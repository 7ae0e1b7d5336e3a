/* The nodes that a mode needs. */
#include <string.h>

#include "base/status.h"
#include "graph/passes.h"

/* What the node reads in this mode, and whether it runs at all. */
static void find_inputs(tutti_passes *p, int32_t index) {
    const tutti_node *node = &p->graph->nodes[index];
    const bool passes_last =
        (node->op->flags & TUTTI_OP_TRAIN_ONLY) != 0 && p->mode != TUTTI_TRAIN && node->n_in > 0;
    p->alias[index] = passes_last || (node->op->flags & TUTTI_OP_ALIAS) != 0;
    p->in[index] = passes_last ? node->in + node->n_in - 1 : node->in;
    p->n_in[index] = p->alias[index] ? 1 : node->n_in;
}

/* Marks the nodes that a tensor needs, and the tensors they read. */
static void need(tutti_passes *p, const bool *roots, bool *nodes, bool *tensors) {
    const tutti_graph *graph = p->graph;
    memcpy(tensors, roots, (size_t)graph->n_tensors * sizeof *tensors);
    memset(nodes, 0, (size_t)graph->n_nodes * sizeof *nodes);
    for (int32_t n = graph->n_nodes - 1; n >= 0; n--) {
        const tutti_node *node = &graph->nodes[n];
        for (int32_t i = 0; i < node->n_out; i++)
            nodes[n] |= tensors[node->out[i].id];
        for (int32_t i = 0; nodes[n] && i < p->n_in[n]; i++)
            tensors[p->in[n][i].id] = true;
    }
}

/* Marks what depends on one tensor. */
static void dependents(const tutti_passes *p, int32_t tensor, bool *tensors) {
    const tutti_graph *graph = p->graph;
    memset(tensors, 0, (size_t)graph->n_tensors * sizeof *tensors);
    tensors[tensor] = true;
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        const tutti_node *node = &graph->nodes[n];
        bool any = false;
        for (int32_t i = 0; i < p->n_in[n]; i++)
            any |= tensors[p->in[n][i].id];
        for (int32_t i = 0; i < node->n_out; i++)
            tensors[node->out[i].id] |= any;
    }
}

typedef struct sets {
    bool *nodes, *tensors, *roots, *of_loss, *of_input;
} sets;

/* An input is a label when predictions can do without it: the loss depends on it, an output does
 * not, and nothing that it reaches on the way to an output meets a parameter or leads to the loss
 * through an output (as logits do). */
static bool is_label(tutti_passes *p, int32_t input, sets *s) {
    const tutti_graph *graph = p->graph;
    dependents(p, input, s->of_input);
    if (graph->loss.id == 0 || !s->of_input[graph->loss.id])
        return false;
    bool free_output = false;
    memset(s->roots, 0, (size_t)graph->n_tensors * sizeof *s->roots);
    for (int32_t i = 0; i < graph->n_outputs; i++) {
        const uint32_t id = graph->outputs[i].tensor.id;
        if (!graph->tensors[id].type.shape.batched)
            continue;
        free_output |= !s->of_input[id];
        if (s->of_input[id] && s->of_loss[id] && id != graph->loss.id)
            return false;
        s->roots[id] |= s->of_input[id];
    }
    if (!free_output)
        return false;
    need(p, s->roots, s->nodes, s->tensors);
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        bool reached = false, param = false;
        for (int32_t i = 0; s->nodes[n] && i < p->n_in[n]; i++) {
            const tutti_tensor in = p->in[n][i];
            reached |= s->of_input[in.id];
            param |= graph->tensors[in.id].kind == TUTTI_TENSOR_PARAM;
        }
        if (reached && param)
            return false;
    }
    return true;
}

static void drop_dependents(const tutti_passes *p, int32_t tensor, bool *of_tensor) {
    dependents(p, tensor, of_tensor);
    for (int32_t i = 1; i < p->graph->n_tensors; i++)
        p->fetched[i] = p->fetched[i] && !of_tensor[i];
}

static void choose_fetches(tutti_passes *p, sets *s) {
    const tutti_graph *graph = p->graph;
    for (int32_t i = 0; i < graph->n_outputs; i++)
        p->fetched[graph->outputs[i].tensor.id] = true;
    if (p->mode != TUTTI_PREDICT && graph->loss.id != 0)
        p->fetched[graph->loss.id] = true;
    if (p->mode == TUTTI_TRAIN) {
        p->fetched[graph->finite.id] = graph->finite.id != 0;
        return;
    }
    /* Nothing is changed outside training, so nothing that a change gives can be computed. */
    for (int32_t n = 0; n < graph->n_nodes; n++)
        for (int32_t i = 0;
             (graph->nodes[n].op->flags & TUTTI_OP_UPDATE) != 0 && i < graph->nodes[n].n_out; i++)
            drop_dependents(p, (int32_t)graph->nodes[n].out[i].id, s->of_input);
    if (p->mode != TUTTI_PREDICT || graph->loss.id == 0)
        return;
    /* A prediction has a row per sample; numbers about the whole batch (accuracy, gradients) are
     * none. */
    for (int32_t i = 0; i < graph->n_outputs; i++)
        if (!graph->tensors[graph->outputs[i].tensor.id].type.shape.batched)
            p->fetched[graph->outputs[i].tensor.id] = false;
    memset(s->roots, 0, (size_t)graph->n_tensors * sizeof *s->roots);
    s->roots[graph->loss.id] = true;
    need(p, s->roots, s->nodes, s->of_loss);
    for (int32_t i = 1; i < graph->n_tensors; i++)
        if (graph->tensors[i].kind == TUTTI_TENSOR_INPUT && is_label(p, i, s))
            drop_dependents(p, i, s->of_input);
}

tutti_status tutti_pass_select(tutti_passes *p) {
    const tutti_graph *graph = p->graph;
    const size_t n_tensors = (size_t)graph->n_tensors, n_nodes = (size_t)graph->n_nodes;
    p->selected = tutti_arena_array(p->scratch, n_nodes, sizeof(bool));
    p->alias = tutti_arena_array(p->scratch, n_nodes, sizeof(bool));
    p->in = tutti_arena_array(p->scratch, n_nodes, sizeof *p->in);
    p->n_in = tutti_arena_array(p->scratch, n_nodes, sizeof *p->n_in);
    p->fetched = tutti_arena_array(p->scratch, n_tensors, sizeof(bool));
    p->fetches = tutti_arena_array(p->arena, (size_t)graph->n_outputs + 2, sizeof *p->fetches);
    sets s = {.nodes = tutti_arena_array(p->scratch, n_nodes, sizeof(bool)),
              .tensors = tutti_arena_array(p->scratch, n_tensors, sizeof(bool)),
              .roots = tutti_arena_array(p->scratch, n_tensors, sizeof(bool)),
              .of_loss = tutti_arena_array(p->scratch, n_tensors, sizeof(bool)),
              .of_input = tutti_arena_array(p->scratch, n_tensors, sizeof(bool))};
    if (p->selected == NULL || p->alias == NULL || p->in == NULL || p->n_in == NULL ||
        p->fetched == NULL || p->fetches == NULL || s.nodes == NULL || s.tensors == NULL ||
        s.roots == NULL || s.of_loss == NULL || s.of_input == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t n = 0; n < graph->n_nodes; n++)
        find_inputs(p, n);
    choose_fetches(p, &s);

    memcpy(s.roots, p->fetched, n_tensors * sizeof(bool));
    need(p, s.roots, p->selected, s.tensors);
    if (p->mode == TUTTI_TRAIN) {
        for (int32_t n = 0; n < graph->n_nodes; n++) {
            const tutti_node *node = &graph->nodes[n];
            const bool update = (node->op->flags & TUTTI_OP_UPDATE) != 0;
            for (int32_t i = 0; update && i < node->n_in; i++)
                s.roots[node->in[i].id] = true;
        }
        need(p, s.roots, p->selected, s.tensors);
        for (int32_t n = 0; n < graph->n_nodes; n++)
            p->selected[n] |= (graph->nodes[n].op->flags & TUTTI_OP_UPDATE) != 0;
    }
    if (graph->loss.id != 0 && p->fetched[graph->loss.id])
        p->fetches[p->n_fetches++] = graph->loss;
    if (p->fetched[graph->finite.id])
        p->fetches[p->n_fetches++] = graph->finite;
    for (int32_t i = 0; i < graph->n_outputs; i++) {
        const tutti_tensor tensor = graph->outputs[i].tensor;
        bool seen = false;
        for (int32_t k = 0; k < p->n_fetches; k++)
            seen |= p->fetches[k].id == tensor.id;
        if (p->fetched[tensor.id] && !seen)
            p->fetches[p->n_fetches++] = tensor;
    }
    return TUTTI_OK;
}
