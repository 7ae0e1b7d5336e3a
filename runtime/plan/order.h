/* The order of a program's items, chosen for memory (design 8). Items may run in any order in which each
 * finds what it reads; the one of the graph's nodes is mostly good, and kept where another saves nothing.
 *
 *   order_model.c   what each item needs, reads, makes, and may write over
 *   order_search.c  a beam search over sets of items done
 *   order.c         the plan's programs and steps put in the order
 */
#ifndef TUTTI_PLAN_ORDER_H
#define TUTTI_PLAN_ORDER_H

#include "plan/make.h"

/* Memory that items share: a tensor with its aliases. */
typedef struct tutti_order_value {
    int64_t bytes;
    const int32_t *touched_by; /* items, ascending */
    int32_t n_touched;
    bool stays; /* behind the items that are ordered */
} tutti_order_value;

typedef struct tutti_order_item {
    const int32_t *needs, *next; /* items before and behind this one */
    int32_t n_needs, n_next;
    const int32_t *reads, *makes; /* values */
    int32_t n_reads, n_makes;
    const bool *takes; /* n_makes * n_reads: what is made may lie where the read value ends */
    int64_t scratch_bytes;
} tutti_order_item;

/* The items in front of the first update: what follows them keeps its place. */
typedef struct tutti_order_model {
    const tutti_order_item *items;
    int32_t n_items;
    const tutti_order_value *values;
    int32_t n_values;
    int64_t fed_bytes; /* live before the first item */
    int64_t least;     /* bytes that every order needs, or fewer */
} tutti_order_model;

/* Of n samples on the owner; scratch_bytes is by item, or NULL. In the arena. */
TUTTI_MUST_USE tutti_status tutti_order_model_make(const tutti_graph *graph,
                                                   const tutti_program *program, int64_t n,
                                                   const int64_t *scratch_bytes, tutti_arena *arena,
                                                   tutti_order_model *out);
/* Runs an item behind those in `done` (bits), `live` bytes being live: returns the bytes that are
 * live then, and in *out_during those while it runs. */
int64_t tutti_order_run(const tutti_order_model *model, const uint64_t *done, int32_t item,
                        int64_t live, int64_t *out_during);
/* The most bytes live at a time when the items run in this order. */
TUTTI_MUST_USE tutti_status tutti_order_peak(const tutti_order_model *model, const int32_t *order,
                                             int64_t *out_bytes);
/* Writes an order whose peak is at most `limit`, as low as is found; false when none is found. */
TUTTI_MUST_USE tutti_status tutti_order_search(const tutti_order_model *model, int64_t limit,
                                               int32_t *order, bool *out_found);
/* The order in which the items run: the graph's unless another saves enough of what they need and of
 * `beside` bytes that lie there anyhow. Where the graph's needs at most `floor`, none is searched for. */
TUTTI_MUST_USE tutti_status tutti_order_find(const tutti_order_model *model, int64_t floor,
                                             int64_t beside, int32_t *order, int64_t *out_peak,
                                             bool *out_changed);

#endif
