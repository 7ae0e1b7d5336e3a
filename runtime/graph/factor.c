/* Gives a factor for gradients, which clipping has, to the updates that read them: the scaled gradients
 * are then neither written nor read, and need no launches of their own. An update that has one becomes
 * a group (group.c), alone or with others. */
#include "base/status.h"
#include "graph/passes.h"
#include "op/ops.h"

typedef struct factoring {
    const tutti_passes *p;
    int32_t *producer; /* by tensor: item, or -1 */
    int32_t *reads;    /* by tensor: operands that read it */
} factoring;

static bool is_update(const tutti_item *item) {
    return (item->node.op->flags & TUTTI_OP_UPDATE) != 0;
}

/* True when the tensor's memory is changed by no update between two items. The result of an update is
 * the memory of its input 0; what an alias stands for is not known here. */
static bool stays(const factoring *f, tutti_tensor tensor, int32_t from, int32_t to) {
    const int32_t producer = f->producer[tensor.id];
    if (producer < 0 || f->p->items[producer].alias)
        return false;
    const tutti_item *made = &f->p->items[producer];
    const uint32_t root = is_update(made) ? made->node.in[0].id : tensor.id;
    for (int32_t k = from; k < to; k++) {
        const tutti_node_info *node = &f->p->items[k].node;
        for (int32_t i = 0; i < node->n_in; i++)
            if (tutti_op_mutates(node->op, i) && node->in[i].id == root)
                return false;
    }
    return true;
}

/* The item that multiplies the gradient which the update at `at` alone reads by a scalar; else -1. */
static int32_t scaling_of(const factoring *f, int32_t at) {
    const tutti_item *update = &f->p->items[at];
    const uint32_t needed = TUTTI_OP_GROUP | TUTTI_OP_GRADIENT;
    if (update->kind != TUTTI_ITEM_NODE || (update->node.op->flags & needed) != needed)
        return -1;
    const tutti_tensor grad = update->node.in[1];
    const int32_t k = f->producer[grad.id];
    if (k < 0 || f->reads[grad.id] != 1 || f->p->fetched[grad.id])
        return -1;
    const tutti_item *item = &f->p->items[k];
    const tutti_node_info *node = &item->node;
    if (node->op != &tutti_op_mul || item->place != update->place ||
        item->commit != update->commit || item->every != update->every)
        return -1;
    const tutti_shape *full = &node->in_type[0].shape, *one = &node->in_type[1].shape;
    const bool is_scalar = one->rank == 0 && full->rank > 0;
    return is_scalar && tutti_shape_equal(full, &node->out_type[0].shape) &&
                   node->in[0].id != node->in[1].id && stays(f, node->in[0], k, at) &&
                   stays(f, node->in[1], k, at)
               ? k
               : -1;
}

static tutti_status take_factor(const factoring *f, int32_t at, int32_t scaling) {
    tutti_node_info *update = &f->p->items[at].node;
    const tutti_node_info *mul = &f->p->items[scaling].node;
    tutti_tensor *in = tutti_arena_copy(f->p->arena, update->in, (size_t)update->n_in * sizeof *in);
    if (in == NULL)
        return TUTTI_OUT_OF_MEMORY;
    in[1] = mul->in[0];
    update->in = in;
    f->p->factor[at] = mul->in[1];
    return TUTTI_OK;
}

tutti_status tutti_pass_factor(tutti_passes *p) {
    const size_t n_tensors = (size_t)p->graph->n_tensors, n_items = (size_t)p->n_items;
    factoring f = {.p = p,
                   .producer = tutti_arena_array(p->scratch, n_tensors, sizeof *f.producer),
                   .reads = tutti_arena_array(p->scratch, n_tensors, sizeof *f.reads)};
    bool *taken = tutti_arena_array(p->scratch, n_items, sizeof *taken);
    p->factor = tutti_arena_array(p->scratch, n_items, sizeof *p->factor);
    if (f.producer == NULL || f.reads == NULL || taken == NULL || p->factor == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (size_t i = 0; i < n_tensors; i++)
        f.producer[i] = -1;
    for (int32_t k = 0; k < p->n_items; k++) {
        const tutti_item *item = &p->items[k];
        for (int32_t i = 0; i < item->node.n_in; i++)
            f.reads[item->node.in[i].id]++;
        for (int32_t i = 0; i < item->n_tensors; i++)
            f.reads[item->tensors[i].id]++;
    }
    for (int32_t k = 0; k < p->n_items; k++) {
        const int32_t scaling = scaling_of(&f, k);
        if (scaling >= 0) {
            TUTTI_TRY(take_factor(&f, k, scaling));
            taken[scaling] = true;
        }
        for (int32_t i = 0; i < p->items[k].node.n_out; i++)
            f.producer[p->items[k].node.out[i].id] = k;
    }
    int32_t n = 0;
    for (int32_t k = 0; k < p->n_items; k++)
        if (!taken[k]) {
            p->factor[n] = p->factor[k];
            p->items[n++] = p->items[k];
        }
    p->n_items = n;
    return TUTTI_OK;
}
