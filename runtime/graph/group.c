/* Updates of many parameters in few launches.
 *
 * The pass looks at what commits. Items of one depth do not depend on each other; of those, updates
 * of one op (flag TUTTI_OP_GROUP) with equal attributes become one node, and items are sorted by
 * depth. What is computed in between then waits for the whole group: so the pass works on runs of
 * items whose results need little memory together. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "graph/group.h"
#include "graph/lowering.h"
#include "graph/passes.h"

/* The results of a run take at most this part of what the updates work on, or what the largest takes
 * alone. */
#define HELD_PART 128
/* Elements of a group, so that their number, rounded up, is an int. */
#define ELEMENTS_MAX (INT64_C(1) << 30)

/* The pass. */

typedef struct grouping {
    tutti_passes *p;
    uint32_t *root;    /* by tensor: whose memory it has */
    int32_t *wrote;    /* by root: depth of the last item that wrote it */
    int32_t *read;     /* by root: largest depth of an item that read it */
    int32_t *depth;    /* by item */
    bool *taken;       /* by item: is in the new list */
    tutti_item *items; /* the new list */
    int32_t n_items;
    int32_t base, deepest; /* before the run, and in it */
} grouping;

static bool is_update(const tutti_item *item) {
    return (item->node.op->flags & TUTTI_OP_UPDATE) != 0;
}

static int64_t bytes_of(const tutti_type *types, int32_t count) {
    int64_t bytes = 0;
    for (int32_t i = 0; i < count; i++)
        bytes += tutti_shape_sample_count(&types[i].shape) *
                 (int64_t)tutti_dtype_size_bytes(types[i].dtype);
    return bytes;
}

/* Of the results that have memory of their own. */
static int64_t held_bytes(const tutti_item *item) {
    return item->alias || is_update(item) ? 0 : bytes_of(item->node.out_type, item->node.n_out);
}

/* One more than the depth of what must come before; of an alias, which does nothing, that depth. */
static void find_depth(grouping *g, int32_t index) {
    const tutti_item *item = &g->p->items[index];
    const tutti_node_info *node = &item->node;
    int32_t before = g->base;
    for (int32_t i = 0; i < node->n_in; i++) {
        const uint32_t id = g->root[node->in[i].id];
        if (g->wrote[id] > before)
            before = g->wrote[id];
        if (tutti_op_mutates(node->op, i) && g->read[id] > before)
            before = g->read[id];
    }
    const uint32_t factor = g->root[g->p->factor[index].id];
    if (factor != 0 && g->wrote[factor] > before)
        before = g->wrote[factor];
    const int32_t depth = g->depth[index] = item->alias ? before : before + 1;
    for (int32_t i = 0; i < node->n_in; i++) {
        const uint32_t id = g->root[node->in[i].id];
        if (tutti_op_mutates(node->op, i))
            g->wrote[id] = depth;
        else if (g->read[id] < depth)
            g->read[id] = depth;
    }
    if (factor != 0 && g->read[factor] < depth)
        g->read[factor] = depth;
    if ((item->alias || is_update(item)) && node->n_out > 0)
        g->root[node->out[0].id] = g->root[node->in[0].id];
    for (int32_t i = 0; i < node->n_out; i++)
        g->wrote[g->root[node->out[i].id]] = depth;
    if (depth > g->deepest)
        g->deepest = depth;
}

static bool alike(const tutti_item *a, const tutti_item *b) {
    const tutti_node_info *x = &a->node, *y = &b->node;
    return x->op == y->op && a->place == b->place && a->every == b->every && x->n_in == y->n_in &&
           x->n_out == y->n_out &&
           (x->op->attr_size == 0 || memcmp(x->attr, y->attr, x->op->attr_size) == 0);
}

/* The items from `first` on that can be done with it, itself included. */
static int32_t find_members(const grouping *g, int32_t first, int32_t end,
                            int32_t members[TUTTI_GROUP_SLOTS]) {
    const tutti_item *items = g->p->items;
    int64_t elements = 0;
    int32_t n = 0;
    for (int32_t k = first; k < end && n < TUTTI_GROUP_SLOTS; k++) {
        const int64_t count = tutti_shape_sample_count(&items[k].node.in_type[0].shape);
        if (g->taken[k] || g->depth[k] != g->depth[first] || !alike(&items[k], &items[first]) ||
            g->p->factor[k].id != g->p->factor[first].id ||
            (k > first && elements + count > ELEMENTS_MAX))
            continue;
        elements += count;
        members[n++] = k;
    }
    return n;
}

