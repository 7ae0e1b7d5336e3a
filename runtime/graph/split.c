/* Splits the work over the devices: where each node runs, and which tensors are summed over the
 * devices or sent to all of them. See program.h for the rules. */
#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "graph/passes.h"

typedef enum kind { WHOLE, BATCHED, PARTIAL } kind;

typedef struct bucket {
    tutti_tensor *tensors;
    int32_t count;
    uint64_t bytes;
} bucket;

typedef struct split {
    tutti_passes *p;
    kind *kind;          /* by tensor, as its readers find it */
    uint32_t *root;      /* by tensor: the tensor whose memory it shares */
    bool *reduced;       /* by root */
    bool *each_reader;   /* by root: something that runs on each device reads it */
    bool *each, *commit; /* by node */
    bool *summand;       /* by tensor: every device computes a summand of it */
    int32_t *pending;    /* by root: commit nodes not emitted yet that read it */
    bool *waiting;       /* by root: in a bucket */
    bucket buckets[2];   /* by tutti_place */
    uint64_t bucket_limit;
    int32_t every; /* of the broadcasts that are collected */
} split;

static bool is_update(const split *s, int32_t node) {
    return (s->p->graph->nodes[node].op->flags & TUTTI_OP_UPDATE) != 0;
}

static int64_t sample_count(const split *s, tutti_tensor tensor) {
    return tutti_shape_sample_count(&s->p->graph->tensors[tensor.id].type.shape);
}

/* True when the node's results are summands of the results for the sum of its inputs. */
static bool passes_partial(const split *s, int32_t index) {
    const tutti_node *node = &s->p->graph->nodes[index];
    const tutti_tensor *in = s->p->in[index];
    const int32_t n_in = s->p->n_in[index];
    if (((node->op->flags & TUTTI_OP_LINEAR) == 0 && !s->p->alias[index]) || n_in == 0 ||
        is_update(s, index))
        return false;
    int64_t elements = 0;
    for (int32_t i = 0; i < n_in; i++) {
        if (s->kind[in[i].id] != PARTIAL)
            return false;
        elements += sample_count(s, in[i]);
    }
    /* Summing before is cheaper when the node makes more elements of few. */
    for (int32_t i = 0; i < node->n_out; i++)
        if (s->p->graph->tensors[node->out[i].id].type.shape.batched ||
            sample_count(s, node->out[i]) > elements)
            return false;
    return true;
}

/* Demands that a partial tensor is summed; true when this is new. */
static bool demand(split *s, tutti_tensor tensor) {
    const uint32_t root = s->root[tensor.id];
    if (s->kind[tensor.id] != PARTIAL || s->reduced[root])
        return false;
    s->reduced[root] = true;
    return true;
}

/* One sweep with what is known to be summed; true when more became known. */
static bool classify(split *s) {
    const tutti_graph *graph = s->p->graph;
    bool changed = false;
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        if (!s->p->selected[n])
            continue;
        const tutti_node *node = &graph->nodes[n];
        const bool passes = passes_partial(s, n);
        for (int32_t i = 0; !passes && i < s->p->n_in[n]; i++)
            changed |= demand(s, s->p->in[n][i]);
        for (int32_t i = 0; i < node->n_out; i++) {
            const tutti_tensor_record *record = tutti_graph_record(graph, node->out[i]);
            const uint32_t id = node->out[i].id;
            const bool partial = passes || (record->batch_sum && !s->p->alias[n]);
            s->summand[id] = partial;
            s->kind[id] = record->type.shape.batched            ? BATCHED
                          : partial && !s->reduced[s->root[id]] ? PARTIAL
                                                                : WHOLE;
        }
    }
    for (int32_t i = 0; i < s->p->n_fetches; i++)
        changed |= demand(s, s->p->fetches[i]);
    return changed;
}

