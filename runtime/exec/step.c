#include <math.h>

#include "base/clock.h"
#include "base/status.h"
#include "exec/run.h"
#include "exec/timing.h"

static tutti_status write_feeds(tutti_run_member *member) {
    const tutti_step *step = &member->run->step;
    for (int32_t i = 0; i < step->n_feeds; i++) {
        const tutti_tensor tensor = step->feeds[i].tensor;
        const tutti_region *region = tutti_member_region(member, step->mode, tensor);
        const tutti_type *type = &member->run->plan->graph->tensors[tensor.id].type;
        const size_t row_bytes =
            (size_t)tutti_shape_sample_count(&type->shape) * tutti_dtype_size_bytes(type->dtype);
        const size_t size = row_bytes * (type->shape.batched ? (size_t)member->values.n : 1);
        if (region == NULL || size == 0)
            continue;
        const char *data = step->feeds[i].data;
        if (type->shape.batched)
            data += row_bytes * (size_t)member->values.sample_begin;
        TUTTI_CL(member->device, clEnqueueWriteBuffer, member->device->queue,
                 member->chunks[region->chunk], CL_FALSE, (size_t)region->offset_bytes, size, data,
                 0, NULL, NULL);
    }
    return TUTTI_OK;
}

/* out_event, when not NULL, is that of the last transfer: with an in-order queue, all before it has
 * happened then. It stays NULL when nothing is fetched. */
static tutti_status read_fetches(tutti_run_member *member, cl_event *out_event) {
    const tutti_step *step = &member->run->step;
    for (int32_t i = 0; i < step->n_fetches; i++) {
        const tutti_tensor tensor = step->fetches[i].tensor;
        const tutti_type *type = &member->run->plan->graph->tensors[tensor.id].type;
        const tutti_region *region = tutti_member_region(member, step->mode, tensor);
        /* What is not batched is the same on all devices, or was reduced to the owner. */
        if (!type->shape.batched && !member->plan->owner)
            continue;
        const size_t row_bytes =
            (size_t)tutti_shape_sample_count(&type->shape) * tutti_dtype_size_bytes(type->dtype);
        const size_t size = row_bytes * (type->shape.batched ? (size_t)member->values.n : 1);
        if (size == 0)
            continue;
        TUTTI_ASSERT(region != NULL);
        char *data = step->fetches[i].data;
        if (type->shape.batched)
            data += row_bytes * (size_t)member->values.sample_begin;
        if (out_event != NULL && *out_event != NULL)
            clReleaseEvent(*out_event);
        if (out_event != NULL)
            *out_event = NULL;
        TUTTI_CL(member->device, clEnqueueReadBuffer, member->device->queue,
                 member->chunks[region->chunk], CL_FALSE, (size_t)region->offset_bytes, size, data,
                 0, NULL, out_event);
    }
    return TUTTI_OK;
}

/* Some drivers keep what is enqueued until they are told to begin: the device is to be busy while the
 * host enqueues the rest, without a call to the driver for each kernel. */
#define FLUSH_EVERY 16

static tutti_status enqueue(tutti_run_member *member, int32_t step) {
    const tutti_bound_step *bound = &member->modes[member->run->step.mode].steps[step];
    if (bound->needs_samples && member->values.n == 0)
        return TUTTI_OK;
    for (int32_t i = 0; i < bound->n_launches; i++) {
        cl_event *event;
        TUTTI_TRY(tutti_timing_next(member, step, i, &event));
        TUTTI_TRY(tutti_bound_launch_enqueue(bound->launches[i], &member->values, event));
        if (++member->unflushed == FLUSH_EVERY) {
            member->unflushed = 0;
            TUTTI_CL(member->device, clFlush, member->device->queue);
        }
    }
    return TUTTI_OK;
}

