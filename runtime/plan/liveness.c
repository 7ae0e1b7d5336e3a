#include <string.h>

#include "base/status.h"
#include "graph/fuse.h"
#include "plan/make.h"

static uint32_t find(const uint32_t *root, uint32_t id) {
    while (root[id] != id)
        id = root[id];
    return id;
}

static bool shares_input(const tutti_item *item) {
    return item->alias || (item->node.op->flags & (TUTTI_OP_ALIAS | TUTTI_OP_UPDATE)) != 0;
}

static void extend(tutti_liveness *l, uint32_t id, int32_t at) {
    const uint32_t root = l->root[id];
    if (at < l->first[root])
        l->first[root] = at;
    if (at > l->last[root])
        l->last[root] = at;
}

/* A kernel of the elementwise generator loads all its operands before it stores, element by
 * element, so its results may overwrite operands of the same size that nobody needs any more. A
 * prologue does so with the operands and the results of its chain. */
static bool writes_in_place(const uint32_t *root, const tutti_node_info *node, int32_t input,
                            int32_t output) {
    if (node->op == &tutti_op_prologue) {
        const tutti_prologue *prologue = node->attr;
        const int32_t n_chain = prologue->chain.n_in;
        bool read_later = false;
        for (int32_t i = n_chain; i < node->n_in; i++)
            read_later |= find(root, node->in[i].id) == find(root, node->in[input].id);
        return input < n_chain && output >= prologue->base.n_out && !read_later;
    }
    return node->op == &tutti_op_fused ||
           ((node->op->flags & TUTTI_OP_ELEMENTWISE) != 0 && node->op->lower == NULL);
}

static bool same_size(const tutti_type *a, const tutti_type *b) {
    const tutti_extent x = tutti_extent_count(&a->shape), y = tutti_extent_count(&b->shape);
    return x.base == y.base && x.per_sample == y.per_sample &&
           tutti_dtype_size_bytes(a->dtype) == tutti_dtype_size_bytes(b->dtype);
}

bool tutti_may_write_over(const uint32_t *root, const tutti_node_info *node, int32_t input,
                          int32_t output) {
    return writes_in_place(root, node, input, output) &&
           same_size(&node->in_type[input], &node->out_type[output]);
}

static void reuse_operands(const tutti_graph *graph, tutti_liveness *l, const tutti_item *item,
                           int32_t at) {
    const tutti_node_info *node = &item->node;
    for (int32_t o = 0; o < node->n_out; o++) {
        const uint32_t out = find(l->root, node->out[o].id);
        if (out != node->out[o].id || l->first[out] != at)
            continue;
        for (int32_t i = 0; i < node->n_in; i++) {
            const uint32_t in = find(l->root, node->in[i].id);
            /* A root that another output took has a later end by now, or ends here with it. */
            bool taken = false;
            for (int32_t k = 0; k < node->n_out; k++)
                taken |= k != o && find(l->root, node->out[k].id) == in;
            if (taken || !tutti_may_write_over(l->root, node, i, o) ||
                tutti_tensor_is_fixed(graph, in) || l->last[in] != at || l->first[in] > at)
                continue;
            l->root[out] = in;
            l->last[in] = l->last[out];
            break;
        }
    }
}

void tutti_liveness_roots(const tutti_graph *graph, const tutti_program *program, bool owner,
                          uint32_t *root) {
    for (uint32_t id = 0; id < (uint32_t)graph->n_tensors; id++)
        root[id] = id;
    for (int32_t k = 0; k < program->n_items; k++) {
        const tutti_item *item = &program->items[k];
        if (item->kind != TUTTI_ITEM_NODE || !tutti_item_runs(item, owner) || !shares_input(item))
            continue;
        int32_t n_members;
        const tutti_node_info *members = tutti_node_members(&item->node, &n_members);
        for (int32_t m = 0; m < n_members; m++)
            if (members[m].n_out > 0)
                root[members[m].out[0].id] = root[members[m].in[0].id];
    }
}

tutti_status tutti_liveness_make(const tutti_graph *graph, const tutti_program *program, bool owner,
                                 tutti_arena *arena, tutti_liveness *out) {
    const size_t n = (size_t)graph->n_tensors;
    tutti_liveness l = {tutti_arena_array(arena, n, sizeof *l.root),
                        tutti_arena_array(arena, n, sizeof *l.first),
                        tutti_arena_array(arena, n, sizeof *l.last)};
    if (l.root == NULL || l.first == NULL || l.last == NULL)
        return TUTTI_OUT_OF_MEMORY;
    tutti_liveness_roots(graph, program, owner, l.root);
    for (uint32_t id = 0; id < n; id++) {
        l.first[id] = INT32_MAX;
        l.last[id] = -1;
    }
    for (int32_t k = 0; k < program->n_items; k++) {
        const tutti_item *item = &program->items[k];
        if (!tutti_item_runs(item, owner))
            continue;
        for (int32_t i = 0; item->kind == TUTTI_ITEM_NODE && i < item->node.n_in; i++)
            extend(&l, item->node.in[i].id, k);
        for (int32_t i = 0; item->kind == TUTTI_ITEM_NODE && i < item->node.n_out; i++)
            extend(&l, item->node.out[i].id, k);
        /* The host may read a part while later items run. */
        for (int32_t i = 0; item->kind == TUTTI_ITEM_REDUCE && i < item->n_tensors; i++) {
            extend(&l, item->tensors[i].id, k);
            extend(&l, item->tensors[i].id, program->n_items);
        }
    }
    for (int32_t i = 0; i < program->n_fetches; i++) {
        const uint32_t id = program->fetches[i].id;
        if (owner || l.last[l.root[id]] >= 0 ||
            (program->on_each[id] && graph->tensors[id].kind == TUTTI_TENSOR_INPUT))
            extend(&l, id, program->n_items);
    }
    for (uint32_t id = 1; id < n; id++)
        if (graph->tensors[id].kind == TUTTI_TENSOR_INPUT && l.last[id] >= 0)
            l.first[id] = 0; /* fed before the first item */

    for (int32_t k = 0; k < program->n_items; k++) {
        const tutti_item *item = &program->items[k];
        if (item->kind == TUTTI_ITEM_NODE && tutti_item_runs(item, owner) && !shares_input(item))
            reuse_operands(graph, &l, item, k);
    }
    for (uint32_t id = 1; id < n; id++) {
        const uint32_t root = find(l.root, id);
        l.root[id] = root;
        if (root != id)
            l.first[id] = INT32_MAX, l.last[id] = -1;
    }
    *out = l;
    return TUTTI_OK;
}