/* Places nodes, from the last to the first: a node is needed where its readers are. */
static tutti_status place(split *s) {
    const tutti_graph *graph = s->p->graph;
    bool *needed = tutti_arena_array(s->p->scratch, (size_t)graph->n_tensors, sizeof *needed);
    bool *compute = tutti_arena_array(s->p->scratch, (size_t)graph->n_tensors, sizeof *compute);
    if (needed == NULL || compute == NULL)
        return TUTTI_OUT_OF_MEMORY;
    memcpy(compute, s->p->fetched, (size_t)graph->n_tensors * sizeof *compute);
    for (int32_t n = graph->n_nodes - 1; n >= 0; n--) {
        if (!s->p->selected[n])
            continue;
        const tutti_node *node = &graph->nodes[n];
        const tutti_tensor *in = s->p->in[n];
        const int32_t n_in = s->p->n_in[n];
        bool each = false, wanted = false;
        for (int32_t i = 0; i < node->n_out; i++) {
            const uint32_t id = node->out[i].id;
            each |= s->kind[id] == BATCHED || s->summand[id] || needed[id];
            wanted |= compute[node->out[i].id];
        }
        for (int32_t i = 0; i < n_in; i++)
            each |= graph->tensors[in[i].id].type.shape.batched;
        if (each && is_update(s, n))
            return tutti_fail(TUTTI_UNSUPPORTED,
                              "%s (node %" PRId32 "): an update runs once per step, it cannot "
                              "have a batched operand nor feed nodes of the step",
                              node->op->name, n);
        s->each[n] = each;
        s->commit[n] = is_update(s, n) || (!each && !wanted);
        for (int32_t i = 0; i < n_in; i++) {
            needed[in[i].id] |= each;
            compute[in[i].id] |= !s->commit[n];
            s->each_reader[s->root[in[i].id]] |= each;
        }
    }
    /* What reads the result of an update comes after it. */
    bool *after = needed;
    memset(after, 0, (size_t)graph->n_tensors * sizeof *after);
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        if (!s->p->selected[n])
            continue;
        const tutti_node *node = &graph->nodes[n];
        bool late = is_update(s, n);
        for (int32_t i = 0; i < s->p->n_in[n]; i++)
            late |= after[s->p->in[n][i].id];
        s->commit[n] |= late;
        for (int32_t i = 0; i < node->n_out; i++) {
            after[node->out[i].id] = late;
            if (late && s->p->fetched[node->out[i].id])
                return tutti_fail(TUTTI_UNSUPPORTED,
                                  "%s: comes after the updates of a step, when its outputs have "
                                  "been read already",
                                  tutti_graph_tensor_name(graph, node->out[i]));
        }
    }
    return TUTTI_OK;
}

static tutti_status emit_node(split *s, int32_t index) {
    const tutti_node *node = &s->p->graph->nodes[index];
    tutti_type *types =
        tutti_arena_array(s->p->arena, (size_t)(node->n_in + node->n_out) + 1, sizeof *types);
    if (types == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const tutti_tensor *in = s->p->in[index];
    tutti_item *item = &s->p->items[s->p->n_items++];
    *item = (tutti_item){.kind = TUTTI_ITEM_NODE,
                         .place = s->each[index] ? TUTTI_PLACE_EACH : TUTTI_PLACE_OWNER,
                         .node = tutti_node_view(s->p->graph, node, types),
                         .alias = s->p->alias[index],
                         .commit = s->commit[index],
                         .every = node->every};
    item->node.in_type += in - node->in;
    item->node.in = in;
    item->node.n_in = s->p->n_in[index];
    return TUTTI_OK;
}

static tutti_status flush(split *s, tutti_item_kind item_kind, tutti_place where) {
    bucket *b = &s->buckets[where];
    if (b->count == 0)
        return TUTTI_OK;
    tutti_tensor *tensors =
        tutti_arena_copy(s->p->arena, b->tensors, (size_t)b->count * sizeof *tensors);
    if (tensors == NULL)
        return TUTTI_OUT_OF_MEMORY;
    s->p->items[s->p->n_items++] = (tutti_item){.kind = item_kind,
                                                .place = where,
                                                .commit = item_kind == TUTTI_ITEM_BROADCAST,
                                                .every = s->every,
                                                .tensors = tensors,
                                                .n_tensors = b->count};
    for (int32_t i = 0; i < b->count; i++)
        s->waiting[b->tensors[i].id] = false;
    b->count = 0;
    b->bytes = 0;
    s->bucket_limit = TUTTI_BUCKET_BYTES;
    return TUTTI_OK;
}

static tutti_status add_to_bucket(split *s, tutti_item_kind item_kind, tutti_place where,
                                  tutti_tensor tensor) {
    bucket *b = &s->buckets[where];
    const uint64_t bytes = (uint64_t)sample_count(s, tensor) * sizeof(float);
    if (b->bytes + bytes > s->bucket_limit)
        TUTTI_TRY(flush(s, item_kind, where));
    b->tensors[b->count++] = tensor;
    b->bytes += bytes;
    s->waiting[tensor.id] = true;
    return b->bytes >= s->bucket_limit ? flush(s, item_kind, where) : TUTTI_OK;
}

/* What runs on each device, with the sums as soon as a bucket is full or a reader needs one. */
static tutti_status emit_each(split *s) {
    const tutti_graph *graph = s->p->graph;
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        if (!s->p->selected[n] || !s->each[n])
            continue;
        const tutti_node *node = &graph->nodes[n];
        for (int32_t i = 0; i < s->p->n_in[n]; i++)
            if (s->waiting[s->root[s->p->in[n][i].id]])
                TUTTI_TRY(flush(s, TUTTI_ITEM_REDUCE, TUTTI_PLACE_EACH));
        TUTTI_TRY(emit_node(s, n));
        for (int32_t i = 0; i < node->n_out; i++) {
            const uint32_t id = node->out[i].id;
            if (s->root[id] == id && s->summand[id] && s->reduced[id])
                TUTTI_TRY(add_to_bucket(s, TUTTI_ITEM_REDUCE,
                                        s->each_reader[id] ? TUTTI_PLACE_EACH : TUTTI_PLACE_OWNER,
                                        node->out[i]));
        }
    }
    TUTTI_TRY(flush(s, TUTTI_ITEM_REDUCE, TUTTI_PLACE_EACH));
    return flush(s, TUTTI_ITEM_REDUCE, TUTTI_PLACE_OWNER);
}

