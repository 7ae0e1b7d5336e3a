/* A run's insides: the plan bound to memory and kernels, a thread per device.
 *
 * A step, on each device that has samples (and on the owner always):
 *
 *   compute  feeds are written, launches enqueued; parts of sums (gradients, loss) go to the host as
 *            they become ready; whoever needs a sum waits for all parts and adds them in device
 *            order.
 *   gate     every device has finished computing; until here an error costs nothing: no parameter
 *            has changed.
 *   commit   the owner runs the updates and puts the new parameters where the others read them.
 *
 * With one device there is nobody to wait for: the commit is enqueued right behind the computation.
 */
#ifndef TUTTI_EXEC_RUN_H
#define TUTTI_EXEC_RUN_H

#include "base/thread.h"
#include "comm/local.h"
#include "kernel/runtime.h"
#include "plan/plan.h"
#include "sched/shares.h"

/* A step of the plan, bound. */
typedef struct tutti_bound_step {
    tutti_bound_launch **launches;
    int32_t n_launches;
    bool needs_samples; /* reads or writes batched tensors: skipped when the device has none */
    int32_t slot;       /* REDUCE: of the meeting */
    int32_t needed_by;  /* REDUCE: the first step that reads a sum, or n_steps */
    bool pending;       /* REDUCE: the part is on its way to the host */
    cl_event event;     /* of that transfer */
} tutti_bound_step;

typedef struct tutti_bound_mode {
    cl_mem *views; /* by tensor id; several ids may share one */
    tutti_bound_step *steps;
} tutti_bound_mode;

typedef struct tutti_timing tutti_timing; /* exec/timing.h */

typedef struct tutti_run_member {
    struct tutti_run *run;
    int32_t index;
    const tutti_plan_device *plan;
    tutti_kernels *kernels;
    const tutti_device *device;
    tutti_worker *worker;
    cl_mem *chunks;
    cl_mem *made_views; /* each once, for release */
    int32_t n_made_views, cap_made_views;
    tutti_bound_mode modes[TUTTI_MODE_COUNT];
    /* This device's parts of sums during a step, by tensor id: in `staging`, or a mapping that must
     * be undone. */
    float **parts;
    bool *mapped;
    tutti_mode mapped_mode; /* mode of the step that the mappings belong to */
    float *staging, *sums;
    size_t staging_used, sums_used; /* elements */
    const float **part_list;        /* one per device */
    tutti_timing *timing;           /* NULL unless launches are timed */
    bool stale;                     /* its weights are behind the owner's */
    bool lost;
    /* Of the current step. */
    tutti_run_values values;
    double waited_s, busy_s;
    int32_t unflushed; /* launches since the queue was last told to begin */
    /* Since the run was opened. */
    int64_t total_samples;
    double total_busy_s;
} tutti_run_member;

/* The step under way, read by the device threads. */
typedef struct tutti_step {
    tutti_mode mode;
    const tutti_feed *feeds;
    int32_t n_feeds;
    const tutti_fetch *fetches;
    int32_t n_fetches;
    bool alone; /* only the owner takes part */
    /* A gradient is not finite: nothing is committed (set by the owner at the gate). */
    bool skipped;
    bool seeding; /* warming up or measuring at start: one device, no collectives */
} tutti_step;

struct tutti_run {
    tutti_plan *plan;
    tutti_run_member *members;
    int32_t n_members;
    tutti_meeting *meeting;
    int32_t gate_slot, commit_slot;
    tutti_share_device *models; /* one per device */
    tutti_balancer *balancer;
    double *shares; /* set by hand, or NULL */
    int64_t *counts;
    double *busy_s; /* scratch for the balancer */
    float *scalars;
    uint64_t seed, n_committed, total_samples;
    /* Loss scaling: steps that were not committed, and those that were since the scale changed. */
    uint64_t n_skipped, n_good;
    float finite; /* of the step: a number, if all gradients are */
    double first_step_s;
    /* Host copy of what every device has (parameters, and states that nodes of the step read), for
     * broadcasts. */
    float *weights;
    size_t *weight_at; /* by tensor id: where in weights, in elements */
    size_t weight_count;
    tutti_step step;
};

/* Allocates memory, makes views and kernels for one device (exec/bind.c). */
TUTTI_MUST_USE tutti_status tutti_member_bind(tutti_run *run, tutti_run_member *member);
void tutti_member_unbind(tutti_run_member *member);
/* Where a tensor lies on the device; NULL when it has no memory there. */
const tutti_region *tutti_member_region(const tutti_run_member *member, tutti_mode mode,
                                        tutti_tensor tensor);
/* Where a parameter or state lies: the same place in every mode that has it; NULL when none has. */
const tutti_region *tutti_member_stored(const tutti_run_member *member, tutti_tensor tensor);
/* Sets a parameter or state on this device, where it has it; blocking. */
TUTTI_MUST_USE tutti_status tutti_member_write(tutti_run_member *member, tutti_tensor tensor,
                                               const void *data);

/* The job of a device thread for run->step; user is the member (exec/step.c). */
tutti_status tutti_member_step(void *user);

/* Parts of sums (exec/reduce.c). begin sends this device's part to the host; finish waits for what
 * this device needs of the sum; release undoes mappings once nobody reads them any more. */
TUTTI_MUST_USE tutti_status tutti_reduce_begin(tutti_run_member *member, int32_t step);
TUTTI_MUST_USE tutti_status tutti_reduce_finish(tutti_run_member *member, int32_t step);
TUTTI_MUST_USE tutti_status tutti_reduce_release(tutti_run_member *member);
/* tutti_meeting_wait, counted as waiting. */
TUTTI_MUST_USE tutti_status tutti_member_wait(tutti_run_member *member, int32_t slot);

/* Initial values of a parameter or state (exec/init.c). */
TUTTI_MUST_USE tutti_status tutti_init_fill(const tutti_tensor_record *record, uint64_t seed,
                                            float *out);

#endif
