/* Chooses the tensors that lie in memory as f16 or bf16: results for each sample, read by nothing but
 * nodes of the same device's step, that either
 *
 *   are kept by the forward pass for the backward pass: they make most of a step's memory; or
 *   are written by generated kernels and read by these and by kernels that take any type, such as those
 *   of products: they convert where they load and store.
 *
 * Inputs, parameters, states, outputs, the loss and what is summed over devices stay f32. The types
 * of the nodes say what was chosen. A kernel that knows f32 alone gets copies (graph/widen.c). */
#include <string.h>

#include "base/narrow.h"
#include "base/status.h"
#include "graph/fuse.h"
#include "graph/passes.h"

typedef struct choice {
    tutti_passes *p;
    uint32_t *root; /* by tensor: whose memory it shares */
    bool *refused;  /* by root */
    bool *copied;   /* by root: a kernel that knows f32 alone writes or reads it */
    bool *kept;     /* by root: for the backward pass */
} choice;

static bool is_generated(const tutti_node_info *node) {
    return node->op == &tutti_op_fused ||
           ((node->op->flags & TUTTI_OP_ELEMENTWISE) != 0 && node->op->lower == NULL);
}

static bool is_backward(const tutti_graph *graph, tutti_tensor tensor) {
    const int32_t node = graph->tensors[tensor.id].node;
    return node >= 0 && graph->nodes[node].backward;
}

static bool takes_typed(const tutti_node_info *node, int32_t i) {
    return i < 32 && (node->op->typed >> i & 1) != 0;
}

/* True when kernels that know its type alone touch input i. */
static bool reads_as_is(const tutti_node_info *node, int32_t i) {
    if (node->op == &tutti_op_epilogue) {
        const tutti_node_info *base = &((const tutti_epilogue *)node->attr)->base;
        return i >= base->n_in || takes_typed(base, i);
    }
    if (node->op == &tutti_op_prologue) {
        const tutti_prologue *l = node->attr;
        const int32_t own = i - l->chain.n_in;
        return own < 0 || reads_as_is(&l->base, own < l->slot ? own : own + 1);
    }
    return is_generated(node) || takes_typed(node, i);
}

static bool writes_as_is(const tutti_node_info *node, int32_t i) {
    if (node->op == &tutti_op_prologue) {
        const tutti_prologue *l = node->attr;
        return i >= l->base.n_out || writes_as_is(&l->base, i);
    }
    return is_generated(node) || node->op == &tutti_op_epilogue;
}

static void look_at(choice *c, const tutti_item *item) {
    const tutti_graph *graph = c->p->graph;
    const tutti_node_info *node = &item->node;
    const bool backward = node->n_out > 0 && is_backward(graph, node->out[0]);
    for (int32_t i = 0; i < item->n_tensors; i++)
        c->refused[c->root[item->tensors[i].id]] = true;
    for (int32_t i = 0; i < node->n_in; i++) {
        const uint32_t root = c->root[node->in[i].id];
        c->copied[root] |= !item->alias && !reads_as_is(node, i);
        c->kept[root] |= backward && !is_backward(graph, (tutti_tensor){root});
        c->refused[root] |= (node->op->flags & TUTTI_OP_UPDATE) != 0 ||
                            item->place != TUTTI_PLACE_EACH ||
                            tutti_dtype_is_narrow(node->in_type[i].dtype);
    }
    for (int32_t i = 0; i < node->n_out; i++)
        c->copied[c->root[node->out[i].id]] |= !item->alias && !writes_as_is(node, i);
}

static void retype(const choice *c, const tutti_tensor *tensors, const tutti_type *types,
                   int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (!c->refused[c->root[tensors[i].id]])
            ((tutti_type *)types)[i].dtype = c->p->narrow; /* the program's own copy */
}

static void retype_node(const choice *c, const tutti_node_info *node) {
    retype(c, node->in, node->in_type, node->n_in);
    retype(c, node->out, node->out_type, node->n_out);
}

/* What passes between the parts of a node is in no memory of its own, or read before it is stored. */
static void retype_parts(const choice *c, const tutti_node_info *node) {
    if (node->op == &tutti_op_epilogue) {
        const tutti_epilogue *e = node->attr;
        c->refused[e->base.out[0].id] = true;
        retype_node(c, &e->base);
        retype_node(c, &e->rest);
    } else if (node->op == &tutti_op_prologue) {
        const tutti_prologue *l = node->attr;
        if (l->members.members[l->result].output < 0)
            c->refused[l->base.in[l->slot].id] = true;
        retype_node(c, &l->chain);
        retype_node(c, &l->kept);
        for (int32_t i = 0; i < l->base.n_in; i++)
            if (i != l->slot)
                retype(c, l->base.in + i, l->base.in_type + i, 1);
        retype(c, l->base.out, l->base.out_type, l->base.n_out);
        retype_parts(c, &l->base);
    }
}

tutti_status tutti_pass_precision(tutti_passes *p) {
    const tutti_graph *graph = p->graph;
    const size_t n = (size_t)graph->n_tensors;
    tutti_dtype *dtype = tutti_arena_array(p->arena, n, sizeof *dtype);
    choice c = {.p = p,
                .root = tutti_arena_array(p->scratch, n, sizeof *c.root),
                .refused = tutti_arena_array(p->scratch, n, sizeof(bool)),
                .copied = tutti_arena_array(p->scratch, n, sizeof(bool)),
                .kept = tutti_arena_array(p->scratch, n, sizeof(bool))};
    if (dtype == NULL || c.root == NULL || c.refused == NULL || c.copied == NULL || c.kept == NULL)
        return TUTTI_OUT_OF_MEMORY;
    p->dtype = dtype;
    for (size_t id = 0; id < n; id++) {
        dtype[id] = graph->tensors[id].type.dtype;
        c.root[id] = (uint32_t)id;
    }
    if (p->narrow == TUTTI_F32)
        return TUTTI_OK;
    for (int32_t k = 0; k < p->n_items; k++)
        if (p->items[k].kind == TUTTI_ITEM_NODE && p->items[k].alias)
            c.root[p->items[k].node.out[0].id] = c.root[p->items[k].node.in[0].id];
    for (int32_t k = 0; k < p->n_items; k++)
        look_at(&c, &p->items[k]);
    for (size_t id = 0; id < n; id++) {
        const tutti_tensor_record *record = &graph->tensors[id];
        c.refused[c.root[id]] |= record->kind != TUTTI_TENSOR_RESULT ||
                                 record->type.dtype != TUTTI_F32 || !record->type.shape.batched ||
                                 p->fetched[id];
    }
    for (size_t id = 0; id < n; id++)
        if (c.root[id] == id)
            c.refused[id] |= c.copied[id] && !c.kept[id];
    for (size_t id = 0; id < n; id++)
        if (!c.refused[c.root[id]])
            dtype[id] = p->narrow;
    for (int32_t k = 0; k < p->n_items; k++) {
        const tutti_node_info *node = &p->items[k].node;
        if (p->items[k].kind != TUTTI_ITEM_NODE)
            continue;
        retype_node(&c, node);
        retype_parts(&c, node);
    }
    return TUTTI_OK;
}
