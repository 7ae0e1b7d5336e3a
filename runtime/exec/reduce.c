#include "base/clock.h"
#include "base/status.h"
#include "exec/run.h"

/* Below this a copy costs less than a map and an unmap. */
#define MAP_MIN_BYTES 65536

tutti_status tutti_member_wait(tutti_run_member *member, int32_t slot) {
    const double begin = tutti_clock_s();
    tutti_status status = tutti_meeting_wait(member->run->meeting, slot);
    member->waited_s += tutti_clock_s() - begin;
    return status;
}

static const tutti_item *item_of(const tutti_run_member *member, int32_t step) {
    const tutti_plan_mode *plan = &member->plan->modes[member->run->step.mode];
    return &plan->program.items[plan->steps[step].item];
}

static size_t tensor_count(const tutti_run_member *member, tutti_tensor tensor) {
    return (size_t)tutti_shape_count(&member->run->plan->graph->tensors[tensor.id].type.shape, 1);
}

tutti_status tutti_reduce_begin(tutti_run_member *member, int32_t step) {
    const tutti_item *item = item_of(member, step);
    tutti_bound_step *bound = &member->modes[member->run->step.mode].steps[step];
    cl_command_queue queue = member->device->queue;
    bound->pending = true;
    if (member->values.n == 0) /* the owner without samples: it has no part */
        return TUTTI_OK;
    /* Mapping saves the copy where host and device share memory. Sums for all devices are read by
     * all, so their parts must outlive this device's own use of the tensor: those are copied. */
    for (int32_t k = 0; k < item->n_tensors; k++) {
        const tutti_tensor tensor = item->tensors[k];
        const tutti_region *region = tutti_member_region(member, member->run->step.mode, tensor);
        TUTTI_ASSERT(region != NULL);
        const size_t size = tensor_count(member, tensor) * sizeof(float);
        cl_event *event = k == item->n_tensors - 1 ? &bound->event : NULL;
        if (item->place == TUTTI_PLACE_OWNER && member->device->info.unified_memory &&
            size >= MAP_MIN_BYTES) {
            cl_int code;
            const cl_map_flags flags =
                member->plan->owner ? CL_MAP_READ | CL_MAP_WRITE : CL_MAP_READ;
            member->parts[tensor.id] =
                clEnqueueMapBuffer(queue, member->chunks[region->chunk], CL_FALSE, flags,
                                   (size_t)region->offset_bytes, size, 0, NULL, event, &code);
            if (code != CL_SUCCESS)
                return tutti_cl_fail(code, "clEnqueueMapBuffer", member->device);
            member->mapped[tensor.id] = true;
        } else {
            member->parts[tensor.id] = member->staging + member->staging_used;
            TUTTI_CL(member->device, clEnqueueReadBuffer, queue, member->chunks[region->chunk],
                     CL_FALSE, (size_t)region->offset_bytes, size, member->parts[tensor.id], 0,
                     NULL, event);
        }
        member->staging_used += tensor_count(member, tensor);
    }
    TUTTI_CL(member->device, clFlush, queue);
    return TUTTI_OK;
}

static tutti_status unmap(tutti_run_member *member, uint32_t id) {
    const tutti_region *region =
        tutti_member_region(member, member->mapped_mode, (tutti_tensor){id});
    void *pointer = member->parts[id];
    member->mapped[id] = false;
    member->parts[id] = NULL;
    TUTTI_CL(member->device, clEnqueueUnmapMemObject, member->device->queue,
             member->chunks[region->chunk], pointer, 0, NULL, NULL);
    return TUTTI_OK;
}

static tutti_status add_parts(tutti_run_member *member, tutti_tensor tensor) {
    tutti_run *run = member->run;
    const size_t count = tensor_count(member, tensor);
    const float **parts = member->part_list;
    int32_t n_parts = 0;
    for (int32_t i = 0; i < run->n_members; i++)
        if (run->counts[i] > 0)
            parts[n_parts++] = run->members[i].parts[tensor.id];
    if (member->mapped[tensor.id]) {
        tutti_sum_parts(member->parts[tensor.id], parts, n_parts, (int64_t)count);
        return unmap(member, tensor.id);
    }
    float *sum = member->sums + member->sums_used;
    member->sums_used += count;
    tutti_sum_parts(sum, parts, n_parts, (int64_t)count);
    const tutti_region *region = tutti_member_region(member, run->step.mode, tensor);
    TUTTI_ASSERT(region != NULL);
    TUTTI_CL(member->device, clEnqueueWriteBuffer, member->device->queue,
             member->chunks[region->chunk], CL_FALSE, (size_t)region->offset_bytes,
             count * sizeof(float), sum, 0, NULL, NULL);
    return TUTTI_OK;
}

tutti_status tutti_reduce_finish(tutti_run_member *member, int32_t step) {
    const tutti_item *item = item_of(member, step);
    tutti_bound_step *bound = &member->modes[member->run->step.mode].steps[step];
    if (!bound->pending)
        return TUTTI_OK;
    bound->pending = false;
    if (bound->event != NULL) {
        TUTTI_CL(member->device, clWaitForEvents, 1, &bound->event);
        clReleaseEvent(bound->event);
        bound->event = NULL;
    }
    tutti_meeting_arrive(member->run->meeting, bound->slot);
    if (item->place == TUTTI_PLACE_OWNER && !member->plan->owner)
        return TUTTI_OK;
    TUTTI_TRY(tutti_member_wait(member, bound->slot));
    for (int32_t k = 0; k < item->n_tensors; k++)
        TUTTI_TRY(add_parts(member, item->tensors[k]));
    return TUTTI_OK;
}

tutti_status tutti_reduce_release(tutti_run_member *member) {
    for (int32_t id = 1; id < member->run->plan->graph->n_tensors; id++)
        if (member->mapped[id])
            TUTTI_TRY(unmap(member, (uint32_t)id));
    tutti_bound_mode *bound = &member->modes[member->mapped_mode];
    for (int32_t i = 0;
         bound->steps != NULL && i < member->plan->modes[member->mapped_mode].n_steps; i++) {
        bound->steps[i].pending = false;
        if (bound->steps[i].event != NULL)
            clReleaseEvent(bound->steps[i].event);
        bound->steps[i].event = NULL;
    }
    member->staging_used = member->sums_used = 0;
    return TUTTI_OK;
}
