/* What the passes of tutti_program_make hand on: select, split, fuse, epilogue, prologue, factor,
 * group, precision. */
#ifndef TUTTI_GRAPH_PASSES_H
#define TUTTI_GRAPH_PASSES_H

#include "graph/program.h"

typedef struct tutti_passes {
    const tutti_graph *graph;
    tutti_mode mode;
    tutti_arena *arena;   /* of the program */
    tutti_arena *scratch; /* freed after the last pass */
    /* select */
    bool *selected; /* by node */
    bool *alias;    /* by node: runs nothing */
    /* By node: the inputs that this mode reads; of an alias the one that it stands for. */
    const tutti_tensor **in;
    int32_t *n_in;
    bool *fetched; /* by tensor */
    tutti_tensor *fetches;
    int32_t n_fetches;
    /* split, then those behind it */
    tutti_item *items;
    int32_t n_items;
    /* prologue */
    bool loads; /* also for products and convolutions; fuse reads through reshapes for it */
    /* factor */
    tutti_tensor *factor; /* by item: of an update, what its gradient is multiplied by, or none */
    /* precision */
    tutti_dtype narrow; /* what results may be stored as; f32: as they are */
    tutti_dtype *dtype; /* by tensor: as it lies in memory */
} tutti_passes;

TUTTI_MUST_USE tutti_status tutti_pass_select(tutti_passes *passes);
TUTTI_MUST_USE tutti_status tutti_pass_split(tutti_passes *passes);
TUTTI_MUST_USE tutti_status tutti_pass_fuse(tutti_passes *passes);
TUTTI_MUST_USE tutti_status tutti_pass_epilogue(tutti_passes *passes);
TUTTI_MUST_USE tutti_status tutti_pass_prologue(tutti_passes *passes);
TUTTI_MUST_USE tutti_status tutti_pass_factor(tutti_passes *passes);
TUTTI_MUST_USE tutti_status tutti_pass_group(tutti_passes *passes);
TUTTI_MUST_USE tutti_status tutti_pass_precision(tutti_passes *passes);

#endif
