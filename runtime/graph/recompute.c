/* Recomputes cheap results of the forward pass in the backward pass, instead of keeping them.
 *
 * A value that both passes read, made by a few elementwise ops from what is kept anyway, gets a copy
 * of those ops before its first reader in the backward pass, and readers there read the copy. It then
 * has no memory between the passes. The ops are the same, so the numbers are, and so are those of
 * every split. Where an elementwise reader comes soon (the mask of a ReLU), the copy stands before
 * that one, and other readers come behind it, so that fusion makes one kernel of both.
 *
 * Nodes are in topological order before and after. */
#include <string.h>

#include "base/status.h"
#include "graph/graph.h"

#define OPS_MAX   6  /* of one copy */
#define FLOPS_MAX 10 /* per element; exp and the like count 16 */
#define NEAR      8  /* nodes: too close to save memory, or close enough to wait for */

typedef struct recompute {
    tutti_graph *graph;
    int32_t n_nodes;       /* before copies were added */
    bool *kept;            /* by tensor: an output of the graph, or read by an alias or an update */
    bool *copied;          /* by tensor */
    int32_t *first, *last; /* by tensor: readers in the backward pass; first > last without */
    int32_t *forward;      /* by tensor: the last reader in the forward pass, or -1 */
    int32_t *behind;       /* by node: the node that it has to come after, or -1 */
    int32_t *before;       /* by copy: the node that it has to come before */
} recompute;

/* What is copied for one value: nodes, ascending. */
typedef struct copies {
    int32_t nodes[OPS_MAX];
    int32_t count;
    double flops;
} copies;

static bool is_elementwise(const tutti_node *node) {
    return (node->op->flags & TUTTI_OP_ELEMENTWISE) != 0 && node->op->lower == NULL &&
           node->op->expr != NULL && node->n_out == 1;
}

static const tutti_type *type_of(const recompute *r, tutti_tensor tensor) {
    return &r->graph->tensors[tensor.id].type;
}

static void look_at(recompute *r, int32_t n) {
    const tutti_node *node = &r->graph->nodes[n];
    for (int32_t i = 0; i < node->n_in; i++) {
        const uint32_t id = node->in[i].id;
        r->kept[id] |= (node->op->flags & (TUTTI_OP_ALIAS | TUTTI_OP_UPDATE)) != 0;
        if (!node->backward) {
            r->forward[id] = n;
        } else {
            r->first[id] = n < r->first[id] ? n : r->first[id];
            r->last[id] = n;
        }
    }
}

/* Adds the node that makes the tensor, and those that make its operands, unless these are there at
 * node `at` of the backward pass anyway. */
static bool collect(const recompute *r, tutti_tensor tensor, int32_t at, copies *c) {
    const int32_t n = r->graph->tensors[tensor.id].node;
    const tutti_node *node = n < 0 ? NULL : &r->graph->nodes[n];
    for (int32_t i = 0; i < c->count; i++)
        if (c->nodes[i] == n)
            return true;
    if (node == NULL || node->backward || !is_elementwise(node) ||
        (node->op->flags & TUTTI_OP_RANDOM) != 0 || c->count == OPS_MAX)
        return false;
    int32_t slot = c->count++;
    for (; slot > 0 && c->nodes[slot - 1] > n; slot--)
        c->nodes[slot] = c->nodes[slot - 1];
    c->nodes[slot] = n;
    tutti_type types[32];
    if (node->n_in + node->n_out > 32)
        return false;
    const tutti_node_info info = tutti_node_view(r->graph, node, types);
    c->flops += node->op->cost(&info, 1).flops;
    const int64_t count = tutti_shape_sample_count(&type_of(r, tensor)->shape);
    for (int32_t i = 0; i < node->n_in; i++) {
        const tutti_type *type = type_of(r, node->in[i]);
        const bool small =
            !type->shape.batched || 16 * tutti_shape_sample_count(&type->shape) <= count;
        const uint32_t id = node->in[i].id;
        const bool there = !r->copied[id] && (r->kept[id] || r->last[id] >= at);
        if (!small && !there && !collect(r, node->in[i], at, c))
            return false;
    }
    return true;
}

