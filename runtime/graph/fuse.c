/* Replaces chains of elementwise items by one fused item each. Elementwise items read through
 * aliases, such as reshapes, so that these do not part chains; a chain's members have one number of
 * elements, but may differ in shape.
 *
 * One sweep over the items. A chain stays open while nothing outside reads its results; an item
 * joins the open chains that produce its operands, and the fused item stands where the last member
 * stood. So whatever a chain reads comes before it, whatever reads it comes after, and no cycle can
 * arise. Collectives and updates close all chains. */
#include "graph/fuse.h"

#include <string.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "graph/passes.h"

typedef struct chain {
    int32_t *members; /* items, ascending */
    int32_t n_members;
    bool open;
} chain;

/* What a chain reads: one tensor may be there twice, under two shapes. */
typedef struct operand {
    tutti_tensor tensor;
    const tutti_type *type;
    const tutti_shape *shape; /* of the result to which it is broadcast */
} operand;

typedef struct fusion {
    tutti_passes *p;
    chain *chains;
    int32_t n_chains;
    int32_t first_open; /* chains before it are closed */
    int32_t *chain_of;  /* by item, or -1 */
    int32_t *producer;  /* by tensor: item, or -1 */
    int32_t *reads;     /* by tensor: operands that read it */
    int32_t *member;    /* by tensor: the member that makes it, while a chain is built */
    operand *inputs;    /* of the chain being counted or built */
    tutti_tensor *outputs;
} fusion;

static bool can_fuse(const tutti_item *item) {
    const tutti_op *op = item->node.op;
    return item->kind == TUTTI_ITEM_NODE && !item->alias &&
           (op->flags & TUTTI_OP_ELEMENTWISE) != 0 && op->lower == NULL && op->expr != NULL &&
           item->node.n_out == 1 && item->node.out_type[0].dtype != TUTTI_I32;
}

/* Index among the first `count` inputs of the operand that input i of the node is, or count. */
static int32_t find_input(const fusion *f, int32_t count, const tutti_node_info *node, int32_t i) {
    int32_t k = 0;
    while (k < count && (f->inputs[k].tensor.id != node->in[i].id ||
                         !tutti_shape_equal(&f->inputs[k].type->shape, &node->in_type[i].shape) ||
                         !tutti_shape_equal(f->inputs[k].shape, &node->out_type[0].shape)))
        k++;
    return k;
}

/* Operands of the kernel that the items would make: inputs from outside, results needed outside.
 * members must be ascending. Fills f->inputs and f->outputs; more than the limit counts as
 * limit + 1. */
static int32_t operands(fusion *f, const int32_t *members, int32_t n_members, int32_t *out_inputs) {
    const tutti_item *items = f->p->items;
    int32_t n_in = 0, n_out = 0;
    for (int32_t m = 0; m < n_members; m++) {
        const tutti_node_info *node = &items[members[m]].node;
        for (int32_t i = 0; i < node->n_in; i++) {
            const int32_t producer = f->producer[node->in[i].id];
            bool known = false;
            for (int32_t k = 0; k < m && !known; k++)
                known = members[k] == producer;
            if (known || find_input(f, n_in, node, i) < n_in)
                continue;
            if (n_in == TUTTI_FUSE_OPERANDS_MAX)
                return TUTTI_FUSE_OPERANDS_MAX + 1;
            f->inputs[n_in++] = (operand){node->in[i], &node->in_type[i], &node->out_type[0].shape};
        }
    }
    for (int32_t m = 0; m < n_members; m++) {
        const tutti_tensor out = items[members[m]].node.out[0];
        int32_t inside = 0;
        for (int32_t k = m + 1; k < n_members; k++)
            for (int32_t i = 0; i < items[members[k]].node.n_in; i++)
                inside += items[members[k]].node.in[i].id == out.id;
        if (!f->p->fetched[out.id] && inside == f->reads[out.id])
            continue;
        if (n_in + n_out == TUTTI_FUSE_OPERANDS_MAX)
            return TUTTI_FUSE_OPERANDS_MAX + 1;
        f->outputs[n_out++] = out;
    }
    *out_inputs = n_in;
    return n_in + n_out;
}

static bool fits_beside(const tutti_item *a, const tutti_item *b) {
    return a->place == b->place && a->commit == b->commit && a->every == b->every &&
           tutti_fuse_same_count(&a->node.out_type[0].shape, &b->node.out_type[0].shape);
}

/* Merges the chain `from` into the chain `to` when the result is within the limits. */
static bool merge(fusion *f, int32_t from, int32_t to) {
    chain *a = &f->chains[from], *b = &f->chains[to];
    int32_t merged[TUTTI_FUSE_MEMBERS_MAX], n = 0, i = 0, k = 0, n_in;
    if (a->n_members + b->n_members > TUTTI_FUSE_MEMBERS_MAX)
        return false;
    while (i < a->n_members || k < b->n_members)
        merged[n++] = k == b->n_members || (i < a->n_members && a->members[i] < b->members[k])
                          ? a->members[i++]
                          : b->members[k++];
    if (operands(f, merged, n, &n_in) > TUTTI_FUSE_OPERANDS_MAX)
        return false;
    memcpy(b->members, merged, (size_t)n * sizeof *merged);
    b->n_members = n;
    for (int32_t m = 0; m < n; m++)
        f->chain_of[merged[m]] = to;
    a->n_members = 0;
    a->open = false;
    return true;
}

