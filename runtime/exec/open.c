/* Opening a run: memory and kernels bound, everything launched once, time models, initial values.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "exec/run.h"

/* Every parameter and state to its start, on every device that has it. */
static tutti_status write_initial(tutti_run *run) {
    const tutti_graph *graph = run->plan->graph;
    for (int32_t id = 1; id < graph->n_tensors; id++) {
        const tutti_tensor_record *record = &graph->tensors[id];
        if (record->kind != TUTTI_TENSOR_PARAM && record->kind != TUTTI_TENSOR_STATE)
            continue;
        const size_t size = (size_t)tutti_shape_count(&record->type.shape, 1) * sizeof(float);
        float *values = malloc(size + 1);
        if (values == NULL)
            return tutti_fail_memory(size, record->name);
        tutti_status status = tutti_init_fill(record, run->seed, values);
        for (int32_t i = 0; i < run->n_members && status == TUTTI_OK; i++)
            status = tutti_member_write(&run->members[i], (tutti_tensor){(uint32_t)id}, values);
        free(values);
        TUTTI_TRY(status);
    }
    return TUTTI_OK;
}

/* Runs a step on one device with whatever its memory holds; returns how long it took. */
static tutti_status seed_step(tutti_run_member *member, tutti_mode mode, int64_t n, double *out_s) {
    tutti_run *run = member->run;
    run->step = (tutti_step){.mode = mode, .seeding = true};
    member->values =
        (tutti_run_values){.n = n, .n_global = n, .seed = run->seed, .scalars = run->scalars};
    const double begin = tutti_clock_s();
    TUTTI_TRY(tutti_member_step(member));
    *out_s = tutti_clock_s() - begin;
    return TUTTI_OK;
}

static tutti_status zero_memory(tutti_run_member *member) {
    for (int32_t i = 0; i < member->plan->n_chunks; i++)
        TUTTI_TRY(tutti_buffer_fill(member->device, member->chunks[i], 0,
                                    (size_t)member->plan->chunk_bytes[i], 0));
    return TUTTI_OK;
}

/* Launches everything once, so that no step compiles or allocates (some drivers do both at a
 * kernel's first launch). *out_n is the largest n that was tried: the device's capacity, or less
 * where that would take long. *out_one_s is the time of a training step of one sample. */
static tutti_status warm_up(tutti_run_member *member, int64_t *out_n, double *out_one_s) {
    const double slow_s = 0.05, budget_s = 0.25;
    const int64_t capacity = member->plan->capacity;
    double one_s = 0, again_s;
    TUTTI_TRY(zero_memory(member));
    for (int mode = TUTTI_MODE_COUNT - 1; mode >= 0; mode--)
        TUTTI_TRY(seed_step(member, (tutti_mode)mode, 1, &one_s));
    /* The first time may have been spent compiling. */
    for (int i = 0; i < 2 && (i == 0 || one_s > slow_s); i++) {
        TUTTI_TRY(seed_step(member, TUTTI_TRAIN, 1, &again_s));
        one_s = again_s < one_s ? again_s : one_s;
    }
    const double fits = budget_s / one_s;
    *out_n = fits >= (double)capacity ? capacity : fits > 1 ? (int64_t)fits : 1;
    *out_one_s = one_s;
    return *out_n > 1 ? seed_step(member, TUTTI_TRAIN, *out_n, &again_s) : TUTTI_OK;
}

/* A line through the best times of one sample and of n. */
static tutti_status measure(tutti_run_member *member, int64_t n, double one_s,
                            tutti_share_device *model) {
    double full_s = 0;
    model->fixed_s = 0;
    model->per_sample_s = one_s;
    if (n == 1)
        return TUTTI_OK;
    for (int i = 0; i < 3; i++) {
        double again_s;
        TUTTI_TRY(seed_step(member, TUTTI_TRAIN, n, &again_s));
        full_s = i == 0 || again_s < full_s ? again_s : full_s;
        TUTTI_TRY(seed_step(member, TUTTI_TRAIN, 1, &again_s));
        one_s = again_s < one_s ? again_s : one_s;
    }
    const double least_s = full_s * 1e-3 / (double)n; /* noise may say that more is faster */
    model->per_sample_s = (full_s - one_s) / (double)(n - 1);
    if (model->per_sample_s < least_s)
        model->per_sample_s = least_s;
    model->fixed_s = one_s > model->per_sample_s ? one_s - model->per_sample_s : 0;
    return TUTTI_OK;
}

/* What the plan predicts without any measurement: the same in every run. */
static void predict(const tutti_run_member *member, tutti_share_device *model) {
    const tutti_plan *plan = member->run->plan;
    const double one_s = tutti_plan_predicted_s(plan, TUTTI_TRAIN, member->index, 1);
    model->per_sample_s = tutti_plan_predicted_s(plan, TUTTI_TRAIN, member->index, 2) - one_s;
    if (!(model->per_sample_s > 0))
        model->per_sample_s = one_s > 0 ? one_s : 1;
    model->fixed_s = one_s > model->per_sample_s ? one_s - model->per_sample_s : 0;
}

/* What it costs a step that a device takes part: its gradients and the weights cross the host once
 * each. */
static double sync_cost_s(size_t weight_count) {
    const double meeting_s = 60e-6, bytes_per_s = 4e9;
    return meeting_s + 2.0 * (double)(weight_count * sizeof(float)) / bytes_per_s;
}