static tutti_status compute(tutti_run_member *member) {
    const tutti_step *step = &member->run->step;
    const tutti_plan_mode *plan = &member->plan->modes[step->mode];
    const tutti_bound_step *bound = member->modes[step->mode].steps;
    const bool together = !step->alone && !step->seeding;
    int32_t n_pending = 0, first_needed = plan->n_steps;
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const tutti_item *item = &plan->program.items[plan->steps[i].item];
        if (item->commit)
            continue;
        if (n_pending > 0 && i >= first_needed) {
            first_needed = plan->n_steps;
            for (int32_t k = 0; k < i; k++) {
                if (bound[k].pending && bound[k].needed_by <= i) {
                    TUTTI_TRY(tutti_reduce_finish(member, k));
                    n_pending--;
                } else if (bound[k].pending && bound[k].needed_by < first_needed) {
                    first_needed = bound[k].needed_by;
                }
            }
        }
        if (item->kind == TUTTI_ITEM_NODE) {
            TUTTI_TRY(enqueue(member, i));
        } else if (item->kind == TUTTI_ITEM_REDUCE && together) {
            TUTTI_TRY(tutti_reduce_begin(member, i));
            n_pending++;
            if (bound[i].needed_by < first_needed)
                first_needed = bound[i].needed_by;
        }
    }
    for (int32_t i = 0; n_pending > 0 && i < plan->n_steps; i++) {
        if (bound[i].pending) {
            TUTTI_TRY(tutti_reduce_finish(member, i));
            n_pending--;
        }
    }
    return TUTTI_OK;
}

/* At start everything is launched once. */
static bool is_due(const tutti_run_member *member, const tutti_item *item) {
    return member->run->step.seeding || tutti_item_is_due(item, member->values.step);
}

/* The owner's updates; then the changed parameters go to the host for the others. */
static tutti_status commit(tutti_run_member *member) {
    tutti_run *run = member->run;
    const tutti_plan_mode *plan = &member->plan->modes[run->step.mode];
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const tutti_item *item = &plan->program.items[plan->steps[i].item];
        if (!item->commit || !is_due(member, item))
            continue;
        if (item->kind == TUTTI_ITEM_NODE)
            TUTTI_TRY(enqueue(member, i));
        for (int32_t k = 0; item->kind == TUTTI_ITEM_BROADCAST && k < item->n_tensors; k++) {
            const tutti_tensor tensor = item->tensors[k];
            if (run->step.alone || run->step.seeding)
                continue;
            const tutti_region *region = tutti_member_region(member, run->step.mode, tensor);
            TUTTI_ASSERT(region != NULL);
            TUTTI_CL(member->device, clEnqueueReadBuffer, member->device->queue,
                     member->chunks[region->chunk], CL_FALSE, (size_t)region->offset_bytes,
                     (size_t)region->size_bytes, run->weights + run->weight_at[tensor.id], 0, NULL,
                     NULL);
        }
    }
    return TUTTI_OK;
}

static tutti_status write_weights(tutti_run_member *member) {
    tutti_run *run = member->run;
    const tutti_program *program = &member->plan->modes[run->step.mode].program;
    for (int32_t i = 0; i < program->n_items; i++) {
        const tutti_item *item = &program->items[i];
        if (!is_due(member, item))
            continue;
        for (int32_t k = 0; item->kind == TUTTI_ITEM_BROADCAST && k < item->n_tensors; k++) {
            const tutti_tensor tensor = item->tensors[k];
            const tutti_region *region = tutti_member_region(member, run->step.mode, tensor);
            if (region != NULL)
                TUTTI_CL(member->device, clEnqueueWriteBuffer, member->device->queue,
                         member->chunks[region->chunk], CL_FALSE, (size_t)region->offset_bytes,
                         (size_t)region->size_bytes, run->weights + run->weight_at[tensor.id], 0,
                         NULL, NULL);
        }
    }
    /* The host copy is written again in the next commit, after this device has passed the next
     * gate: its queue is empty then. */
    TUTTI_CL(member->device, clFlush, member->device->queue);
    return TUTTI_OK;
}

static bool is_scaled(const tutti_run_member *member) {
    const tutti_step *step = &member->run->step;
    return member->run->plan->graph->finite.id != 0 && step->mode == TUTTI_TRAIN &&
           member->plan->owner && !step->seeding;
}