static void close_all(fusion *f) {
    for (; f->first_open < f->n_chains; f->first_open++)
        f->chains[f->first_open].open = false;
}

static tutti_status sweep_item(fusion *f, int32_t index) {
    const tutti_item *item = &f->p->items[index];
    if (item->kind != TUTTI_ITEM_NODE || (item->node.op->flags & TUTTI_OP_UPDATE) != 0) {
        close_all(f);
        return TUTTI_OK;
    }
    f->chain_of[index] = -1;
    if (can_fuse(item)) {
        chain *own = &f->chains[f->n_chains];
        own->members = tutti_arena_array(f->p->scratch, TUTTI_FUSE_MEMBERS_MAX, sizeof(int32_t));
        if (own->members == NULL)
            return TUTTI_OUT_OF_MEMORY;
        own->members[0] = index;
        own->n_members = 1;
        own->open = true;
        f->chain_of[index] = f->n_chains++;
    }
    for (int32_t i = 0; i < item->node.n_in; i++) {
        const int32_t producer = f->producer[item->node.in[i].id];
        const int32_t from = producer >= 0 ? f->chain_of[producer] : -1;
        const int32_t own = f->chain_of[index];
        if (from < 0 || from == own || !f->chains[from].open)
            continue;
        if (own < 0 || !fits_beside(item, &f->p->items[producer]) || !merge(f, from, own))
            f->chains[from].open = false;
    }
    for (int32_t i = 0; i < item->node.n_out; i++)
        f->producer[item->node.out[i].id] = index;
    return TUTTI_OK;
}

static const char *label(const fusion *f, const chain *c) {
    tutti_strbuf text = {0};
    for (int32_t m = 0; m < c->n_members; m++)
        tutti_strbuf_printf(&text, "%s%s", m > 0 ? "+" : "",
                            f->p->items[c->members[m]].node.op->name);
    const char *copy =
        text.failed || text.text == NULL ? NULL : tutti_arena_strdup(f->p->arena, text.text);
    tutti_strbuf_free(&text);
    return copy;
}

static tutti_status build(fusion *f, const chain *c, tutti_item *out) {
    tutti_arena *arena = f->p->arena;
    const tutti_item *items = f->p->items;
    int32_t n_in = 0;
    const int32_t n = operands(f, c->members, c->n_members, &n_in), n_out = n - n_in;
    tutti_fused_chain *fused = tutti_arena_alloc(arena, sizeof *fused);
    tutti_fused_member *members = tutti_arena_array(arena, (size_t)c->n_members, sizeof *members);
    tutti_tensor *ids = tutti_arena_array(arena, (size_t)n, sizeof *ids);
    tutti_type *types = tutti_arena_array(arena, (size_t)n, sizeof *types);
    tutti_shape *shapes = tutti_arena_array(arena, (size_t)n, sizeof *shapes);
    const char *text = label(f, c);
    if (fused == NULL || members == NULL || ids == NULL || types == NULL || shapes == NULL ||
        text == NULL)
        return TUTTI_OUT_OF_MEMORY;
    memcpy(ids + n_in, f->outputs, (size_t)n_out * sizeof *ids);
    for (int32_t i = 0; i < n_in; i++) {
        ids[i] = f->inputs[i].tensor;
        types[i] = *f->inputs[i].type;
        shapes[i] = *f->inputs[i].shape;
        f->member[ids[i].id] = -1;
    }
    for (int32_t i = n_in; i < n; i++)
        types[i] = f->p->graph->tensors[ids[i].id].type;
    for (int32_t m = 0; m < c->n_members; m++) {
        const tutti_node_info *node = &items[c->members[m]].node;
        int32_t *source = tutti_arena_array(arena, (size_t)node->n_in + 1, sizeof *source);
        if (source == NULL)
            return TUTTI_OUT_OF_MEMORY;
        for (int32_t i = 0; i < node->n_in; i++) {
            const int32_t from = f->member[node->in[i].id];
            source[i] = from >= 0 ? -1 - from : find_input(f, n_in, node, i);
        }
        members[m] = (tutti_fused_member){.node = *node, .source = source, .output = -1};
        f->member[node->out[0].id] = m;
        for (int32_t k = 0; k < n_out; k++)
            if (f->outputs[k].id == node->out[0].id)
                members[m].output = k;
    }
    *fused = (tutti_fused_chain){
        .members = members, .n_members = c->n_members, .shapes = shapes, .label = text};
    *out = items[c->members[c->n_members - 1]];
    out->node = (tutti_node_info){.op = &tutti_op_fused,
                                  .attr = fused,
                                  .n_in = n_in,
                                  .n_out = n_out,
                                  .in = ids,
                                  .out = ids + n_in,
                                  .in_type = types,
                                  .out_type = types + n_in};
    return TUTTI_OK;
}