static tutti_status open_member(tutti_run *run, int32_t index, bool measured) {
    tutti_run_member *member = &run->members[index];
    member->run = run;
    member->index = index;
    member->plan = &run->plan->devices[index];
    member->device = &run->plan->runtime->devices[index];
    member->kernels = run->plan->runtime->kernels[index];
    TUTTI_TRY(tutti_member_bind(run, member));
    if (run->n_members > 1) {
        char name[32];
        snprintf(name, sizeof name, "tutti dev %d", (int)index);
        TUTTI_TRY(tutti_worker_start(&member->worker, name));
    }
    int64_t n;
    double one_s;
    TUTTI_TRY(warm_up(member, &n, &one_s));
    tutti_share_device *model = &run->models[index];
    *model = (tutti_share_device){.capacity = member->plan->capacity,
                                  .wanted = member->device->share,
                                  .sync_s = sync_cost_s(run->weight_count),
                                  .remote = !member->plan->owner,
                                  .usable = true};
    if (measured)
        TUTTI_TRY(measure(member, n, one_s, model));
    else
        predict(member, model);
    if (run->n_members > 1)
        tutti_log_write(TUTTI_LOG_INFO, "%s: step model (%s) %.1f us + %.3f us per sample",
                        member->device->info.id, measured ? "measured" : "predicted",
                        model->fixed_s * 1e6, model->per_sample_s * 1e6);
    return TUTTI_OK;
}

static tutti_status open_members(tutti_run *run) {
    const tutti_runtime *runtime = run->plan->runtime;
    const bool reproducible = runtime->profile->determinism == TUTTI_DETERMINISM_REPRODUCIBLE;
    bool all_wanted = true;
    for (int32_t i = 0; i < run->n_members; i++)
        all_wanted = all_wanted && runtime->devices[i].share != TUTTI_SHARE_AUTO;
    const bool fixed = reproducible || all_wanted;
    for (int32_t i = 0; i < run->n_members; i++) {
        tutti_status status = open_member(run, i, run->n_members > 1 && !fixed);
        if (status != TUTTI_OK)
            return tutti_fail_context(status, "%s", runtime->devices[i].info.id);
    }
    return tutti_balancer_make(tutti_policy_find(runtime->profile->schedule), run->models,
                               run->n_members, fixed, &run->balancer);
}

static tutti_status allocate(tutti_run *run) {
    const tutti_graph *graph = run->plan->graph;
    const size_t n = (size_t)run->n_members, n_tensors = (size_t)graph->n_tensors;
    run->members = calloc(n, sizeof *run->members);
    run->models = calloc(n, sizeof *run->models);
    run->counts = calloc(n, sizeof *run->counts);
    run->busy_s = calloc(n, sizeof *run->busy_s);
    run->scalars = calloc((size_t)graph->n_scalars + 1, sizeof *run->scalars);
    run->weight_at = calloc(n_tensors, sizeof *run->weight_at);
    if (run->members == NULL || run->models == NULL || run->counts == NULL || run->busy_s == NULL ||
        run->scalars == NULL || run->weight_at == NULL)
        return tutti_fail_memory(n * sizeof *run->members, "a run");
    for (int32_t i = 0; i < graph->n_scalars; i++)
        run->scalars[i] = graph->scalars[i].initial;
    for (size_t id = 1; id < n_tensors; id++) {
        if (!tutti_graph_is_shared(graph, (tutti_tensor){(uint32_t)id}))
            continue;
        run->weight_at[id] = run->weight_count;
        run->weight_count += (size_t)tutti_shape_count(&graph->tensors[id].type.shape, 1);
    }
    run->weights = calloc(run->weight_count + 1, sizeof *run->weights);
    if (run->weights == NULL)
        return tutti_fail_memory(run->weight_count * sizeof *run->weights, "weights");
    return TUTTI_OK;
}

static tutti_status open_run(tutti_run *run, const tutti_run_options *options) {
    TUTTI_TRY(allocate(run));
    const tutti_plan_mode *modes = run->plan->devices[run->plan->owner].modes;
    int32_t slots = 0;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        if (modes[mode].program.n_items > slots)
            slots = modes[mode].program.n_items;
    run->gate_slot = slots;
    run->commit_slot = slots + 1;
    TUTTI_TRY(tutti_meeting_make(slots + 2, &run->meeting));
    TUTTI_TRY(open_members(run));
    TUTTI_TRY(write_initial(run));
    if (options->shares != NULL)
        TUTTI_TRY(tutti_run_set_shares(run, options->shares));
    return TUTTI_OK;
}

tutti_status tutti_run_open(tutti_plan *plan, const tutti_run_options *options, tutti_run **out) {
    static const tutti_run_options none = {0};
    if (plan == NULL || out == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "tutti_run_open: plan and out must not be NULL");
    *out = NULL;
    if (options == NULL)
        options = &none;
    tutti_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return tutti_fail_memory(sizeof *run, "a run");
    run->plan = plan;
    run->n_members = plan->n_devices;
    run->seed = options->seed;
    tutti_status status = open_run(run, options);
    if (status != TUTTI_OK) {
        tutti_run_close(run);
        return status;
    }
    *out = run;
    return TUTTI_OK;
}

void tutti_run_close(tutti_run *run) {
    if (run == NULL)
        return;
    for (int32_t i = 0; run->members != NULL && i < run->n_members; i++) {
        tutti_worker_stop(run->members[i].worker);
        if (run->members[i].plan != NULL)
            tutti_member_unbind(&run->members[i]);
    }
    tutti_balancer_free(run->balancer);
    tutti_meeting_free(run->meeting);
    free(run->members);
    free(run->models);
    free(run->counts);
    free(run->busy_s);
    free(run->scalars);
    free(run->weight_at);
    free(run->weights);
    free(run->shares);
    free(run);
}
