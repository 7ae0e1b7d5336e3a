/* The plan's insides: for each device and mode, the launches in order and where each tensor lives.
 */
#ifndef TUTTI_PLAN_PLAN_H
#define TUTTI_PLAN_PLAN_H

#include "base/arena.h"
#include "graph/program.h"
#include "kernel/library.h"
#include "tutti/plan.h"

/* Memory of a tensor (or scratch buffer) on a device: bytes [offset, offset + size) of a chunk. */
typedef struct tutti_region {
    int32_t chunk; /* -1: no memory */
    uint64_t offset_bytes, size_bytes;
} tutti_region;

typedef struct tutti_plan_step {
    int32_t item;                           /* index in the program */
    const tutti_candidate *candidate;       /* NULL for aliases and collectives */
    const tutti_region *scratch;            /* candidate->n_scratch */
    double predicted_s;                     /* at the device's capacity */
    bool measured;                          /* predicted from a measurement of this candidate */
    double cost_fixed_s, cost_per_sample_s; /* predicted time = fixed + per_sample * n */
    const char *reason; /* why this candidate: "measured 12.3 us (clblast 45.1 us)", "only one" … */
} tutti_plan_step;

typedef struct tutti_plan_mode {
    tutti_program program;
    const tutti_plan_step
        *steps; /* those of the program that this device runs (EACH, and OWNER on the owner) */
    int32_t n_steps;
    const tutti_region *regions; /* by tensor id */
} tutti_plan_mode;

typedef struct tutti_plan_device {
    int32_t device; /* index in the runtime */
    bool owner;
    tutti_precision precision;
    int64_t capacity;            /* samples it can hold in a step */
    const uint64_t *chunk_bytes; /* allocations, each at most max_alloc_bytes */
    int32_t n_chunks;
    uint64_t fixed_bytes;    /* parameters and states: same place in every mode */
    uint64_t peak_bytes;     /* sum of the chunks */
    uint64_t unshared_bytes; /* what it would be without reuse */
    tutti_plan_mode modes[TUTTI_MODE_COUNT];
} tutti_plan_device;

/* What results are stored in (plan.c). */
tutti_dtype tutti_precision_dtype(tutti_precision precision);

struct tutti_plan {
    tutti_arena arena;
    const tutti_graph *graph;
    tutti_runtime *runtime;
    int64_t batch;
    tutti_plan_device *devices;
    int32_t n_devices;
    int32_t owner;                           /* index in devices */
    tutti_matmul_precision matmul_precision; /* not DEFAULT */
};

#endif
