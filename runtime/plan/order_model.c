#include <string.h>

#include "base/status.h"

#include "plan/order.h"

/* While the model is made: lists by tensor, of which only roots have one. */
typedef struct maker {
    const tutti_graph *graph;
    const tutti_program *program;
    tutti_arena *arena, scratch;
    uint32_t *root;   /* by tensor, through aliases */
    int32_t *value;   /* by root, or -1 */
    int32_t *touched; /* by root: how many items; then behind the last of its list */
    int32_t *lists;   /* items by root, one list behind the other */
    int32_t *begin;   /* by root, in lists */
    int32_t *written; /* by root: the last item that wrote it, or -1 */
    int32_t *made;    /* by tensor: the item that makes it, or -1 */
    int32_t *seen;    /* by item: the last one found to need it, or -1 */
    int32_t *list;    /* room for one list */
    tutti_order_item *items;
    tutti_order_value *values;
    int32_t n_items, n_values;
    int32_t collective; /* the last one, or -1 */
} maker;

typedef void (*visit_fn)(maker *m, int32_t item, uint32_t root, bool writes);

/* Every root that an item touches, as often as it names it. */
static void visit(maker *m, int32_t k, visit_fn fn) {
    const tutti_item *item = &m->program->items[k];
    for (int32_t i = 0; i < item->n_tensors; i++)
        fn(m, k, m->root[item->tensors[i].id], true);
    if (item->kind != TUTTI_ITEM_NODE)
        return;
    for (int32_t i = 0; i < item->node.n_in; i++)
        fn(m, k, m->root[item->node.in[i].id], tutti_op_mutates(item->node.op, i));
    for (int32_t i = 0; i < item->node.n_out; i++) {
        const uint32_t id = item->node.out[i].id;
        fn(m, k, m->root[id], m->root[id] == id);
    }
}

static void count_touch(maker *m, int32_t k, uint32_t root, bool writes) {
    (void)writes;
    if (m->written[root] != k) { /* borrowed: the item that was counted last */
        m->touched[root]++;
        m->written[root] = k;
    }
}

static void list_touch(maker *m, int32_t k, uint32_t root, bool writes) {
    (void)writes;
    const int32_t end = m->touched[root];
    if (end == m->begin[root] || m->lists[end - 1] != k)
        m->lists[m->touched[root]++] = k;
}

static tutti_status list_touches(maker *m) {
    const size_t n = (size_t)m->graph->n_tensors;
    for (int32_t k = 0; k < m->n_items; k++)
        visit(m, k, count_touch);
    int32_t sum = 0;
    for (size_t id = 0; id < n; id++) {
        m->begin[id] = sum;
        sum += m->touched[id];
        m->touched[id] = m->begin[id];
        m->written[id] = -1;
    }
    m->lists = tutti_arena_array(m->arena, (size_t)sum + 1, sizeof *m->lists);
    if (m->lists == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t k = 0; k < m->n_items; k++)
        visit(m, k, list_touch);
    return TUTTI_OK;
}

static tutti_status make_values(maker *m, int64_t n, int64_t *out_fed) {
    const tutti_graph *graph = m->graph;
    const tutti_program *p = m->program;
    bool *stays = tutti_arena_array(&m->scratch, (size_t)graph->n_tensors, sizeof *stays);
    bool *used = tutti_arena_array(&m->scratch, (size_t)graph->n_tensors, sizeof *used);
    m->values = tutti_arena_array(m->arena, (size_t)graph->n_tensors, sizeof *m->values);
    if (stays == NULL || used == NULL || m->values == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t i = 0; i < p->n_fetches; i++)
        stays[m->root[p->fetches[i].id]] = true;
    for (int32_t k = 0; k < p->n_items; k++) {
        const tutti_item *item = &p->items[k];
        /* The host may read a summand while later items run. */
        for (int32_t i = 0; i < item->n_tensors; i++)
            stays[m->root[item->tensors[i].id]] = true;
        for (int32_t i = 0; k >= m->n_items && i < item->node.n_in; i++)
            stays[m->root[item->node.in[i].id]] = true;
    }
    *out_fed = 0;
    for (uint32_t id = 1; id < (uint32_t)graph->n_tensors; id++) {
        const int32_t touched = m->touched[id] - m->begin[id];
        const bool fed = graph->tensors[id].kind == TUTTI_TENSOR_INPUT;
        m->value[id] = -1;
        if (m->root[id] != id || tutti_tensor_is_fixed(graph, id) ||
            (touched == 0 && !(fed && stays[id])))
            continue;
        const int64_t bytes = tutti_shape_count(&graph->tensors[id].type.shape, n) *
                              (int64_t)tutti_dtype_size_bytes(p->dtype[id]);
        m->value[id] = m->n_values;
        m->values[m->n_values++] =
            (tutti_order_value){bytes, m->lists + m->begin[id], touched, stays[id]};
        *out_fed += fed ? bytes : 0;
    }
    return TUTTI_OK;
}