/* Adds `by` to the pending readers of each root that the node reads, once per root. */
static void count_reads(split *s, int32_t index, int32_t by) {
    const tutti_tensor *in = s->p->in[index];
    for (int32_t i = 0; i < s->p->n_in[index]; i++) {
        bool seen = false;
        for (int32_t k = 0; k < i; k++)
            seen |= s->root[in[k].id] == s->root[in[i].id];
        if (!seen)
            s->pending[s->root[in[i].id]] += by;
    }
}

/* True when all that the node reads is there and nobody else waits for what it changes. */
static bool is_ready(const split *s, int32_t index, const bool *done) {
    const tutti_graph *graph = s->p->graph;
    const tutti_node *node = &graph->nodes[index];
    const tutti_tensor *in = s->p->in[index];
    for (int32_t i = 0; i < s->p->n_in[index]; i++) {
        const int32_t producer = graph->tensors[in[i].id].node;
        if (producer >= 0 && !done[producer])
            return false;
        if (tutti_op_mutates(node->op, i) && s->pending[s->root[in[i].id]] > 1)
            return false;
    }
    return true;
}

static tutti_status emit_commit(split *s) {
    const tutti_graph *graph = s->p->graph;
    bool *done = tutti_arena_array(s->p->scratch, (size_t)graph->n_nodes, sizeof *done);
    if (done == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int32_t left = 0;
    for (int32_t n = 0; n < graph->n_nodes; n++) {
        done[n] = !s->p->selected[n] || !s->commit[n];
        left += !done[n];
        if (!done[n])
            count_reads(s, n, 1);
    }
    while (left > 0) {
        const int32_t before = left;
        int32_t stuck = -1;
        for (int32_t n = 0; n < graph->n_nodes; n++) {
            if (done[n])
                continue;
            if (!is_ready(s, n, done)) {
                stuck = n;
                continue;
            }
            TUTTI_TRY(emit_node(s, n));
            count_reads(s, n, -1);
            done[n] = true;
            left--;
        }
        if (left == before)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "%s (node %" PRId32 "): updates read what each other changes",
                              graph->nodes[stuck].op->name, stuck);
    }
    return TUTTI_OK;
}

