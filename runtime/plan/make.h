/* What the files that make a plan share. In order: lower every item (plan.c), choose candidates
 * (choose.c), order (order.c), lifetimes (liveness.c), regions and capacity (layout.c), predicted times (cost.c). */
#ifndef TUTTI_PLAN_MAKE_H
#define TUTTI_PLAN_MAKE_H

#include "graph/lowering.h"
#include "plan/memory.h"
#include "plan/plan.h"

/* A step while the plan is made. */
typedef struct tutti_draft_step {
    tutti_candidate *candidates; /* NULL for aliases and collectives */
    int32_t n_candidates, chosen;
    double measured_s; /* of the chosen candidate at measured_n samples; NaN when not measured */
    int64_t measured_n;
    const char *reason;
} tutti_draft_step;

typedef struct tutti_draft_device {
    tutti_draft_step *steps[TUTTI_MODE_COUNT]; /* parallel to the plan's steps */
} tutti_draft_device;

/* True when the device runs the item. */
static inline bool tutti_item_runs(const tutti_item *item, bool owner) {
    return owner || item->kind != TUTTI_ITEM_NODE || item->place == TUTTI_PLACE_EACH;
}
static inline bool tutti_tensor_is_fixed(const tutti_graph *graph, uint32_t id) {
    return graph->tensors[id].kind == TUTTI_TENSOR_PARAM ||
           graph->tensors[id].kind == TUTTI_TENSOR_STATE;
}

/* Devices, owner, programs and candidates of a plan that has graph, runtime and batch; no kernel is
 * touched. The drafts are in the plan's arena. */
TUTTI_MUST_USE tutti_status tutti_plan_draft(tutti_plan *plan, const tutti_plan_options *options,
                                             tutti_draft_device **out_drafts);
/* Memory and predicted times of what was chosen. */
TUTTI_MUST_USE tutti_status tutti_plan_finish(tutti_plan *plan, const tutti_draft_device *drafts);

/* Candidates (choose.c): sets chosen, reason and measured times of all steps of all devices, and
 * builds what was chosen. */
TUTTI_MUST_USE tutti_status tutti_plan_choose(tutti_plan *plan, tutti_draft_device *drafts,
                                              const tutti_plan_options *options);

/* Lifetimes of a program's tensors on a device, in item indexes (liveness.c). */
typedef struct tutti_liveness {
    uint32_t *root; /* by tensor: the one whose memory it uses; itself when it has its own */
    /* By root: first and last item; first > last when it has no memory of this kind here. What the
     * step reads back or sums over devices lives to the end, n_items. */
    int32_t *first, *last;
} tutti_liveness;
/* In the arena. */
TUTTI_MUST_USE tutti_status tutti_liveness_make(const tutti_graph *graph,
                                                const tutti_program *program, bool owner,
                                                tutti_arena *arena, tutti_liveness *out);

/* By tensor, the one whose memory it uses because an alias or an update says so; operands that are
 * written over are not looked for. */
void tutti_liveness_roots(const tutti_graph *graph, const tutti_program *program, bool owner,
                          uint32_t *root);
/* True when the node may write this output over that input, if nobody needs it any more. */
bool tutti_may_write_over(const uint32_t *root, const tutti_node_info *node, int32_t input,
                          int32_t output);

/* Puts the items of all devices in one order that needs less memory, where that is found (order.c). */
TUTTI_MUST_USE tutti_status tutti_plan_order(tutti_plan *plan, const tutti_draft_device *drafts);

/* Regions of all modes for the most samples that fit, up to the plan's batch (layout.c). */
TUTTI_MUST_USE tutti_status tutti_plan_layout(tutti_plan *plan, tutti_plan_device *device);

/* What a device can do, roughly (cost.c). */
typedef struct tutti_cost_model {
    double flops_per_s, bytes_per_s;
    double launch_s;
} tutti_cost_model;
/* From what the driver says of the device. */
tutti_cost_model tutti_cost_model_guess(const tutti_device *device);
/* Sets the steps' predicted times. */
void tutti_plan_costs(tutti_plan *plan, tutti_plan_device *device, const tutti_draft_device *draft);

#endif
