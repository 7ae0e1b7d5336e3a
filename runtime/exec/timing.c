#include "exec/timing.h"

#include <stdlib.h>

#include "base/status.h"

struct tutti_timing {
    tutti_launch_time *times;
    cl_event *events;
    int32_t count, capacity;
};

static int32_t most_launches(const tutti_run_member *member) {
    int32_t most = 0;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        int32_t count = 0;
        for (int32_t i = 0; i < member->plan->modes[mode].n_steps; i++)
            count += member->modes[mode].steps[i].n_launches;
        most = count > most ? count : most;
    }
    return most;
}

static tutti_status start(tutti_run_member *member) {
    cl_command_queue_properties properties = 0;
    TUTTI_CL(member->device, clGetCommandQueueInfo, member->device->queue, CL_QUEUE_PROPERTIES,
             sizeof properties, &properties, NULL);
    if ((properties & CL_QUEUE_PROFILING_ENABLE) == 0)
        return tutti_fail(TUTTI_UNSUPPORTED,
                          "%s: its queue was opened without profiling (\"queue\": "
                          "{\"profiling\": true} in the profile)",
                          member->device->info.id);
    tutti_timing *timing = calloc(1, sizeof *timing);
    if (timing == NULL)
        return tutti_fail_memory(sizeof *timing, "times of launches");
    const size_t capacity = (size_t)most_launches(member);
    timing->capacity = (int32_t)capacity;
    timing->times = calloc(capacity + 1, sizeof *timing->times);
    timing->events = calloc(capacity + 1, sizeof(cl_event));
    if (timing->times == NULL || timing->events == NULL) {
        tutti_timing_free(timing);
        return tutti_fail_memory(capacity * sizeof *timing->times, "times of launches");
    }
    member->timing = timing;
    return TUTTI_OK;
}

tutti_status tutti_run_time_launches(tutti_run *run, bool on) {
    for (int32_t i = 0; i < run->n_members; i++) {
        tutti_run_member *member = &run->members[i];
        if (on && member->timing == NULL) {
            TUTTI_TRY(start(member));
        } else if (!on) {
            tutti_timing_free(member->timing);
            member->timing = NULL;
        }
    }
    return TUTTI_OK;
}

const tutti_launch_time *tutti_run_launch_times(const tutti_run *run, int32_t device,
                                                int32_t *out_count) {
    const tutti_timing *timing = run->members[device].timing;
    *out_count = timing == NULL ? 0 : timing->count;
    return timing == NULL ? NULL : timing->times;
}

static void drop_events(tutti_timing *timing) {
    for (int32_t i = 0; i < timing->count; i++)
        if (timing->events[i] != NULL)
            clReleaseEvent(timing->events[i]);
    timing->count = 0;
}

void tutti_timing_begin(tutti_run_member *member) {
    if (member->timing != NULL)
        drop_events(member->timing);
}

tutti_status tutti_timing_next(tutti_run_member *member, int32_t step, int32_t launch,
                               cl_event **out) {
    tutti_timing *timing = member->timing;
    *out = NULL;
    if (timing == NULL)
        return TUTTI_OK;
    TUTTI_ASSERT(timing->count < timing->capacity);
    timing->times[timing->count] = (tutti_launch_time){.step = step, .launch = launch};
    timing->events[timing->count] = NULL;
    *out = &timing->events[timing->count++];
    return TUTTI_OK;
}

static tutti_status read_times(const tutti_run_member *member, cl_event event,
                               tutti_launch_time *time) {
    cl_ulong begin, end;
    TUTTI_CL(member->device, clGetEventProfilingInfo, event, CL_PROFILING_COMMAND_START,
             sizeof begin, &begin, NULL);
    TUTTI_CL(member->device, clGetEventProfilingInfo, event, CL_PROFILING_COMMAND_END, sizeof end,
             &end, NULL);
    time->begin_ns = begin;
    time->end_ns = end;
    return TUTTI_OK;
}

tutti_status tutti_timing_take(tutti_run_member *member) {
    tutti_timing *timing = member->timing;
    tutti_status status = TUTTI_OK;
    int32_t kept = 0;
    if (timing == NULL)
        return TUTTI_OK;
    const cl_int code = clFinish(member->device->queue);
    if (code != CL_SUCCESS)
        status = tutti_cl_fail(code, "clFinish", member->device);
    for (int32_t i = 0; i < timing->count && status == TUTTI_OK; i++) {
        tutti_launch_time time = timing->times[i];
        if (timing->events[i] == NULL) /* an empty range: nothing was launched */
            continue;
        status = read_times(member, timing->events[i], &time);
        timing->times[kept++] = time;
    }
    drop_events(timing);
    for (int32_t i = 0; i < kept; i++)
        timing->events[i] = NULL;
    timing->count = status == TUTTI_OK ? kept : 0;
    return status;
}

void tutti_timing_free(tutti_timing *timing) {
    if (timing == NULL)
        return;
    drop_events(timing);
    free(timing->events);
    free(timing->times);
    free(timing);
}
