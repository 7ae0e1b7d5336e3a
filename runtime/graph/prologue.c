/* Finds elementwise work on what a reduction, a product or a convolution reads, to be done by the
 * kernel that reads it (prologue_op.c).
 *
 * The pass runs after epilogues were found. A chain of which an output is input 0 of an op with
 * TUTTI_OP_PROLOGUE becomes one node with that op. What the chain makes is then neither written nor
 * read; where others read it too, the kernel writes it as it goes, and it is not read again. So does
 * a chain of which the only output is an input that an op `loads`, if nothing else reads it; but only
 * where a GPU takes part, other devices have two launches anyhow.
 *
 * The node stands where the chain stood when all else that the op reads is there already; otherwise
 * where the op stood, if nothing else reads what the chain makes. */
#include <string.h>

#include "base/status.h"
#include "graph/attach.h"

static bool is_kept(const tutti_attachment *a, const tutti_prologue *l, int32_t output) {
    const tutti_tensor tensor = l->chain.out[output];
    return output != l->loaded || a->reads[tensor.id] > 1 || a->p->fetched[tensor.id];
}

static int32_t count_kept(const tutti_attachment *a, const tutti_prologue *l) {
    int32_t count = 0;
    for (int32_t i = 0; i < l->chain.n_out; i++)
        count += is_kept(a, l, i);
    return count;
}

/* The chain with the outputs that stay. */
static tutti_status keep(const tutti_attachment *a, tutti_prologue *l) {
    tutti_arena *arena = a->p->arena;
    const size_t n_out = (size_t)l->chain.n_out;
    tutti_single_chain *single = tutti_arena_alloc(arena, sizeof *single);
    if (single == NULL)
        return TUTTI_OUT_OF_MEMORY;
    l->members = tutti_fused_chain_of(&l->chain, single);
    tutti_tensor *out = tutti_arena_array(arena, n_out, sizeof *out);
    tutti_type *types = tutti_arena_copy(arena, l->chain.out_type, n_out * sizeof *types);
    int32_t *index = tutti_arena_array(a->p->scratch, n_out, sizeof *index);
    tutti_fused_member *members =
        tutti_arena_copy(arena, l->members.members, (size_t)l->members.n_members * sizeof *members);
    if (out == NULL || types == NULL || index == NULL || members == NULL)
        return TUTTI_OUT_OF_MEMORY;
    l->kept = l->chain;
    l->kept.n_out = 0;
    for (int32_t i = 0; i < l->chain.n_out; i++) {
        index[i] = is_kept(a, l, i) ? l->kept.n_out : -1;
        if (index[i] < 0)
            continue;
        out[l->kept.n_out] = l->chain.out[i];
        types[l->kept.n_out++] = l->chain.out_type[i];
    }
    l->kept.out = out;
    l->kept.out_type = types;
    for (int32_t m = 0; m < l->members.n_members; m++) {
        const int32_t output = members[m].output;
        if (output == l->loaded)
            l->result = m;
        members[m].output = output < 0 ? -1 : index[output];
    }
    l->members.members = members;
    return TUTTI_OK;
}