/* What an update changed goes to every device, if nodes of the step can read it there. */
static tutti_status emit_broadcasts(split *s) {
    const tutti_graph *graph = s->p->graph;
    const int32_t n_items = s->p->n_items;
    s->bucket_limit = TUTTI_BUCKET_BYTES;
    for (int32_t k = 0; k < n_items; k++) {
        const tutti_node_info node = s->p->items[k].node;
        if (s->p->items[k].kind != TUTTI_ITEM_NODE)
            continue;
        for (int32_t i = 0; i < node.n_in; i++) {
            if (!tutti_op_mutates(node.op, i) || !tutti_graph_is_shared(graph, node.in[i]))
                continue;
            if (s->p->items[k].every != s->every)
                TUTTI_TRY(flush(s, TUTTI_ITEM_BROADCAST, TUTTI_PLACE_EACH));
            s->every = s->p->items[k].every;
            TUTTI_TRY(add_to_bucket(s, TUTTI_ITEM_BROADCAST, TUTTI_PLACE_EACH, node.in[i]));
        }
    }
    return flush(s, TUTTI_ITEM_BROADCAST, TUTTI_PLACE_EACH);
}

bool tutti_graph_is_shared(const tutti_graph *graph, tutti_tensor tensor) {
    const tutti_tensor_kind what = graph->tensors[tensor.id].kind;
    if (what == TUTTI_TENSOR_PARAM)
        return true;
    for (int32_t n = 0; n < graph->n_nodes && what == TUTTI_TENSOR_STATE; n++) {
        const tutti_node *node = &graph->nodes[n];
        for (int32_t i = 0; (node->op->flags & TUTTI_OP_UPDATE) == 0 && i < node->n_in; i++)
            if (node->in[i].id == tensor.id)
                return true;
    }
    return false;
}

static tutti_status emit(split *s) {
    const tutti_graph *graph = s->p->graph;
    /* Each tensor is summed and sent at most once. */
    s->p->items = tutti_arena_array(
        s->p->scratch, (size_t)graph->n_nodes + 2 * (size_t)graph->n_tensors, sizeof *s->p->items);
    for (int32_t b = 0; b < 2; b++)
        s->buckets[b].tensors =
            tutti_arena_array(s->p->scratch, (size_t)graph->n_tensors, sizeof(tutti_tensor));
    if (s->p->items == NULL || s->buckets[0].tensors == NULL || s->buckets[1].tensors == NULL)
        return TUTTI_OUT_OF_MEMORY;
    s->bucket_limit = TUTTI_BUCKET_FIRST_BYTES;
    TUTTI_TRY(emit_each(s));
    for (int32_t n = 0; n < graph->n_nodes; n++)
        if (s->p->selected[n] && !s->each[n] && !s->commit[n])
            TUTTI_TRY(emit_node(s, n));
    TUTTI_TRY(emit_commit(s));
    return emit_broadcasts(s);
}

tutti_status tutti_pass_split(tutti_passes *p) {
    const tutti_graph *graph = p->graph;
    const size_t n_tensors = (size_t)graph->n_tensors, n_nodes = (size_t)graph->n_nodes;
    split s = {.p = p,
               .kind = tutti_arena_array(p->scratch, n_tensors, sizeof *s.kind),
               .root = tutti_arena_array(p->scratch, n_tensors, sizeof *s.root),
               .reduced = tutti_arena_array(p->scratch, n_tensors, sizeof(bool)),
               .each_reader = tutti_arena_array(p->scratch, n_tensors, sizeof(bool)),
               .each = tutti_arena_array(p->scratch, n_nodes, sizeof(bool)),
               .commit = tutti_arena_array(p->scratch, n_nodes, sizeof(bool)),
               .summand = tutti_arena_array(p->scratch, n_tensors, sizeof(bool)),
               .pending = tutti_arena_array(p->scratch, n_tensors, sizeof *s.pending),
               .waiting = tutti_arena_array(p->scratch, n_tensors, sizeof(bool))};
    if (s.kind == NULL || s.root == NULL || s.reduced == NULL || s.each_reader == NULL ||
        s.each == NULL || s.commit == NULL || s.summand == NULL || s.pending == NULL ||
        s.waiting == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t i = 0; i < graph->n_tensors; i++) {
        s.root[i] = (uint32_t)i;
        s.kind[i] = graph->tensors[i].type.shape.batched ? BATCHED : WHOLE;
    }
    for (int32_t n = 0; n < graph->n_nodes; n++)
        if (p->alias[n])
            s.root[graph->nodes[n].out[0].id] = s.root[p->in[n][0].id];
    while (classify(&s)) {
    }
    TUTTI_TRY(place(&s));
    return emit(&s);
}
