#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "exec/run.h"
#include "exec/timing.h"

const tutti_region *tutti_member_region(const tutti_run_member *member, tutti_mode mode,
                                        tutti_tensor tensor) {
    const tutti_region *region = &member->plan->modes[mode].regions[tensor.id];
    return region->chunk < 0 ? NULL : region;
}

const tutti_region *tutti_member_stored(const tutti_run_member *member, tutti_tensor tensor) {
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        const tutti_region *region = tutti_member_region(member, (tutti_mode)mode, tensor);
        if (region != NULL)
            return region;
    }
    return NULL;
}

tutti_status tutti_member_write(tutti_run_member *member, tutti_tensor tensor, const void *data) {
    const tutti_region *region = tutti_member_stored(member, tensor);
    if (region == NULL)
        return TUTTI_OK;
    return tutti_buffer_write(member->device, member->chunks[region->chunk],
                              (size_t)region->offset_bytes, data, (size_t)region->size_bytes);
}

static tutti_status make_chunks(tutti_run_member *member) {
    const tutti_plan_device *plan = member->plan;
    member->chunks = calloc((size_t)plan->n_chunks + 1, sizeof *member->chunks);
    if (member->chunks == NULL)
        return tutti_fail_memory((size_t)plan->n_chunks * sizeof(cl_mem), "chunks");
    for (int32_t i = 0; i < plan->n_chunks; i++)
        TUTTI_TRY(
            tutti_buffer_make(member->device, (size_t)plan->chunk_bytes[i], &member->chunks[i]));
    return TUTTI_OK;
}

static tutti_status keep_view(tutti_run_member *member, cl_mem view) {
    if (member->n_made_views == member->cap_made_views) {
        int32_t capacity = member->cap_made_views == 0 ? 64 : member->cap_made_views * 2;
        cl_mem *grown = realloc(member->made_views, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *grown, "buffer views");
        member->made_views = grown;
        member->cap_made_views = capacity;
    }
    member->made_views[member->n_made_views++] = view;
    return TUTTI_OK;
}

static tutti_status make_view(tutti_run_member *member, const tutti_region *region, cl_mem *out) {
    TUTTI_TRY(tutti_buffer_view(member->device, member->chunks[region->chunk],
                                (size_t)region->offset_bytes, (size_t)region->size_bytes, out));
    tutti_status status = keep_view(member, *out);
    if (status != TUTTI_OK)
        clReleaseMemObject(*out);
    return status;
}

/* A tensor at the same place in two modes (a parameter) gets one view. */
static tutti_status make_tensor_views(tutti_run_member *member) {
    const int32_t n_tensors = member->run->plan->graph->n_tensors;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        tutti_bound_mode *bound = &member->modes[mode];
        bound->views = calloc((size_t)n_tensors, sizeof *bound->views);
        if (bound->views == NULL)
            return tutti_fail_memory((size_t)n_tensors * sizeof *bound->views, "buffer views");
        for (int32_t id = 1; id < n_tensors; id++) {
            const tutti_region *region = &member->plan->modes[mode].regions[id];
            if (region->chunk < 0)
                continue;
            const tutti_region *first = &member->plan->modes[0].regions[id];
            if (mode > 0 && first->chunk == region->chunk &&
                first->offset_bytes == region->offset_bytes &&
                first->size_bytes == region->size_bytes)
                bound->views[id] = member->modes[0].views[id];
            else
                TUTTI_TRY(make_view(member, region, &bound->views[id]));
        }
    }
    return TUTTI_OK;
}

enum { SCRATCH_MAX = 24 };

typedef struct resolver {
    tutti_run_member *member;
    const tutti_bound_mode *bound;
    const tutti_plan_step *step;
    cl_mem scratch[SCRATCH_MAX];
} resolver;

static tutti_status resolve(void *user, const tutti_arg *arg, cl_mem *out) {
    resolver *r = user;
    if (arg->kind == TUTTI_ARG_TENSOR) {
        *out = r->bound->views[arg->u.tensor.id];
        TUTTI_ASSERT(*out != NULL);
        return TUTTI_OK;
    }
    const uint32_t index = arg->u.scratch;
    TUTTI_ASSERT(index < SCRATCH_MAX && (int32_t)index < r->step->candidate->n_scratch);
    if (r->scratch[index] == NULL)
        TUTTI_TRY(make_view(r->member, &r->step->scratch[index], &r->scratch[index]));
    *out = r->scratch[index];
    return TUTTI_OK;
}

static bool reads(const tutti_item *item, const tutti_item *sums) {
    for (int32_t i = 0; item->kind == TUTTI_ITEM_NODE && i < item->node.n_in; i++)
        for (int32_t k = 0; k < sums->n_tensors; k++)
            if (item->node.in[i].id == sums->tensors[k].id)
                return true;
    return false;
}

