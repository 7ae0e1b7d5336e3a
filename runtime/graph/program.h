/* A program: the part of a frozen graph that one mode needs, as an ordered list of items, with
 * elementwise chains fused and collectives inserted. Pure data: no device is known here.
 *
 * Passes, in this order:
 *
 *   select  keeps the nodes that the mode's roots need:
 *             TRAIN    updates, loss, outputs;
 *             EVAL     loss, outputs;
 *             PREDICT  outputs with a row per sample that need no labels. A label is an input that
 *                      the loss needs and predictions can do without (see select.c). A graph
 *                      without a loss predicts all its outputs.
 *           Outside TRAIN, outputs that depend on an update are left out, and TRAIN_ONLY nodes are
 *           aliases of their last input.
 *   split   places nodes (EACH device on its share of the batch, or the OWNER once) and inserts
 *           REDUCE and BROADCAST.
 *   fuse    replaces chains of elementwise nodes, equally placed and with no collective between, by
 *           one fused node; then makes such a node an epilogue of the op whose result it alone reads,
 *           or the prologue of a reduction, product or convolution that reads its result.
 *   factor  gives updates the factor of clipping.
 *   group   makes one node of equal updates of several parameters.
 *   precision  chooses what lies in memory as f16 or bf16 where that is asked for (precision.c); the
 *           items, their order and what is exchanged stay the same.
 *
 * Split. Each tensor is
 *
 *   batched  each device has its samples;
 *   whole    every device has it;
 *   partial  every device has a summand (batch_sum, or linear in partial inputs); or
 *   owned    only the owner has it.
 *
 * A partial tensor is reduced before anything but a LINEAR node reads it. A node without batched
 * inputs runs on EACH device when something that does run on each needs it, else on the OWNER.
 * Updates run on the owner after all EACH items of the step; parameters they change are then
 * broadcast. With accumulated gradients, what follows the accumulation runs in every K-th step. What an update reads is reduced to the owner only. Reductions that are ready together
 * share one item (a bucket) of up to TUTTI_BUCKET_BYTES.
 */
#ifndef TUTTI_GRAPH_PROGRAM_H
#define TUTTI_GRAPH_PROGRAM_H

#include "graph/graph.h"
#include "tutti/plan.h"

#define TUTTI_BUCKET_FIRST_BYTES (1u << 20)
#define TUTTI_BUCKET_BYTES       (4u << 20)

typedef enum tutti_item_kind {
    TUTTI_ITEM_NODE,
    TUTTI_ITEM_REDUCE,
    TUTTI_ITEM_BROADCAST
} tutti_item_kind;
typedef enum tutti_place { TUTTI_PLACE_EACH, TUTTI_PLACE_OWNER } tutti_place;

typedef struct tutti_item {
    tutti_item_kind kind;
    tutti_place place; /* NODE: where it runs. REDUCE: who gets the sum (EACH: all) */
    /* NODE; types owned by the program. An alias node (op flag ALIAS, or TRAIN_ONLY outside TRAIN)
     * runs nothing: its output shares the memory of its input, the only one that is listed here. */
    tutti_node_info node;
    bool alias;
    /* Belongs to the commit phase: updates, and what only they need and runs on the owner. */
    bool commit;
    /* Above 1: runs only in a training step whose number, from 1, is a multiple of it. */
    int32_t every;
    const tutti_tensor *tensors; /* REDUCE, BROADCAST: in fixed order, the same on all devices */
    int32_t n_tensors;
} tutti_item;

typedef struct tutti_program {
    tutti_mode mode;
    const tutti_item *items;
    int32_t n_items;
    /* Where each tensor of the graph lives at the end: indexed by tensor id. */
    const tutti_dtype *dtype;   /* as it lies in memory */
    const bool *used;           /* has memory in this program (params and states included) */
    const bool *on_each;        /* memory on every device; else on the owner only */
    const tutti_tensor *inputs; /* that must be fed, in graph order */
    int32_t n_inputs;
    const tutti_tensor *fetches; /* loss and outputs that this mode computes */
    int32_t n_fetches;
} tutti_program;

/* True when the item runs in a training step that follows `step` committed ones. */
static inline bool tutti_item_is_due(const tutti_item *item, uint64_t step) {
    return item->every <= 1 || (step + 1) % (uint64_t)item->every == 0;
}

typedef struct tutti_program_options {
    tutti_dtype
        narrow; /* what intermediate results may be stored as (design 6); f32: as they are */
    bool loads; /* kernels of GPUs compute what products and convolutions read (design 5) */
} tutti_program_options;

/* Makes the program of f32 in the arena, with all that the passes find. graph must be frozen. */
TUTTI_MUST_USE tutti_status tutti_program_make(const tutti_graph *graph, tutti_mode mode,
                                               tutti_arena *arena, tutti_program *out);
/* The same for certain devices. */
TUTTI_MUST_USE tutti_status tutti_program_make_for(const tutti_graph *graph, tutti_mode mode,
                                                   tutti_program_options options,
                                                   tutti_arena *arena, tutti_program *out);
/* A line per item; malloc'd. */
TUTTI_MUST_USE tutti_status tutti_program_print(const tutti_graph *graph,
                                                const tutti_program *program, char **out_text);

/* The fused op (graph/fused.c): attr points to its members; lower generates one kernel, ref and
 * cost walk them. */
extern const tutti_op tutti_op_fused;
/* An op and the elementwise work on its result (graph/epilogue.c), or on its first input
 * (graph/prologue.c). */
extern const tutti_op tutti_op_epilogue;
extern const tutti_op tutti_op_prologue;
/* Equal updates (graph/group.c): as many as `*out_count` nodes behind the returned one, which for any
 * other node is the node itself. Each changes what its op says, and its output 0 is its input 0. */
extern const tutti_op tutti_op_group;
const tutti_node_info *tutti_node_members(const tutti_node_info *node, int32_t *out_count);
/* For explain and tests: the number of ops in a node of the first three of these ops, and what a node
 * does: their names joined by "+", or "adam x 12" for a group. */
int32_t tutti_fused_size(const tutti_node_info *node);
const char *tutti_fused_label(const tutti_node_info *node);

#endif
