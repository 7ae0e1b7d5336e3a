#include "graph/attach.h"

#include "base/status.h"

bool tutti_attach_is_chain(const tutti_item *item) {
    const tutti_op *op = item->node.op;
    return item->kind == TUTTI_ITEM_NODE && !item->alias &&
           (op->flags & TUTTI_OP_ELEMENTWISE) != 0 &&
           (op == &tutti_op_fused || (op->lower == NULL && op->expr != NULL)) &&
           item->node.n_out >= 1 && item->node.out_type[0].dtype == TUTTI_F32;
}

bool tutti_attach_beside(const tutti_attachment *a, int32_t earlier, int32_t later) {
    const tutti_item *x = &a->p->items[earlier], *y = &a->p->items[later];
    return x->kind == TUTTI_ITEM_NODE && !x->alias && !a->taken[earlier] && a->barrier <= earlier &&
           x->place == y->place && x->commit == y->commit && x->every == y->every;
}

int32_t tutti_attach_reads(const tutti_node_info *node, tutti_tensor tensor) {
    int32_t count = 0;
    for (int32_t i = 0; i < node->n_in; i++)
        count += node->in[i].id == tensor.id;
    return count;
}

bool tutti_attach_lasts(const tutti_attachment *a, const tutti_node_info *node, tutti_tensor except,
                        int32_t from) {
    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in[i].id != except.id &&
            (a->producer[node->in[i].id] > from || a->reduced[a->root[node->in[i].id]] > from))
            return false;
    return true;
}

static void count_reads(tutti_attachment *a) {
    for (int32_t k = 0; k < a->p->n_items; k++) {
        const tutti_item *item = &a->p->items[k];
        for (int32_t i = 0; i < item->node.n_in; i++)
            a->reads[item->node.in[i].id]++;
        for (int32_t i = 0; i < item->n_tensors; i++)
            a->reads[item->tensors[i].id]++;
    }
}

tutti_status tutti_attach_sweep(tutti_passes *p, tutti_attach_visit visit) {
    const size_t n_tensors = (size_t)p->graph->n_tensors, n_items = (size_t)p->n_items;
    tutti_attachment a = {.p = p,
                          .producer = tutti_arena_array(p->scratch, n_tensors, sizeof(int32_t)),
                          .reads = tutti_arena_array(p->scratch, n_tensors, sizeof(int32_t)),
                          .reduced = tutti_arena_array(p->scratch, n_tensors, sizeof(int32_t)),
                          .root = tutti_arena_array(p->scratch, n_tensors, sizeof(uint32_t)),
                          .taken = tutti_arena_array(p->scratch, n_items, sizeof(bool)),
                          .barrier = -1};
    if (a.producer == NULL || a.reads == NULL || a.reduced == NULL || a.root == NULL ||
        a.taken == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (size_t i = 0; i < n_tensors; i++) {
        a.producer[i] = a.reduced[i] = -1;
        a.root[i] = (uint32_t)i;
    }
    count_reads(&a);
    for (int32_t k = 0; k < p->n_items; k++) {
        const tutti_item *item = &p->items[k];
        int32_t at = k;
        if (item->kind == TUTTI_ITEM_REDUCE)
            for (int32_t i = 0; i < item->n_tensors; i++)
                a.reduced[a.root[item->tensors[i].id]] = k;
        else if (item->kind == TUTTI_ITEM_BROADCAST ||
                 (item->node.op->flags & TUTTI_OP_UPDATE) != 0)
            a.barrier = k;
        else if (item->alias)
            a.root[item->node.out[0].id] = a.root[item->node.in[0].id];
        else
            TUTTI_TRY(visit(&a, k, &at));
        for (int32_t i = 0; i < p->items[at].node.n_out; i++)
            a.producer[p->items[at].node.out[i].id] = at;
    }
    int32_t n = 0;
    for (int32_t k = 0; k < p->n_items; k++)
        if (!a.taken[k])
            p->items[n++] = p->items[k];
    p->n_items = n;
    return TUTTI_OK;
}