static bool reads(const tutti_node *node, tutti_tensor tensor) {
    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in[i].id == tensor.id)
            return true;
    return false;
}

/* True when the node may come behind node `at`: nothing until there reads its results. Not all that
 * follows need be of the backward pass, so `first` does not tell. */
static bool can_wait(const recompute *r, int32_t n, int32_t at) {
    const tutti_node *node = &r->graph->nodes[n];
    for (int32_t k = n + 1; k <= at; k++)
        for (int32_t i = 0; i < node->n_out; i++)
            if (reads(&r->graph->nodes[k], node->out[i]))
                return false;
    return r->behind[n] < 0;
}

/* The first elementwise reader, when it is near and those before it can come behind the elementwise
 * work that it begins; else the first reader. */
static int32_t place(recompute *r, tutti_tensor tensor) {
    const int32_t first = r->first[tensor.id];
    const tutti_node *nodes = r->graph->nodes;
    int32_t at = first;
    while (at < r->n_nodes && at < first + NEAR &&
           !(reads(&nodes[at], tensor) && is_elementwise(&nodes[at])))
        at++;
    if (at == r->n_nodes || at == first + NEAR)
        return first;
    int32_t end = at;
    while (end + 1 < r->n_nodes && end + 1 < first + 2 * NEAR && is_elementwise(&nodes[end + 1]))
        end++;
    for (int32_t n = first; n < at; n++)
        if (reads(&nodes[n], tensor) && !can_wait(r, n, end))
            return first;
    for (int32_t n = first; n < at; n++)
        if (reads(&nodes[n], tensor))
            r->behind[n] = end;
    return at;
}

/* Appends a copy of the node; `to` says by tensor what operands are called in the copy. */
static tutti_status copy_node(recompute *r, int32_t n, int32_t before, uint32_t *to) {
    tutti_graph *graph = r->graph;
    tutti_node copy = graph->nodes[n];
    const tutti_tensor_record record = graph->tensors[copy.out[0].id];
    copy.in = tutti_arena_copy(&graph->arena, copy.in, (size_t)copy.n_in * sizeof *copy.in);
    copy.out = tutti_arena_alloc(&graph->arena, sizeof *copy.out);
    const char *name = tutti_arena_printf(&graph->arena, "%s again", record.name);
    if (copy.in == NULL || copy.out == NULL || name == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t i = 0; i < copy.n_in; i++)
        if (to[copy.in[i].id] != 0)
            copy.in[i].id = to[copy.in[i].id];
    const tutti_tensor out = tutti_graph_add_tensor(graph, TUTTI_TENSOR_RESULT, &record.type, name);
    tutti_node *node = out.id == 0 ? NULL : tutti_graph_add_node(graph);
    if (node == NULL)
        return graph->status;
    graph->tensors[out.id].batch_sum = record.batch_sum;
    to[graph->nodes[n].out[0].id] = out.id;
    copy.out[0] = out;
    copy.backward = true;
    *node = copy;
    r->before[graph->n_nodes - 1 - r->n_nodes] = before;
    return TUTTI_OK;
}