static tutti_status bind_step(tutti_run_member *member, int mode, int32_t index) {
    const tutti_plan_mode *plan = &member->plan->modes[mode];
    const tutti_plan_step *step = &plan->steps[index];
    const tutti_item *item = &plan->program.items[step->item];
    tutti_bound_step *bound = &member->modes[mode].steps[index];

    bound->slot = step->item;
    bound->needed_by = plan->n_steps;
    if (item->kind == TUTTI_ITEM_REDUCE)
        for (int32_t later = plan->n_steps - 1; later > index; later--)
            if (reads(&plan->program.items[plan->steps[later].item], item))
                bound->needed_by = later;
    if (item->kind != TUTTI_ITEM_NODE || step->candidate == NULL)
        return TUTTI_OK;

    for (int32_t i = 0; i < item->node.n_in; i++)
        bound->needs_samples |= item->node.in_type[i].shape.batched;
    for (int32_t i = 0; i < item->node.n_out; i++)
        bound->needs_samples |= item->node.out_type[i].shape.batched;

    const tutti_candidate *candidate = step->candidate;
    bound->launches = calloc((size_t)candidate->n_launches, sizeof *bound->launches);
    if (bound->launches == NULL)
        return tutti_fail_memory((size_t)candidate->n_launches * sizeof(void *), "launches");
    resolver user = {.member = member, .bound = &member->modes[mode], .step = step};
    for (int32_t i = 0; i < candidate->n_launches; i++) {
        tutti_status status =
            tutti_bound_launch_make(member->kernels, &candidate->launches[i], item->node.attr,
                                    resolve, &user, &bound->launches[i]);
        if (status != TUTTI_OK)
            return tutti_fail_context(status, "%s", item->node.op->name);
        bound->n_launches++;
    }
    return TUTTI_OK;
}

/* Elements of all sums of a mode. */
static size_t sums_count(const tutti_graph *graph, const tutti_program *program) {
    size_t count = 0;
    for (int32_t i = 0; i < program->n_items; i++) {
        const tutti_item *item = &program->items[i];
        for (int32_t k = 0; item->kind == TUTTI_ITEM_REDUCE && k < item->n_tensors; k++)
            count += (size_t)tutti_shape_count(&graph->tensors[item->tensors[k].id].type.shape, 1);
    }
    return count;
}

tutti_status tutti_member_bind(tutti_run *run, tutti_run_member *member) {
    const size_t n_tensors = (size_t)run->plan->graph->n_tensors;
    member->parts = calloc(n_tensors, sizeof *member->parts);
    member->mapped = calloc(n_tensors, sizeof *member->mapped);
    if (member->parts == NULL || member->mapped == NULL)
        return tutti_fail_memory(n_tensors * sizeof *member->parts, "parts of sums");
    TUTTI_TRY(make_chunks(member));
    TUTTI_TRY(make_tensor_views(member));

    size_t staging = 0; /* shared by the modes, since one runs at a time */
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        const tutti_plan_mode *plan = &member->plan->modes[mode];
        const size_t count = sums_count(run->plan->graph, &plan->program);
        staging = count > staging ? count : staging;
        member->modes[mode].steps = calloc((size_t)plan->n_steps + 1, sizeof(tutti_bound_step));
        if (member->modes[mode].steps == NULL)
            return tutti_fail_memory((size_t)plan->n_steps * sizeof(tutti_bound_step), "steps");
        for (int32_t i = 0; i < plan->n_steps; i++)
            TUTTI_TRY(bind_step(member, mode, i));
    }
    member->staging = calloc(staging + 1, sizeof(float));
    member->sums = calloc(staging + 1, sizeof(float));
    member->part_list = calloc((size_t)run->n_members, sizeof *member->part_list);
    if (member->staging == NULL || member->sums == NULL || member->part_list == NULL)
        return tutti_fail_memory(staging * sizeof(float), "staging of sums");
    return TUTTI_OK;
}

void tutti_member_unbind(tutti_run_member *member) {
    if (member->mapped != NULL && member->chunks != NULL && !member->lost &&
        tutti_reduce_release(member) != TUTTI_OK)
        tutti_log_write(TUTTI_LOG_WARNING, "closing a run: %s", tutti_error_message());
    if (member->device != NULL && !member->lost)
        (void)clFinish(member->device->queue);
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        tutti_bound_mode *bound = &member->modes[mode];
        for (int32_t i = 0; bound->steps != NULL && i < member->plan->modes[mode].n_steps; i++) {
            for (int32_t k = 0; k < bound->steps[i].n_launches; k++)
                tutti_bound_launch_free(bound->steps[i].launches[k]);
            free(bound->steps[i].launches);
            if (bound->steps[i].event != NULL)
                clReleaseEvent(bound->steps[i].event);
        }
        free(bound->steps);
        free(bound->views);
    }
    for (int32_t i = 0; i < member->n_made_views; i++)
        clReleaseMemObject(member->made_views[i]);
    free(member->made_views);
    for (int32_t i = 0; member->chunks != NULL && i < member->plan->n_chunks; i++)
        if (member->chunks[i] != NULL)
            clReleaseMemObject(member->chunks[i]);
    free(member->chunks);
    free(member->parts);
    free(member->mapped);
    free(member->staging);
    free(member->sums);
    free((void *)member->part_list);
    tutti_timing_free(member->timing);
}
