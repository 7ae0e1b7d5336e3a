#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "plan/order.h"

/* A beam search: of the sets of items that can be done after k items, the best few go on. Two orders that
 * did the same items differ in their peak only, so the better one stands for both. With few items no set
 * is dropped, and the search is exhaustive. */
#define BEAM_WORK 32768 /* sets that go on, over all lengths */
#define BEAM_MIN  4
#define BEAM_MAX  4096
#define READY_MAX 24 /* items tried behind one set: the first of those that are ready */

typedef struct state {
    uint64_t *done; /* bits */
    int32_t *ready; /* ascending */
    int32_t n_ready;
    int64_t live, peak;
    uint64_t hash; /* of done */
    int32_t trace; /* index of its last step */
} state;

typedef struct step {
    int32_t item, before; /* index of the step before, or -1 */
} step;

/* A state and an item that is run behind it. */
typedef struct choice {
    int32_t state, item;
    int64_t live, peak;
    uint64_t hash;
    int32_t rank; /* in the order of making, the last resort between equals */
} choice;

typedef struct search {
    const tutti_order_model *model;
    int64_t limit;
    int32_t width, words;
    state *now, *next;
    int32_t n_now, n_next;
    choice *choices;
    int32_t n_choices;
    uint64_t *hashes; /* of the states that go on; a table */
    int32_t n_hashes; /* a power of two */
    step *steps;
    int32_t n_steps;
} search;