static tutti_status attach(tutti_attachment *a, const tutti_prologue *found, int32_t at,
                           int32_t other) {
    tutti_arena *arena = a->p->arena;
    tutti_prologue *l = tutti_arena_copy(arena, found, sizeof *l);
    if (l == NULL)
        return TUTTI_OUT_OF_MEMORY;
    TUTTI_TRY(keep(a, l));
    const int32_t slot = l->slot, behind = l->base.n_in - slot - 1;
    const int32_t n_in = l->chain.n_in + l->base.n_in - 1, n_out = l->base.n_out + l->kept.n_out;
    tutti_tensor *ids = tutti_arena_array(arena, (size_t)(n_in + n_out), sizeof *ids);
    tutti_type *types = tutti_arena_array(arena, (size_t)(n_in + n_out), sizeof *types);
    l->label = tutti_arena_printf(arena, "%s+%s", tutti_fused_label(&l->chain),
                                  tutti_fused_label(&l->base));
    if (ids == NULL || types == NULL || l->label == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const struct {
        const tutti_tensor *ids;
        const tutti_type *types;
        int32_t count;
    } parts[] = {{l->chain.in, l->chain.in_type, l->chain.n_in},
                 {l->base.in, l->base.in_type, slot},
                 {l->base.in + slot + 1, l->base.in_type + slot + 1, behind},
                 {l->base.out, l->base.out_type, l->base.n_out},
                 {l->kept.out, l->kept.out_type, l->kept.n_out}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(ids + n, parts[i].ids, (size_t)parts[i].count * sizeof *ids);
        memcpy(types + n, parts[i].types, (size_t)parts[i].count * sizeof *types);
        n += (size_t)parts[i].count;
    }
    a->p->items[at].node = (tutti_node_info){.op = &tutti_op_prologue,
                                             .attr = l,
                                             .n_in = n_in,
                                             .n_out = n_out,
                                             .in = ids,
                                             .out = ids + n_in,
                                             .in_type = types,
                                             .out_type = types + n_in};
    a->taken[other] = true;
    return TUTTI_OK;
}

/* True when an operand has all elements of the chain: how many there are was then checked. */
static bool has_full_operand(const tutti_node_info *chain) {
    for (int32_t i = 0; i < chain->n_in; i++)
        if (tutti_fuse_same_count(&chain->in_type[i].shape, &chain->out_type[0].shape))
            return true;
    return false;
}

/* The chain that makes input `slot` of item k, when it can be given to it: *at is then where the node
 * stands; else -1. */
static tutti_status try_slot(tutti_attachment *a, int32_t k, int32_t slot, int32_t *at) {
    const tutti_node_info *base = &a->p->items[k].node;
    const bool loads = (base->op->flags & TUTTI_OP_PROLOGUE) == 0; /* several times, perhaps */
    const tutti_tensor in = base->in[slot];
    const int32_t from = a->producer[in.id];
    *at = -1;
    /* Summed over devices since, what the chain made is another value. */
    if (from < 0 || a->reduced[a->root[in.id]] > from ||
        !tutti_attach_is_chain(&a->p->items[from]) || !tutti_attach_beside(a, from, k) ||
        tutti_attach_reads(base, in) != 1)
        return TUTTI_OK;
    tutti_prologue l = {.chain = a->p->items[from].node, .base = *base, .slot = slot};
    while (l.chain.out[l.loaded].id != in.id)
        l.loaded++;
    const int32_t n_kept = count_kept(a, &l);
    if ((loads && n_kept > 0) || l.chain.out_type[l.loaded].dtype != TUTTI_F32 ||
        !tutti_fuse_same_count(&l.chain.out_type[0].shape, &base->in_type[slot].shape) ||
        !has_full_operand(&l.chain) ||
        l.chain.n_in + base->n_in - 1 + base->n_out + n_kept > TUTTI_FUSE_OPERANDS_MAX)
        return TUTTI_OK;
    if (tutti_attach_lasts(a, base, in, from)) {
        *at = from;
        return attach(a, &l, from, k);
    }
    if (n_kept > 0 || !tutti_attach_lasts(a, &l.chain, (tutti_tensor){0}, from))
        return TUTTI_OK;
    *at = k;
    return attach(a, &l, k, from);
}

/* One input at most: the first that has a chain. */
static tutti_status visit(tutti_attachment *a, int32_t k, int32_t *at) {
    const tutti_node_info *base = &a->p->items[k].node;
    const tutti_op *op = tutti_fused_core(base)->op;
    const bool is_prologue = (op->flags & TUTTI_OP_PROLOGUE) != 0;
    if (is_prologue && op != base->op)
        return TUTTI_OK;
    const uint32_t inputs = is_prologue ? 1 : a->p->loads ? op->loads : 0;
    for (int32_t slot = 0; slot < base->n_in && inputs >> slot != 0; slot++) {
        int32_t found = -1;
        if ((inputs >> slot & 1) != 0)
            TUTTI_TRY(try_slot(a, k, slot, &found));
        if (found < 0)
            continue;
        *at = found;
        return TUTTI_OK;
    }
    return TUTTI_OK;
}

tutti_status tutti_pass_prologue(tutti_passes *p) {
    return tutti_attach_sweep(p, visit);
}
