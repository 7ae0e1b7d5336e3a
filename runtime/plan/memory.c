#include "plan/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"

/* Greedy placement depends only on the order in which blocks are placed, and some order gives the
 * optimum (the blocks of an optimal layout by offset). So: try a few orders that work well, then
 * improve the best one by small random moves while that is cheap. */

#define SEARCH_ROUNDS 2000
#define SEARCH_PAIRS  3.0e6 /* block comparisons spent on improving */

typedef struct planner {
    const tutti_lifetime *blocks;
    int32_t count; /* blocks of a size above 0 */
    uint64_t align, max_chunk;
    int32_t *placed; /* scratch: blocks placed so far, by (chunk, offset) */
    tutti_placement *at;
    uint64_t *chunk_bytes; /* scratch: at most one chunk per block */
    int32_t n_chunks;
} planner;

static bool meet(const tutti_lifetime *a, const tutti_lifetime *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* Places block `b` in the first gap that holds it, chunk after chunk. placed[] is sorted. */
static void place(planner *p, int32_t n_placed, int32_t b) {
    const tutti_lifetime *block = &p->blocks[b];
    int32_t i = 0;
    for (int32_t chunk = 0;; chunk++) {
        uint64_t offset = 0;
        bool found = false;
        for (; i < n_placed && p->at[p->placed[i]].chunk == chunk; i++) {
            const int32_t other = p->placed[i];
            if (found || !meet(block, &p->blocks[other]))
                continue;
            const uint64_t begin = p->at[other].offset_bytes;
            const uint64_t end = begin + p->blocks[other].size_bytes;
            if (offset + block->size_bytes <= begin)
                found = true;
            else if (end > offset)
                offset = (end + p->align - 1) / p->align * p->align;
        }
        if (!found && (offset > p->max_chunk || block->size_bytes > p->max_chunk - offset))
            continue;
        if (chunk == p->n_chunks)
            p->chunk_bytes[p->n_chunks++] = 0;
        const uint64_t end = offset + block->size_bytes;
        if (end > p->chunk_bytes[chunk])
            p->chunk_bytes[chunk] = end;
        p->at[b] = (tutti_placement){chunk, offset};
        int32_t slot = n_placed;
        while (slot > 0) {
            const tutti_placement *before = &p->at[p->placed[slot - 1]];
            if (before->chunk < chunk || (before->chunk == chunk && before->offset_bytes <= offset))
                break;
            p->placed[slot] = p->placed[slot - 1];
            slot--;
        }
        p->placed[slot] = b;
        return;
    }
}

/* The sum of the chunks when blocks are placed in this order. */
static uint64_t place_all(planner *p, const int32_t *order) {
    p->n_chunks = 0;
    for (int32_t i = 0; i < p->count; i++)
        place(p, i, order[i]);
    uint64_t sum = 0;
    for (int32_t i = 0; i < p->n_chunks; i++)
        sum += p->chunk_bytes[i];
    return sum;
}

typedef struct sort_key {
    double key; /* larger first */
    int32_t block;
} sort_key;

static int compare_keys(const void *a, const void *b) {
    const sort_key *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x->block < y->block ? -1 : x->block > y->block;
}

typedef struct event {
    int32_t step;
    bool ends; /* the block was last live at step - 1 */
    uint64_t size_bytes;
} event;

static int compare_events(const void *a, const void *b) {
    const event *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return (int)y->ends - (int)x->ends;
}

/* The most bytes live at one step: no layout can be smaller. */
static uint64_t live_bound(const planner *p, const int32_t *order, event *events) {
    int32_t n = 0;
    for (int32_t i = 0; i < p->count; i++) {
        const tutti_lifetime *block = &p->blocks[order[i]];
        events[n++] = (event){block->first, false, block->size_bytes};
        if (block->last < INT32_MAX)
            events[n++] = (event){block->last + 1, true, block->size_bytes};
    }
    qsort(events, (size_t)n, sizeof *events, compare_events);
    uint64_t live = 0, most = 0;
    for (int32_t i = 0; i < n; i++) {
        live = events[i].ends ? live - events[i].size_bytes : live + events[i].size_bytes;
        if (live > most)
            most = live;
    }
    return most;
}

/* Fills keys for the o-th order; false when there is no such order. */
static bool order_keys(const planner *p, int32_t o, const int32_t *used, sort_key *keys) {
    for (int32_t i = 0; i < p->count; i++) {
        const tutti_lifetime *block = &p->blocks[used[i]];
        const double size = (double)block->size_bytes;
        const double steps = (double)block->last - (double)block->first + 1;
        double key;
        switch (o) {
        case 0: /* large first */
            key = size;
            break;
        case 1: /* large and long first */
            key = size * steps;
            break;
        case 2: /* long first */
            key = steps;
            break;
        case 3: /* as they come to life */
            key = -(double)block->first;
            break;
        case 4:
            key = (double)block->last;
            break;
        default:
            return false;
        }
        keys[i] = (sort_key){key, used[i]};
    }
    qsort(keys, (size_t)p->count, sizeof *keys, compare_keys);
    return true;
}

/* Moves one to four blocks of the order to other places, and keeps what does not get worse. */
static void improve(planner *p, int32_t *best, int32_t *trial, uint64_t best_bytes,
                    uint64_t bound) {
    tutti_rng rng;
    tutti_rng_begin(&rng, 1, (uint64_t)p->count);
    const double round_pairs = (double)p->count * p->count / 2 + 1;
    const uint64_t n = (uint64_t)p->count;
    for (int32_t round = 0;
         round < SEARCH_ROUNDS && best_bytes > bound && round * round_pairs < SEARCH_PAIRS;
         round++) {
        memcpy(trial, best, (size_t)n * sizeof *trial);
        for (uint32_t moves = 1 + tutti_rng_u32(&rng) % 4; moves > 0; moves--) {
            const uint64_t from = tutti_rng_below(&rng, n), to = tutti_rng_below(&rng, n);
            const int32_t moved = trial[from];
            if (from < to)
                memmove(trial + from, trial + from + 1, (to - from) * sizeof *trial);
            else
                memmove(trial + to + 1, trial + to, (from - to) * sizeof *trial);
            trial[to] = moved;
        }
        const uint64_t bytes = place_all(p, trial);
        if (bytes <= best_bytes) {
            best_bytes = bytes;
            memcpy(best, trial, (size_t)n * sizeof *best);
        }
    }
}

static tutti_status check(const tutti_lifetime *blocks, int32_t count, uint64_t align,
                          uint64_t max_chunk) {
    if (count < 0 || align == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "memory plan: %" PRId32 " blocks, alignment %" PRIu64, count, align);
    for (int32_t i = 0; i < count; i++) {
        if (blocks[i].first > blocks[i].last)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "memory plan: block %" PRId32 " lives from step %" PRId32
                              " to %" PRId32,
                              i, blocks[i].first, blocks[i].last);
        if (blocks[i].size_bytes > max_chunk)
            return tutti_fail(TUTTI_OUT_OF_MEMORY,
                              "a block of %" PRIu64
                              " bytes is larger than the largest allocation of %" PRIu64 " bytes",
                              blocks[i].size_bytes, max_chunk);
        if (blocks[i].size_bytes > UINT64_MAX / 4 / ((uint64_t)count + 1) - align)
            return tutti_fail(TUTTI_OUT_OF_MEMORY,
                              "a block of %" PRIu64 " bytes is more than can be planned",
                              blocks[i].size_bytes);
    }
    return TUTTI_OK;
}

