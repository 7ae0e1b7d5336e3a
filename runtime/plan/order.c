#include "plan/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

/* An order is changed for a 50th of a device's memory; the order of the graph's nodes has side by side
 * what belongs together. */
#define WORTH 50

/* Parameters and states, which the owner has all of. */
static int64_t fixed_bytes(const tutti_plan *plan) {
    int64_t bytes = 0;
    for (uint32_t id = 1; id < (uint32_t)plan->graph->n_tensors; id++)
        if (tutti_tensor_is_fixed(plan->graph, id)) {
            const tutti_type *type = &plan->graph->tensors[id].type;
            bytes +=
                tutti_shape_count(&type->shape, 1) * (int64_t)tutti_dtype_size_bytes(type->dtype);
        }
    return bytes;
}

/* Scratch memory of the owner's steps by item. */
static int64_t *scratch_of(const tutti_plan *plan, int mode, tutti_arena *arena) {
    const tutti_plan_mode *m = &plan->devices[plan->owner].modes[mode];
    int64_t *bytes = tutti_arena_array(arena, (size_t)m->program.n_items + 1, sizeof *bytes);
    for (int32_t s = 0; bytes != NULL && s < m->n_steps; s++) {
        const tutti_candidate *candidate = m->steps[s].candidate;
        for (int32_t k = 0; candidate != NULL && k < candidate->n_scratch; k++)
            bytes[m->steps[s].item] += tutti_extent_value(candidate->scratch_bytes[k], plan->batch);
    }
    return bytes;
}

static tutti_status put_program(tutti_arena *arena, tutti_program *program, const int32_t *order,
                                int32_t n_ordered) {
    tutti_item *items =
        tutti_arena_copy(arena, program->items, (size_t)program->n_items * sizeof *items);
    if (items == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t k = 0; k < n_ordered; k++)
        items[k] = program->items[order[k]];
    program->items = items;
    return TUTTI_OK;
}

/* Steps follow their items, and so do drafts. place: by item, where it stands now. */
static tutti_status put_steps(tutti_arena *arena, tutti_plan_mode *m, tutti_draft_step *drafts,
                              const int32_t *place) {
    const size_t n_steps = (size_t)m->n_steps, n_items = (size_t)m->program.n_items;
    tutti_plan_step *steps = tutti_arena_array(arena, n_steps + 1, sizeof *steps);
    tutti_draft_step *old = tutti_arena_copy(arena, drafts, n_steps * sizeof *old + 1);
    int32_t *step_at = tutti_arena_array(arena, n_items + 1, sizeof *step_at);
    if (steps == NULL || old == NULL || step_at == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t s = 0; s < m->n_steps; s++)
        step_at[place[m->steps[s].item]] = s + 1;
    int32_t n = 0;
    for (size_t k = 0; k < n_items; k++) {
        const int32_t s = step_at[k] - 1;
        if (s < 0)
            continue;
        steps[n] = m->steps[s];
        steps[n].item = (int32_t)k;
        drafts[n++] = old[s];
    }
    m->steps = steps;
    return TUTTI_OK;
}

static tutti_status put_order(tutti_plan *plan, const tutti_draft_device *drafts, int mode,
                              const int32_t *order, int32_t n_ordered) {
    const int32_t n_items = plan->devices[plan->owner].modes[mode].program.n_items;
    int32_t *place = tutti_arena_array(&plan->arena, (size_t)n_items + 1, sizeof *place);
    if (place == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t k = 0; k < n_items; k++)
        place[k < n_ordered ? order[k] : k] = k;
    for (int32_t i = 0; i < plan->n_devices; i++) {
        tutti_plan_mode *m = &plan->devices[i].modes[mode];
        TUTTI_TRY(put_program(&plan->arena, &m->program, order, n_ordered));
        TUTTI_TRY(put_steps(&plan->arena, m, drafts[i].steps[mode], place));
    }
    return TUTTI_OK;
}

tutti_status tutti_order_find(const tutti_order_model *model, int64_t floor, int64_t beside,
                              int32_t *order, int64_t *out_peak, bool *out_changed) {
    *out_changed = false;
    for (int32_t k = 0; k < model->n_items; k++)
        order[k] = k;
    TUTTI_TRY(tutti_order_peak(model, order, out_peak));
    const int64_t wanted = *out_peak - (*out_peak + beside) / WORTH - 1;
    if (*out_peak <= floor || model->least > wanted)
        return TUTTI_OK;
    int32_t *found = malloc(((size_t)model->n_items + 1) * sizeof *found);
    if (found == NULL)
        return tutti_fail_memory((size_t)model->n_items * sizeof *found, "the order of items");
    tutti_status status = tutti_order_search(model, wanted, found, out_changed);
    if (status == TUTTI_OK && *out_changed) {
        memcpy(order, found, (size_t)model->n_items * sizeof *order);
        status = tutti_order_peak(model, order, out_peak);
    }
    free(found);
    return status;
}

static tutti_status order_mode(tutti_plan *plan, const tutti_draft_device *drafts, int mode,
                               tutti_arena *scratch, int64_t *floor) {
    const tutti_program *program = &plan->devices[plan->owner].modes[mode].program;
    const int64_t *bytes = scratch_of(plan, mode, scratch);
    int32_t *order = tutti_arena_array(scratch, (size_t)program->n_items + 1, sizeof *order);
    if (bytes == NULL || order == NULL)
        return TUTTI_OUT_OF_MEMORY;
    tutti_order_model model;
    TUTTI_TRY(tutti_order_model_make(plan->graph, program, plan->batch, bytes, scratch, &model));
    int64_t peak;
    bool changed;
    TUTTI_TRY(tutti_order_find(&model, *floor, fixed_bytes(plan), order, &peak, &changed));
    if (changed)
        TUTTI_TRY(put_order(plan, drafts, mode, order, model.n_items));
    *floor = peak > *floor ? peak : *floor;
    return TUTTI_OK;
}

tutti_status tutti_plan_order(tutti_plan *plan, const tutti_draft_device *drafts) {
    int64_t floor = 0; /* modes share memory: what one needs anyhow, others may use */
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        tutti_arena scratch = {0};
        const tutti_status status = order_mode(plan, drafts, mode, &scratch, &floor);
        tutti_arena_free(&scratch);
        TUTTI_TRY(status);
    }
    return TUTTI_OK;
}
