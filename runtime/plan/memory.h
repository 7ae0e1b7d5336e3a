/* The memory planner: a pure function from lifetimes to offsets. Greedy by size, first fit by
 * offset, the better of several orders (Pisarchyk, Lee: Efficient memory management for deep neural
 * net inference, 2020). */
#ifndef TUTTI_PLAN_MEMORY_H
#define TUTTI_PLAN_MEMORY_H

#include <stdint.h>

#include "tutti/status.h"

typedef struct tutti_lifetime {
    uint64_t size_bytes; /* 0: gets chunk -1 */
    int32_t first, last; /* steps, inclusive */
} tutti_lifetime;

typedef struct tutti_placement {
    int32_t chunk;
    uint64_t offset_bytes;
} tutti_placement;

/* Places `count` blocks so that no two that live at the same step overlap, aligned to
 * `align_bytes`, in chunks of at most max_chunk_bytes. Writes the chunks' sizes (malloc'd: free()).
 * TUTTI_OUT_OF_MEMORY when one block exceeds a chunk, naming the sizes. */
TUTTI_MUST_USE tutti_status tutti_memory_plan(const tutti_lifetime *blocks, int32_t count,
                                              uint64_t align_bytes, uint64_t max_chunk_bytes,
                                              tutti_placement *out, uint64_t **out_chunk_bytes,
                                              int32_t *out_chunks);

#endif