static void add_need(maker *m, tutti_order_item *item, int32_t k, int32_t before) {
    if (before < 0 || before == k || m->seen[before] == k)
        return;
    m->seen[before] = k;
    m->list[item->n_needs++] = before;
}

static void need_touch(maker *m, int32_t k, uint32_t root, bool writes) {
    tutti_order_item *item = &m->items[k];
    add_need(m, item, k, m->written[root]);
    for (int32_t i = m->begin[root]; writes && i < m->touched[root] && m->lists[i] < k; i++)
        add_need(m, item, k, m->lists[i]);
}

static void note_write(maker *m, int32_t k, uint32_t root, bool writes) {
    if (writes)
        m->written[root] = k;
}

static tutti_status make_needs(maker *m, int32_t k) {
    tutti_order_item *item = &m->items[k];
    const tutti_item *from = &m->program->items[k];
    const tutti_node_info *node = &from->node;
    const bool is_node = from->kind == TUTTI_ITEM_NODE;
    visit(m, k, need_touch);
    for (int32_t i = 0; is_node && i < node->n_in; i++)
        add_need(m, item, k, m->made[node->in[i].id]);
    if (!is_node) { /* devices meet in the same order */
        add_need(m, item, k, m->collective);
        m->collective = k;
    }
    visit(m, k, note_write);
    for (int32_t i = 0; is_node && i < node->n_out; i++)
        m->made[node->out[i].id] = k;
    item->needs = tutti_arena_copy(m->arena, m->list, (size_t)item->n_needs * sizeof *m->list + 1);
    return item->needs == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}

/* Distinct values of tensors. */
static int32_t list_values(maker *m, const tutti_tensor *tensors, int32_t count, bool made,
                           int32_t *out) {
    int32_t n = 0;
    for (int32_t i = 0; i < count; i++) {
        const uint32_t root = m->root[tensors[i].id];
        const int32_t value = m->value[root];
        bool listed = value < 0 || (made && root != tensors[i].id);
        for (int32_t k = 0; k < n; k++)
            listed |= out[k] == value;
        if (!listed)
            out[n++] = value;
    }
    return n;
}

static tutti_status make_item(maker *m, int32_t k) {
    tutti_order_item *item = &m->items[k];
    const tutti_item *from = &m->program->items[k];
    const tutti_node_info *node = &from->node;
    if (from->kind != TUTTI_ITEM_NODE)
        return TUTTI_OK; /* what it touches stays */
    int32_t *reads = tutti_arena_array(m->arena, (size_t)node->n_in + 1, sizeof *reads);
    int32_t *makes = tutti_arena_array(m->arena, (size_t)node->n_out + 1, sizeof *makes);
    if (reads == NULL || makes == NULL)
        return TUTTI_OUT_OF_MEMORY;
    item->reads = reads;
    item->makes = makes;
    item->n_reads = list_values(m, node->in, node->n_in, false, reads);
    item->n_makes = from->alias || (node->op->flags & (TUTTI_OP_ALIAS | TUTTI_OP_UPDATE)) != 0
                        ? 0
                        : list_values(m, node->out, node->n_out, true, makes);
    bool *takes = tutti_arena_array(m->arena, (size_t)item->n_makes * (size_t)item->n_reads + 1,
                                    sizeof *takes);
    if (takes == NULL)
        return TUTTI_OUT_OF_MEMORY;
    item->takes = takes;
    for (int32_t o = 0; o < node->n_out; o++)
        for (int32_t i = 0; i < node->n_in; i++) {
            if (!tutti_may_write_over(m->root, node, i, o))
                continue;
            for (int32_t x = 0; x < item->n_makes; x++)
                for (int32_t y = 0; y < item->n_reads; y++)
                    takes[x * item->n_reads + y] |=
                        makes[x] == m->value[m->root[node->out[o].id]] &&
                        reads[y] == m->value[m->root[node->in[i].id]];
        }
    return TUTTI_OK;
}