static bool has(const uint64_t *bits, int32_t i) {
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

/* A number for an item, so that sets have one (splitmix64: Steele, Lea, Flood 2014). */
static uint64_t number_of(int32_t item) {
    uint64_t z = ((uint64_t)item + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
}

static bool ends_with(const tutti_order_model *model, const uint64_t *done, int32_t value,
                      int32_t item) {
    const tutti_order_value *v = &model->values[value];
    for (int32_t i = v->n_touched - 1; !v->stays && i >= 0; i--)
        if (v->touched_by[i] != item && !has(done, v->touched_by[i]))
            return false;
    return !v->stays;
}

int64_t tutti_order_run(const tutti_order_model *model, const uint64_t *done, int32_t item,
                        int64_t live, int64_t *out_during) {
    const tutti_order_item *it = &model->items[item];
    int64_t made = 0, ended = 0;
    uint64_t ends = 0; /* of the first 64 operands: the others are not written over */
    for (int32_t y = 0; y < it->n_reads; y++)
        if (ends_with(model, done, it->reads[y], item)) {
            ended += model->values[it->reads[y]].bytes;
            ends |= y < 64 ? (uint64_t)1 << y : 0;
        }
    for (int32_t x = 0; x < it->n_makes; x++) {
        const int64_t bytes = model->values[it->makes[x]].bytes;
        int32_t y = 0;
        while (y < it->n_reads && y < 64 &&
               (!it->takes[x * it->n_reads + y] || (ends >> y & 1) == 0))
            y++;
        if (y < it->n_reads && y < 64) {
            ends &= ~((uint64_t)1 << y);
            ended -= bytes; /* goes on under another name */
        } else {
            made += bytes;
        }
        if (ends_with(model, done, it->makes[x], item))
            ended += bytes;
    }
    *out_during = live + made + it->scratch_bytes;
    return live + made - ended;
}

tutti_status tutti_order_peak(const tutti_order_model *model, const int32_t *order,
                              int64_t *out_bytes) {
    uint64_t *done = calloc((size_t)model->n_items / 64 + 1, sizeof *done);
    if (done == NULL)
        return tutti_fail_memory((size_t)model->n_items / 8 + 8, "the order of items");
    int64_t live = model->fed_bytes, during;
    *out_bytes = live;
    for (int32_t i = 0; i < model->n_items; i++) {
        live = tutti_order_run(model, done, order[i], live, &during);
        *out_bytes = during > *out_bytes ? during : *out_bytes;
        done[order[i] / 64] |= (uint64_t)1 << (order[i] % 64);
    }
    free(done);
    return TUTTI_OK;
}

/* What can be done behind a state. An item that raises nothing is run at once: in any order that runs it
 * later, running it now is no worse. */
static void expand(search *s, int32_t index) {
    const state *from = &s->now[index];
    const int32_t first = s->n_choices;
    for (int32_t i = 0; i < from->n_ready && i < READY_MAX; i++) {
        const int32_t item = from->ready[i];
        int64_t during;
        const int64_t live = tutti_order_run(s->model, from->done, item, from->live, &during);
        const bool free_of_cost = live <= from->live && during <= from->peak;
        if (!free_of_cost && during > s->limit)
            continue;
        if (free_of_cost)
            s->n_choices = first;
        s->choices[s->n_choices] = (choice){index,
                                            item,
                                            live,
                                            during > from->peak ? during : from->peak,
                                            from->hash ^ number_of(item),
                                            s->n_choices};
        s->n_choices++;
        if (free_of_cost)
            return;
    }
}

static int compare(const void *a, const void *b) {
    const choice *x = a, *y = b;
    if (x->peak != y->peak)
        return x->peak < y->peak ? -1 : 1;
    if (x->live != y->live)
        return x->live < y->live ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* False when the set goes on already. */
static bool note_set(search *s, uint64_t hash) {
    const uint64_t mask = (uint64_t)s->n_hashes - 1;
    const uint64_t key = hash == 0 ? 1 : hash; /* 0: an empty place */
    uint64_t at = key & mask;
    while (s->hashes[at] != 0 && s->hashes[at] != key)
        at = (at + 1) & mask;
    const bool fresh = s->hashes[at] == 0;
    s->hashes[at] = key;
    return fresh;
}

static void add_ready(state *to, int32_t item) {
    int32_t i = to->n_ready++;
    for (; i > 0 && to->ready[i - 1] > item; i--)
        to->ready[i] = to->ready[i - 1];
    to->ready[i] = item;
}

static bool is_ready(const tutti_order_item *item, const uint64_t *done) {
    for (int32_t i = 0; i < item->n_needs; i++)
        if (!has(done, item->needs[i]))
            return false;
    return true;
}

static void go_on(search *s, const choice *c) {
    const state *from = &s->now[c->state];
    state *to = &s->next[s->n_next++];
    memcpy(to->done, from->done, (size_t)s->words * sizeof *to->done);
    to->done[c->item / 64] |= (uint64_t)1 << (c->item % 64);
    to->n_ready = 0;
    for (int32_t i = 0; i < from->n_ready; i++)
        if (from->ready[i] != c->item)
            to->ready[to->n_ready++] = from->ready[i];
    const tutti_order_item *item = &s->model->items[c->item];
    for (int32_t i = 0; i < item->n_next; i++)
        if (is_ready(&s->model->items[item->next[i]], to->done))
            add_ready(to, item->next[i]);
    to->live = c->live;
    to->peak = c->peak;
    to->hash = c->hash;
    s->steps[s->n_steps] = (step){c->item, from->trace};
    to->trace = s->n_steps++;
}

static void search_level(search *s) {
    s->n_choices = 0;
    for (int32_t i = 0; i < s->n_now; i++)
        expand(s, i);
    qsort(s->choices, (size_t)s->n_choices, sizeof *s->choices, compare);
    memset(s->hashes, 0, (size_t)s->n_hashes * sizeof *s->hashes);
    s->n_next = 0;
    for (int32_t i = 0; i < s->n_choices && s->n_next < s->width; i++)
        if (note_set(s, s->choices[i].hash))
            go_on(s, &s->choices[i]);
    state *swap = s->now;
    s->now = s->next;
    s->next = swap;
    s->n_now = s->n_next;
}

static state *make_states(tutti_arena *arena, int32_t width, int32_t words, int32_t n_items) {
    state *states = tutti_arena_array(arena, (size_t)width, sizeof *states);
    uint64_t *done = tutti_arena_array(arena, (size_t)width * (size_t)words, sizeof *states->done);
    int32_t *ready =
        tutti_arena_array(arena, (size_t)width * (size_t)n_items, sizeof *states->ready);
    if (states == NULL || done == NULL || ready == NULL)
        return NULL;
    for (int32_t i = 0; i < width; i++)
        states[i] = (state){.done = done + (size_t)i * (size_t)words,
                            .ready = ready + (size_t)i * (size_t)n_items};
    return states;
}

static tutti_status run(search *s, tutti_arena *arena, int32_t *order, bool *out_found) {
    const int32_t n = s->model->n_items;
    s->words = n / 64 + 1;
    s->width = BEAM_WORK / n;
    s->width = s->width < BEAM_MIN ? BEAM_MIN : s->width > BEAM_MAX ? BEAM_MAX : s->width;
    for (s->n_hashes = 64; s->n_hashes < 2 * s->width;)
        s->n_hashes *= 2;
    s->now = make_states(arena, s->width, s->words, n);
    s->next = make_states(arena, s->width, s->words, n);
    s->choices = tutti_arena_array(arena, (size_t)s->width * READY_MAX, sizeof *s->choices);
    s->hashes = tutti_arena_array(arena, (size_t)s->n_hashes, sizeof *s->hashes);
    s->steps = tutti_arena_array(arena, (size_t)s->width * (size_t)n, sizeof *s->steps);
    if (!s->now || !s->next || !s->choices || !s->hashes || !s->steps)
        return TUTTI_OUT_OF_MEMORY;
    state *begin = &s->now[0];
    begin->live = s->model->fed_bytes;
    begin->peak = s->model->least; /* below it nothing is gained */
    begin->trace = -1;
    for (int32_t i = 0; i < n; i++)
        if (s->model->items[i].n_needs == 0)
            begin->ready[begin->n_ready++] = i;
    s->n_now = 1;
    for (int32_t i = 0; i < n && s->n_now > 0; i++)
        search_level(s);
    *out_found = s->n_now > 0 && s->now[0].peak <= s->limit;
    int32_t at = *out_found ? s->now[0].trace : -1;
    for (int32_t i = n - 1; i >= 0 && at >= 0; i--) {
        order[i] = s->steps[at].item;
        at = s->steps[at].before;
    }
    return TUTTI_OK;
}

tutti_status tutti_order_search(const tutti_order_model *model, int64_t limit, int32_t *order,
                                bool *out_found) {
    *out_found = false;
    if (model->n_items == 0 || model->least > limit)
        return TUTTI_OK;
    search s = {.model = model, .limit = limit};
    tutti_arena arena = {0};
    const tutti_status status = run(&s, &arena, order, out_found);
    tutti_arena_free(&arena);
    return status;
}