/* Lets elementwise items, and what may get elementwise work on its input, read what aliases stand for,
 * under the shape of the alias. */
static tutti_status read_through(const tutti_passes *p, const int32_t *alias, tutti_item *item) {
    const tutti_op *op = item->node.op;
    const uint32_t first = (op->flags & TUTTI_OP_PROLOGUE) != 0, loads = p->loads ? op->loads : 0;
    const uint32_t inputs = can_fuse(item) ? UINT32_MAX : loads | first;
    for (int32_t i = 0; i < item->node.n_in && i < 32; i++) {
        tutti_tensor tensor = item->node.in[i];
        if ((inputs >> i & 1) == 0)
            continue;
        while (alias[tensor.id] >= 0)
            tensor = p->items[alias[tensor.id]].node.in[0];
        if (tensor.id == item->node.in[i].id)
            continue;
        tutti_tensor *in =
            tutti_arena_copy(p->arena, item->node.in, (size_t)item->node.n_in * sizeof *in);
        if (in == NULL)
            return TUTTI_OUT_OF_MEMORY;
        in[i] = tensor;
        item->node.in = in;
    }
    return TUTTI_OK;
}

/* Leaves out aliases that nothing reads any more. */
static tutti_status skip_aliases(tutti_passes *p) {
    const size_t n_tensors = (size_t)p->graph->n_tensors;
    int32_t *alias = tutti_arena_array(p->scratch, n_tensors, sizeof *alias);
    bool *read = tutti_arena_copy(p->scratch, p->fetched, n_tensors * sizeof *read);
    if (alias == NULL || read == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (size_t i = 0; i < n_tensors; i++)
        alias[i] = -1;
    for (int32_t k = 0; k < p->n_items; k++) {
        tutti_item *item = &p->items[k];
        if (item->kind == TUTTI_ITEM_NODE && item->alias)
            alias[item->node.out[0].id] = k;
        else if (item->kind == TUTTI_ITEM_NODE)
            TUTTI_TRY(read_through(p, alias, item));
    }
    int32_t begin = p->n_items;
    for (int32_t k = p->n_items - 1; k >= 0; k--) {
        const tutti_item *item = &p->items[k];
        if (item->kind == TUTTI_ITEM_NODE && item->alias && !read[item->node.out[0].id])
            continue;
        for (int32_t i = 0; i < item->node.n_in; i++)
            read[item->node.in[i].id] = true;
        for (int32_t i = 0; i < item->n_tensors; i++)
            read[item->tensors[i].id] = true;
        p->items[--begin] = *item;
    }
    p->items += begin;
    p->n_items -= begin;
    return TUTTI_OK;
}

tutti_status tutti_pass_fuse(tutti_passes *p) {
    TUTTI_TRY(skip_aliases(p));
    const size_t n_tensors = (size_t)p->graph->n_tensors, n_items = (size_t)p->n_items;
    fusion f = {.p = p,
                .chains = tutti_arena_array(p->scratch, n_items, sizeof *f.chains),
                .chain_of = tutti_arena_array(p->scratch, n_items, sizeof *f.chain_of),
                .producer = tutti_arena_array(p->scratch, n_tensors, sizeof *f.producer),
                .reads = tutti_arena_array(p->scratch, n_tensors, sizeof *f.reads),
                .member = tutti_arena_array(p->scratch, n_tensors, sizeof *f.member),
                .inputs = tutti_arena_array(p->scratch, TUTTI_FUSE_OPERANDS_MAX, sizeof *f.inputs),
                .outputs =
                    tutti_arena_array(p->scratch, TUTTI_FUSE_OPERANDS_MAX, sizeof *f.outputs)};
    tutti_item *fused = tutti_arena_array(p->scratch, n_items, sizeof *fused);
    if (f.chains == NULL || f.chain_of == NULL || f.producer == NULL || f.reads == NULL ||
        f.member == NULL || f.inputs == NULL || f.outputs == NULL || fused == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (size_t i = 0; i < n_tensors; i++) {
        f.producer[i] = -1;
        f.member[i] = -1;
    }
    for (int32_t k = 0; k < p->n_items; k++) {
        f.chain_of[k] = -1;
        for (int32_t i = 0; i < p->items[k].node.n_in; i++)
            f.reads[p->items[k].node.in[i].id]++;
        for (int32_t i = 0; i < p->items[k].n_tensors; i++)
            f.reads[p->items[k].tensors[i].id]++;
    }
    for (int32_t k = 0; k < p->n_items; k++)
        TUTTI_TRY(sweep_item(&f, k));
    int32_t n = 0;
    for (int32_t k = 0; k < p->n_items; k++) {
        const chain *c = f.chain_of[k] >= 0 ? &f.chains[f.chain_of[k]] : NULL;
        if (c == NULL || c->n_members == 1)
            fused[n++] = p->items[k];
        else if (c->members[c->n_members - 1] == k)
            TUTTI_TRY(build(&f, c, &fused[n++]));
    }
    p->items = fused;
    p->n_items = n;
    return TUTTI_OK;
}