tutti_status tutti_memory_plan(const tutti_lifetime *blocks, int32_t count, uint64_t align_bytes,
                               uint64_t max_chunk_bytes, tutti_placement *out,
                               uint64_t **out_chunk_bytes, int32_t *out_chunks) {
    *out_chunk_bytes = NULL;
    *out_chunks = 0;
    TUTTI_TRY(check(blocks, count, align_bytes, max_chunk_bytes));
    const size_t n = (size_t)count + 1;
    int32_t *lists = malloc(4 * n * sizeof *lists);
    sort_key *keys = malloc(n * sizeof *keys);
    event *events = malloc(2 * n * sizeof *events);
    uint64_t *chunk_bytes = malloc(n * sizeof *chunk_bytes);
    if (!lists || !keys || !events || !chunk_bytes) {
        free(lists);
        free(keys);
        free(events);
        free(chunk_bytes);
        return tutti_fail_memory(n * (4 * sizeof *lists + sizeof *keys + 2 * sizeof *events),
                                 "the memory planner");
    }
    int32_t *used = lists, *placed = lists + n, *best = lists + 2 * n, *trial = lists + 3 * n;
    planner p = {blocks, 0, align_bytes, max_chunk_bytes, placed, out, chunk_bytes, 0};
    for (int32_t i = 0; i < count; i++) {
        out[i] = (tutti_placement){-1, 0};
        if (blocks[i].size_bytes > 0)
            used[p.count++] = i;
    }

    const uint64_t bound = live_bound(&p, used, events);
    uint64_t best_bytes = UINT64_MAX;
    for (int32_t o = 0; best_bytes > bound && order_keys(&p, o, used, keys); o++) {
        for (int32_t i = 0; i < p.count; i++)
            trial[i] = keys[i].block;
        const uint64_t bytes = place_all(&p, trial);
        if (bytes < best_bytes) {
            best_bytes = bytes;
            memcpy(best, trial, (size_t)p.count * sizeof *best);
        }
    }
    improve(&p, best, trial, best_bytes, bound);
    place_all(&p, best);

    free(lists);
    free(keys);
    free(events);
    *out_chunk_bytes = chunk_bytes;
    *out_chunks = p.n_chunks;
    return TUTTI_OK;
}