static tutti_status make_group(const grouping *g, const int32_t *members, int32_t n,
                               tutti_item *out) {
    tutti_arena *arena = g->p->arena;
    const tutti_item *first = &g->p->items[members[0]];
    const int32_t n_in = first->node.n_in, n_out = first->node.n_out;
    const tutti_tensor factor = g->p->factor[members[0]];
    const size_t inputs = (size_t)(n * n_in + (factor.id != 0)), outputs = (size_t)(n * n_out);
    tutti_group *group = tutti_arena_alloc(arena, sizeof *group);
    tutti_node_info *nodes = tutti_arena_array(arena, (size_t)n, sizeof *nodes);
    tutti_tensor *tensors = tutti_arena_array(arena, inputs + outputs, sizeof *tensors);
    tutti_type *types = tutti_arena_array(arena, inputs + outputs, sizeof *types);
    const char *name = first->node.op->name;
    const char *label = n == 1 ? name : tutti_arena_printf(arena, "%s x %" PRId32, name, n);
    if (group == NULL || nodes == NULL || tensors == NULL || types == NULL || label == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t m = 0; m < n; m++) {
        nodes[m] = g->p->items[members[m]].node;
        for (int32_t i = 0; i < n_in; i++) {
            tensors[m * n_in + i] = nodes[m].in[i];
            types[m * n_in + i] = nodes[m].in_type[i];
        }
        for (int32_t i = 0; i < n_out; i++) {
            tensors[inputs + (size_t)(m * n_out + i)] = nodes[m].out[i];
            types[inputs + (size_t)(m * n_out + i)] = nodes[m].out_type[i];
        }
    }
    if (factor.id != 0) {
        tensors[inputs - 1] = factor;
        types[inputs - 1] = g->p->graph->tensors[factor.id].type;
    }
    *group = (tutti_group){nodes, n, factor, label};
    *out = *first;
    out->node = (tutti_node_info){.op = &tutti_op_group,
                                  .attr = group,
                                  .n_in = (int32_t)inputs,
                                  .n_out = (int32_t)outputs,
                                  .in = tensors,
                                  .out = tensors + inputs,
                                  .in_type = types,
                                  .out_type = types + inputs};
    return TUTTI_OK;
}

/* The item, or its group, to the new list. */
static tutti_status take(grouping *g, int32_t index, int32_t end) {
    const tutti_item *item = &g->p->items[index];
    int32_t members[TUTTI_GROUP_SLOTS], n = 1;
    members[0] = index;
    if ((item->node.op->flags & TUTTI_OP_GROUP) != 0 && item->node.n_in <= TUTTI_GROUP_INPUTS_MAX)
        n = find_members(g, index, end, members);
    for (int32_t m = 0; m < n; m++)
        g->taken[members[m]] = true;
    tutti_item *out = &g->items[g->n_items++];
    if (n > 1 || g->p->factor[index].id != 0)
        return make_group(g, members, n, out);
    *out = *item;
    return TUTTI_OK;
}

/* Items [begin, end), in their order where nothing is won by another. */
static tutti_status group_run(grouping *g, int32_t begin, int32_t end) {
    const int32_t n_before = g->n_items;
    g->base = g->deepest;
    for (int32_t k = begin; k < end; k++)
        find_depth(g, k);
    for (int32_t depth = g->base; depth <= g->deepest; depth++)
        for (int32_t k = begin; k < end; k++)
            if (g->depth[k] == depth && !g->taken[k])
                TUTTI_TRY(take(g, k, end));
    bool any = g->n_items - n_before != end - begin;
    for (int32_t k = begin; k < end; k++)
        any |= g->p->factor[k].id != 0;
    if (!any)
        memcpy(g->items + n_before, g->p->items + begin, (size_t)(end - begin) * sizeof *g->items);
    return TUTTI_OK;
}

static bool commits(const tutti_item *item) {
    return item->kind == TUTTI_ITEM_NODE && item->commit;
}

/* The bytes that a run's results may take. */
static int64_t held_limit(const tutti_passes *p) {
    int64_t largest = 0, updated = 0;
    for (int32_t k = 0; k < p->n_items; k++) {
        if (!commits(&p->items[k]))
            continue;
        const int64_t held = held_bytes(&p->items[k]);
        largest = held > largest ? held : largest;
        if (is_update(&p->items[k]))
            updated += bytes_of(p->items[k].node.in_type, p->items[k].node.n_in);
    }
    return largest > updated / HELD_PART ? largest : updated / HELD_PART;
}

static tutti_status group_all(grouping *g) {
    const tutti_passes *p = g->p;
    const int64_t limit = held_limit(p);
    for (int32_t k = 0; k < p->n_items;) {
        int32_t end = k;
        for (int64_t held = 0; end < p->n_items && commits(&p->items[end]); end++) {
            held += held_bytes(&p->items[end]);
            if (held > limit)
                break;
        }
        if (end == k)
            g->items[g->n_items++] = p->items[k++];
        else
            TUTTI_TRY(group_run(g, k, end));
        k = end > k ? end : k;
    }
    return TUTTI_OK;
}