static tutti_status read_finite(tutti_run_member *member) {
    tutti_run *run = member->run;
    if (!is_scaled(member))
        return TUTTI_OK;
    const tutti_region *region = tutti_member_region(member, TUTTI_TRAIN, run->plan->graph->finite);
    TUTTI_ASSERT(region != NULL);
    TUTTI_CL(member->device, clEnqueueReadBuffer, member->device->queue,
             member->chunks[region->chunk], CL_FALSE, (size_t)region->offset_bytes,
             sizeof run->finite, &run->finite, 0, NULL, NULL);
    return TUTTI_OK;
}

/* The owner decides for all, once the gradients have been summed. */
static void judge(tutti_run_member *member) {
    if (is_scaled(member))
        member->run->step.skipped = !isfinite(member->run->finite);
}

/* Returns when the fetches have arrived; the updates may still run, while the caller prepares the
 * next batch. */
static tutti_status step_alone(tutti_run_member *member) {
    const tutti_step *step = &member->run->step;
    cl_event fetched = NULL;
    tutti_status status = compute(member);
    if (status == TUTTI_OK)
        status = read_fetches(member, &fetched);
    if (status == TUTTI_OK && is_scaled(member)) {
        status = read_finite(member);
        const cl_int code = status == TUTTI_OK ? clFinish(member->device->queue) : CL_SUCCESS;
        if (code != CL_SUCCESS)
            status = tutti_cl_fail(code, "waiting for gradients", member->device);
        judge(member);
    }
    if (status == TUTTI_OK && step->mode == TUTTI_TRAIN && member->plan->owner && !step->skipped)
        status = commit(member);
    cl_int code = clFlush(member->device->queue);
    if (code == CL_SUCCESS && fetched != NULL && !step->seeding)
        code = clWaitForEvents(1, &fetched);
    else if (code == CL_SUCCESS)
        code = clFinish(member->device->queue);
    if (fetched != NULL)
        clReleaseEvent(fetched);
    if (status == TUTTI_OK && code != CL_SUCCESS)
        status = tutti_cl_fail(code, "waiting for a step", member->device);
    return status;
}

static tutti_status step_together(tutti_run_member *member) {
    tutti_run *run = member->run;
    TUTTI_TRY(compute(member));
    TUTTI_TRY(read_fetches(member, NULL));
    TUTTI_TRY(read_finite(member));
    TUTTI_CL(member->device, clFinish, member->device->queue);
    if (run->step.mode != TUTTI_TRAIN)
        return TUTTI_OK;
    tutti_meeting_arrive(run->meeting, run->gate_slot);
    if (!member->plan->owner) {
        TUTTI_TRY(tutti_member_wait(member, run->commit_slot));
        /* The step is committed. A device that cannot take the new parameters now shows its error
         * when they are sent again, at the start of the next step. */
        if (!run->step.skipped)
            member->stale = write_weights(member) != TUTTI_OK;
        return TUTTI_OK;
    }
    TUTTI_TRY(tutti_member_wait(member, run->gate_slot));
    judge(member);
    if (!run->step.skipped)
        TUTTI_TRY(commit(member));
    TUTTI_CL(member->device, clFinish, member->device->queue);
    tutti_meeting_open(run->meeting, run->commit_slot);
    return TUTTI_OK;
}

tutti_status tutti_member_step(void *user) {
    tutti_run_member *member = user;
    const tutti_step *step = &member->run->step;
    const double begin = tutti_clock_s();
    member->waited_s = 0;
    tutti_status status = tutti_reduce_release(member);
    member->mapped_mode = step->mode;
    tutti_timing_begin(member);
    if (status == TUTTI_OK)
        status = write_feeds(member);
    if (status == TUTTI_OK)
        status = step->alone || step->seeding ? step_alone(member) : step_together(member);
    if (status == TUTTI_OK)
        status = tutti_timing_take(member);
    if (status != TUTTI_OK && !step->alone && !step->seeding)
        tutti_meeting_abandon(member->run->meeting);
    /* The caller's memory and the staging may still be in use by what was enqueued. */
    if (status != TUTTI_OK)
        (void)clFinish(member->device->queue);
    member->busy_s = tutti_clock_s() - begin - member->waited_s;
    return status;
}