static tutti_status consider(recompute *r, int32_t n, uint32_t *to) {
    tutti_graph *graph = r->graph;
    const tutti_tensor value = graph->nodes[n].out[0];
    const int32_t first = r->first[value.id];
    if (r->kept[value.id] || first > r->last[value.id] || r->forward[value.id] < 0 ||
        first - r->forward[value.id] < NEAR || !type_of(r, value)->shape.batched)
        return TUTTI_OK;
    copies c = {.count = 0};
    const int64_t elements = tutti_shape_count(&type_of(r, value)->shape, 1);
    if (!collect(r, value, first, &c) || c.flops > FLOPS_MAX * (double)elements)
        return TUTTI_OK;
    const int32_t at = place(r, value);
    for (int32_t i = 0; i < c.count; i++)
        TUTTI_TRY(copy_node(r, c.nodes[i], at, to));
    const uint32_t again = to[value.id];
    for (int32_t k = first; k < r->n_nodes; k++)
        for (int32_t i = 0; graph->nodes[k].backward && i < graph->nodes[k].n_in; i++)
            if (graph->nodes[k].in[i].id == value.id)
                graph->nodes[k].in[i].id = again;
    for (int32_t i = 0; i < c.count; i++)
        to[graph->nodes[c.nodes[i]].out[0].id] = 0;
    r->copied[value.id] = true;
    graph->tensors[again].again = true;
    return TUTTI_OK;
}

/* Puts the copies and the nodes that wait in their places. */
static tutti_status reorder(recompute *r) {
    tutti_graph *graph = r->graph;
    tutti_node *nodes =
        tutti_arena_copy(&graph->arena, graph->nodes, (size_t)graph->n_nodes * sizeof *nodes);
    if (nodes == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int32_t next = 0;
    for (int32_t n = 0; n < r->n_nodes; n++) {
        for (int32_t k = r->n_nodes; k < graph->n_nodes; k++)
            if (r->before[k - r->n_nodes] == n)
                graph->nodes[next++] = nodes[k];
        if (r->behind[n] < 0)
            graph->nodes[next++] = nodes[n];
        for (int32_t k = n - 2 * NEAR < 0 ? 0 : n - 2 * NEAR; k < n; k++)
            if (r->behind[k] == n)
                graph->nodes[next++] = nodes[k];
    }
    for (int32_t n = 0; n < graph->n_nodes; n++)
        for (int32_t i = 0; i < graph->nodes[n].n_out; i++)
            graph->tensors[graph->nodes[n].out[i].id].node = n;
    return TUTTI_OK;
}

tutti_status tutti_graph_recompute(tutti_graph *graph) {
    tutti_arena *arena = &graph->arena;
    const size_t n_tensors = (size_t)graph->n_tensors, n_nodes = (size_t)graph->n_nodes;
    recompute r = {.graph = graph,
                   .n_nodes = graph->n_nodes,
                   .kept = tutti_arena_array(arena, n_tensors, sizeof(bool)),
                   .copied = tutti_arena_array(arena, n_tensors, sizeof(bool)),
                   .first = tutti_arena_array(arena, n_tensors, sizeof(int32_t)),
                   .last = tutti_arena_array(arena, n_tensors, sizeof(int32_t)),
                   .forward = tutti_arena_array(arena, n_tensors, sizeof(int32_t)),
                   .behind = tutti_arena_array(arena, n_nodes, sizeof(int32_t)),
                   .before = tutti_arena_array(arena, OPS_MAX * n_nodes, sizeof(int32_t))};
    uint32_t *to = tutti_arena_array(arena, n_tensors, sizeof *to);
    if (r.kept == NULL || r.copied == NULL || r.first == NULL || r.last == NULL ||
        r.forward == NULL || r.behind == NULL || r.before == NULL || to == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (size_t i = 0; i < n_tensors; i++) {
        r.first[i] = INT32_MAX;
        r.last[i] = r.forward[i] = -1;
    }
    for (int32_t n = 0; n < r.n_nodes; n++) {
        r.behind[n] = -1;
        look_at(&r, n);
    }
    r.kept[graph->loss.id] = true;
    for (int32_t i = 0; i < graph->n_outputs; i++)
        r.kept[graph->outputs[i].tensor.id] = true;
    for (int32_t n = 0; n < r.n_nodes; n++)
        if (!graph->nodes[n].backward && is_elementwise(&graph->nodes[n]))
            TUTTI_TRY(consider(&r, n, to));
    return graph->n_nodes == r.n_nodes ? TUTTI_OK : reorder(&r);
}
