/* Times of a run's launches, by OpenCL's profiling events: for benchmarks.
 *
 *     TRY(tutti_run_time_launches(run, true));     the profile asked for profiling queues
 *     TRY(tutti_run_step(run, TUTTI_TRAIN, ...));
 *     times = tutti_run_launch_times(run, 0, &count);
 */
#ifndef TUTTI_EXEC_TIMING_H
#define TUTTI_EXEC_TIMING_H

#include "exec/run.h"

/* Of the device's clock. */
typedef struct tutti_launch_time {
    int32_t step;   /* index in the plan's steps of the mode */
    int32_t launch; /* of the step's candidate */
    uint64_t begin_ns, end_ns;
} tutti_launch_time;

/* From the next step on, each step waits for its launches and keeps their times; false stops that.
 * TUTTI_UNSUPPORTED when a device's queue was opened without profiling. */
TUTTI_MUST_USE tutti_status tutti_run_time_launches(tutti_run *run, bool on);
/* Those of the last step on the device, in order; borrowed until the next one. */
const tutti_launch_time *tutti_run_launch_times(const tutti_run *run, int32_t device,
                                                int32_t *out_count);

/* For the step. begin forgets the times of the one before. */
void tutti_timing_begin(tutti_run_member *member);
/* Where the event of the next launch goes; NULL while launches are not timed. */
TUTTI_MUST_USE tutti_status tutti_timing_next(tutti_run_member *member, int32_t step,
                                              int32_t launch, cl_event **out);
/* Waits for the step's launches and keeps their times. */
TUTTI_MUST_USE tutti_status tutti_timing_take(tutti_run_member *member);
void tutti_timing_free(tutti_timing *timing);

#endif