static tutti_status make_next(maker *m) {
    for (int32_t k = 0; k < m->n_items; k++)
        for (int32_t i = 0; i < m->items[k].n_needs; i++)
            m->items[m->items[k].needs[i]].n_next++;
    for (int32_t k = 0; k < m->n_items; k++) {
        tutti_order_item *item = &m->items[k];
        item->next = tutti_arena_array(m->arena, (size_t)item->n_next + 1, sizeof *item->next);
        if (item->next == NULL)
            return TUTTI_OUT_OF_MEMORY;
        item->n_next = 0;
    }
    for (int32_t k = 0; k < m->n_items; k++)
        for (int32_t i = 0; i < m->items[k].n_needs; i++) {
            tutti_order_item *before = &m->items[m->items[k].needs[i]];
            ((int32_t *)before->next)[before->n_next++] = k;
        }
    return TUTTI_OK;
}

/* What an item cannot do without: all that it reads, what it makes elsewhere, and its scratch. */
static int64_t least_of(const maker *m, int64_t fed) {
    int64_t least = fed;
    for (int32_t k = 0; k < m->n_items; k++) {
        const tutti_order_item *item = &m->items[k];
        int64_t bytes = item->scratch_bytes;
        for (int32_t i = 0; i < item->n_reads; i++)
            bytes += m->values[item->reads[i]].bytes;
        for (int32_t x = 0; x < item->n_makes; x++) {
            bool may = false;
            for (int32_t y = 0; y < item->n_reads; y++)
                may |= item->takes[x * item->n_reads + y];
            bytes += may ? 0 : m->values[item->makes[x]].bytes;
        }
        least = bytes > least ? bytes : least;
    }
    return least;
}

static tutti_status make(maker *m, int64_t n, const int64_t *scratch_bytes,
                         tutti_order_model *out) {
    const tutti_program *p = m->program;
    const size_t n_tensors = (size_t)m->graph->n_tensors, n_items = (size_t)p->n_items;
    int32_t **const lists[] = {&m->value, &m->touched, &m->begin, &m->written, &m->made};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        *lists[i] = tutti_arena_array(&m->scratch, n_tensors, sizeof **lists[i]);
        if (*lists[i] == NULL)
            return TUTTI_OUT_OF_MEMORY;
    }
    m->root = tutti_arena_array(&m->scratch, n_tensors, sizeof *m->root);
    m->seen = tutti_arena_array(&m->scratch, n_items + 1, sizeof *m->seen);
    m->list = tutti_arena_array(&m->scratch, n_items + 1, sizeof *m->list);
    m->items = tutti_arena_array(m->arena, n_items + 1, sizeof *m->items);
    if (m->root == NULL || m->seen == NULL || m->list == NULL || m->items == NULL)
        return TUTTI_OUT_OF_MEMORY;
    while (m->n_items < p->n_items && !p->items[m->n_items].commit)
        m->n_items++;
    tutti_liveness_roots(m->graph, p, true, m->root);
    memset(m->seen, 0xFF, (n_items + 1) * sizeof *m->seen);
    memset(m->written, 0xFF, n_tensors * sizeof *m->written);
    memset(m->made, 0xFF, n_tensors * sizeof *m->made);
    TUTTI_TRY(list_touches(m));
    TUTTI_TRY(make_values(m, n, &out->fed_bytes));
    for (int32_t k = 0; k < m->n_items; k++) {
        m->items[k].scratch_bytes = scratch_bytes != NULL ? scratch_bytes[k] : 0;
        TUTTI_TRY(make_needs(m, k));
        TUTTI_TRY(make_item(m, k));
    }
    TUTTI_TRY(make_next(m));
    out->items = m->items;
    out->n_items = m->n_items;
    out->values = m->values;
    out->n_values = m->n_values;
    out->least = least_of(m, out->fed_bytes);
    return TUTTI_OK;
}

tutti_status tutti_order_model_make(const tutti_graph *graph, const tutti_program *program,
                                    int64_t n, const int64_t *scratch_bytes, tutti_arena *arena,
                                    tutti_order_model *out) {
    maker m = {.graph = graph, .program = program, .arena = arena, .collective = -1};
    *out = (tutti_order_model){0};
    const tutti_status status = make(&m, n, scratch_bytes, out);
    tutti_arena_free(&m.scratch);
    return status;
}