tutti_status tutti_pass_group(tutti_passes *p) {
    const size_t n_tensors = (size_t)p->graph->n_tensors, n_items = (size_t)p->n_items;
    grouping g = {.p = p,
                  .root = tutti_arena_array(p->scratch, n_tensors, sizeof *g.root),
                  .wrote = tutti_arena_array(p->scratch, n_tensors, sizeof *g.wrote),
                  .read = tutti_arena_array(p->scratch, n_tensors, sizeof *g.read),
                  .depth = tutti_arena_array(p->scratch, n_items, sizeof *g.depth),
                  .taken = tutti_arena_array(p->scratch, n_items, sizeof(bool)),
                  .items = tutti_arena_array(p->scratch, n_items, sizeof *g.items)};
    if (g.root == NULL || g.wrote == NULL || g.read == NULL || g.depth == NULL || g.taken == NULL ||
        g.items == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (size_t i = 0; i < n_tensors; i++)
        g.root[i] = (uint32_t)i;
    TUTTI_TRY(group_all(&g));
    p->items = g.items;
    p->n_items = g.n_items;
    return TUTTI_OK;
}

const tutti_node_info *tutti_node_members(const tutti_node_info *node, int32_t *out_count) {
    const tutti_group *group = node->op == &tutti_op_group ? node->attr : NULL;
    *out_count = group != NULL ? group->n_members : 1;
    return group != NULL ? group->members : node;
}

/* The op. */

/* The launch of the first member, which tutti_launch_slots gives the operands of all. */
static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_group *group = node->attr;
    const tutti_node_info *first = &group->members[0];
    out->group = group;
    const tutti_status status = first->op->lower(first, device, out);
    out->group = NULL;
    TUTTI_TRY(status);
    tutti_candidate *only = &out->candidates[0];
    if (out->n_candidates != 1 || only->n_launches != 1 ||
        only->launches[0].n_args < TUTTI_GROUP_SLOTS * (first->n_in + 1) + (group->factor.id != 0))
        return tutti_op_fail(first, TUTTI_INTERNAL,
                             "TUTTI_OP_GROUP asks for one launch, by tutti_launch_slots");
    only->launches[0].attr = first->attr;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_group *group = node->attr;
    tutti_cost sum = {0};
    for (int32_t m = 0; m < group->n_members; m++) {
        const tutti_node_info *member = &group->members[m];
        const tutti_cost one = member->op->cost(member, n);
        sum.flops += one.flops;
        sum.bytes += one.bytes;
        if (group->factor.id != 0)
            sum.flops += (double)tutti_shape_count(&member->in_type[1].shape, n);
    }
    return sum;
}

/* The gradient times the factor; NULL when memory runs out. */
static float *scaled(const tutti_node_info *member, const float *grad, const float *factor) {
    const size_t count = (size_t)tutti_shape_count(&member->in_type[1].shape, 0);
    float *result = malloc((count + 1) * sizeof *result);
    for (size_t i = 0; i < count && result != NULL; i++)
        result[i] = (float)((double)grad[i] * (double)*factor);
    return result;
}

static void ref(const tutti_ref_call *call) {
    const tutti_group *group = call->node->attr;
    for (int32_t m = 0; m < group->n_members; m++) {
        const tutti_node_info *member = &group->members[m];
        void *in[TUTTI_GROUP_INPUTS_MAX];
        memcpy(in, call->in + m * member->n_in, (size_t)member->n_in * sizeof *in);
        float *grad = NULL;
        if (group->factor.id != 0) {
            in[1] = grad = scaled(member, in[1], call->in[call->node->n_in - 1]);
            if (grad == NULL) {
                memset(in[0], 0xFF, /* NaN */
                       4 * (size_t)tutti_shape_count(&member->in_type[0].shape, 0));
                continue;
            }
        }
        member->op->ref(&(tutti_ref_call){
            .node = member, .run = call->run, .in = in, .out = call->out + m * member->n_out});
        free(grad);
    }
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    (void)out;
    return tutti_op_fail(node, TUTTI_UNSUPPORTED, "made by the grouping pass only");
}

/* attr_size is 0: attr is a pointer into the program, no data to be hashed or copied. What a group
 * changes, its members tell (tutti_node_members). */
const tutti_op tutti_op_group = {.name = "group",
                                 .summary = "equal updates of several parameters",
                                 .n_in_min = 0,
                                 .n_in_max = 0,
                                 .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD,
                                 .infer = infer,
                                 .cost = cost,
                                 .lower = lower,
                                 .ref = ref};
