#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "exec/run.h"

static tutti_run_member *owner_of(tutti_run *run) {
    return &run->members[run->plan->owner];
}

static const tutti_program *program_of(const tutti_run *run, tutti_mode mode) {
    return &run->plan->devices[run->plan->owner].modes[mode].program;
}

/* Where a parameter or state lies: the same place in every mode that has it. */
static const tutti_region *stored_region(const tutti_run_member *member, tutti_tensor tensor) {
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        const tutti_region *region = tutti_member_region(member, (tutti_mode)mode, tensor);
        if (region != NULL)
            return region;
    }
    return NULL;
}

static tutti_status write_stored(tutti_run_member *member, tutti_tensor tensor, const void *data) {
    const tutti_region *region = stored_region(member, tensor);
    if (region == NULL)
        return TUTTI_OK;
    return tutti_buffer_write(member->device, member->chunks[region->chunk],
                              (size_t)region->offset_bytes, data, (size_t)region->size_bytes);
}

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
        tutti_init_fill(record, run->seed, values);
        tutti_status status = TUTTI_OK;
        for (int32_t i = 0; i < run->n_members && status == TUTTI_OK; i++)
            status = write_stored(&run->members[i], (tutti_tensor){(uint32_t)id}, values);
        free(values);
        TUTTI_TRY(status);
    }
    return TUTTI_OK;
}

/* Runs a step on one device with whatever its memory holds; returns how long it took. */
static tutti_status seed_step(tutti_run *run, tutti_run_member *member, tutti_mode mode, int64_t n,
                              double *out_s) {
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
 * kernel's first launch), and where shares follow measurement times a small and a full step for the
 * device's time model. */
static tutti_status warm_up(tutti_run *run, tutti_run_member *member, bool measure,
                            tutti_share_device *model) {
    const double slow_s = 0.05; /* one sample takes this long: do not try a full batch */
    double small_s = 0, full_s = 0, ignored_s;
    TUTTI_TRY(zero_memory(member));
    for (int mode = TUTTI_MODE_COUNT - 1; mode >= 0; mode--)
        TUTTI_TRY(seed_step(run, member, (tutti_mode)mode, 1, &small_s));
    const int64_t capacity = member->plan->capacity;
    model->fixed_s = 0;
    model->per_sample_s = small_s;
    if (capacity == 1 || small_s > slow_s + 1.0)
        return TUTTI_OK;
    if (!measure)
        return seed_step(run, member, TUTTI_TRAIN, capacity, &ignored_s);
    /* The first small step may have compiled. */
    TUTTI_TRY(seed_step(run, member, TUTTI_TRAIN, 1, &small_s));
    model->per_sample_s = small_s;
    if (small_s > slow_s)
        return TUTTI_OK;
    for (int i = 0; i < 3; i++) {
        double again_s;
        TUTTI_TRY(seed_step(run, member, TUTTI_TRAIN, capacity, &again_s));
        full_s = i == 0 || again_s < full_s ? again_s : full_s;
        TUTTI_TRY(seed_step(run, member, TUTTI_TRAIN, 1, &again_s));
        small_s = again_s < small_s ? again_s : small_s;
    }
    model->per_sample_s = (full_s - small_s) / (double)(capacity - 1);
    if (model->per_sample_s < full_s * 1e-3 / (double)capacity)
        model->per_sample_s = full_s * 1e-3 / (double)capacity;
    model->fixed_s = small_s > model->per_sample_s ? small_s - model->per_sample_s : 0;
    return TUTTI_OK;
}

/* What it costs a step that a device takes part: its gradients and the weights cross the host once
 * each. */
static double sync_cost_s(const tutti_run *run, size_t weight_count) {
    const double meeting_s = 60e-6, bytes_per_s = 4e9;
    (void)run;
    return meeting_s + 2.0 * (double)(weight_count * sizeof(float)) / bytes_per_s;
}

static tutti_status open_members(tutti_run *run, size_t weight_count) {
    const tutti_plan *plan = run->plan;
    const tutti_profile *profile = plan->runtime->profile;
    tutti_share_device *models = calloc((size_t)run->n_members, sizeof *models);
    if (models == NULL)
        return tutti_fail_memory((size_t)run->n_members * sizeof *models, "time models");
    bool fixed = profile->determinism == TUTTI_DETERMINISM_REPRODUCIBLE;
    bool all_wanted = true;
    for (int32_t i = 0; i < run->n_members; i++)
        all_wanted = all_wanted && plan->runtime->devices[i].share != TUTTI_SHARE_AUTO;
    fixed = fixed || all_wanted;
    const bool measure = run->n_members > 1 && !fixed;

    tutti_status status = TUTTI_OK;
    for (int32_t i = 0; i < run->n_members && status == TUTTI_OK; i++) {
        tutti_run_member *member = &run->members[i];
        member->run = run;
        member->index = i;
        member->plan = &plan->devices[i];
        member->device = &plan->runtime->devices[i];
        member->kernels = plan->runtime->kernels[i];
        status = tutti_member_bind(run, member);
        if (status == TUTTI_OK && run->n_members > 1) {
            char name[32];
            snprintf(name, sizeof name, "tutti dev %d", (int)i);
            status = tutti_worker_start(&member->worker, name);
        }
        models[i] = (tutti_share_device){.capacity = member->plan->capacity,
                                         .wanted = member->device->share,
                                         .sync_s = sync_cost_s(run, weight_count),
                                         .usable = true};
        if (status == TUTTI_OK)
            status = warm_up(run, member, measure, &models[i]);
        if (status != TUTTI_OK)
            status = tutti_fail_context(status, "%s", member->device->info.id);
        if (status == TUTTI_OK && run->n_members > 1)
            tutti_log_write(TUTTI_LOG_INFO, "%s: step model %.1f us + %.3f us per sample",
                            member->device->info.id, models[i].fixed_s * 1e6,
                            models[i].per_sample_s * 1e6);
    }
    if (status == TUTTI_OK) {
        memcpy(run->models, models, (size_t)run->n_members * sizeof *models);
        status = tutti_balancer_make(tutti_policy_find(profile->schedule), models, run->n_members,
                                     fixed, &run->balancer);
    }
    free(models);
    return status;
}

static tutti_status open_run(tutti_run *run, const tutti_run_options *options) {
    tutti_plan *plan = run->plan;
    const tutti_graph *graph = plan->graph;
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
    size_t weight_count = 0;
    for (size_t id = 1; id < n_tensors; id++) {
        if (graph->tensors[id].kind != TUTTI_TENSOR_PARAM)
            continue;
        run->weight_at[id] = weight_count;
        weight_count += (size_t)tutti_shape_count(&graph->tensors[id].type.shape, 1);
    }
    run->weights = calloc(weight_count + 1, sizeof *run->weights);
    if (run->weights == NULL)
        return tutti_fail_memory(weight_count * sizeof *run->weights, "weights");

    int32_t slots = 0;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        if (program_of(run, (tutti_mode)mode)->n_items > slots)
            slots = program_of(run, (tutti_mode)mode)->n_items;
    run->gate_slot = slots;
    run->commit_slot = slots + 1;
    TUTTI_TRY(tutti_meeting_make(slots + 2, &run->meeting));
    TUTTI_TRY(open_members(run, weight_count));
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

static bool listed(tutti_tensor tensor, const tutti_tensor *list, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (list[i].id == tensor.id)
            return true;
    return false;
}

static const char *mode_name(tutti_mode mode) {
    static const char *const names[] = {"train", "eval", "predict"};
    return names[mode];
}

static tutti_status check_step(const tutti_run *run, tutti_mode mode, int64_t n,
                               const tutti_feed *feeds, int32_t n_feeds, const tutti_fetch *fetches,
                               int32_t n_fetches) {
    if ((unsigned)mode >= TUTTI_MODE_COUNT)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "step: mode is %d, expected train, eval or predict", (int)mode);
    if (n < 1 || n > run->plan->batch)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "step: %lld samples, expected 1 to %lld",
                          (long long)n, (long long)run->plan->batch);
    const tutti_graph *graph = run->plan->graph;
    const tutti_program *program = program_of(run, mode);
    for (int32_t i = 0; i < n_feeds; i++) {
        const uint32_t id = feeds[i].tensor.id;
        if (id == 0 || id >= (uint32_t)graph->n_tensors ||
            graph->tensors[id].kind != TUTTI_TENSOR_INPUT)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "step: feed %d is not an input of the graph",
                              (int)i);
        if (feeds[i].data == NULL)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "step: the feed of \"%s\" has no data",
                              graph->tensors[id].name);
        for (int32_t k = 0; k < i; k++)
            if (feeds[k].tensor.id == id)
                return tutti_fail(TUTTI_INVALID_ARGUMENT, "step: input \"%s\" is fed twice",
                                  graph->tensors[id].name);
    }
    for (int32_t i = 0; i < program->n_inputs; i++) {
        bool fed = false;
        for (int32_t k = 0; k < n_feeds; k++)
            fed = fed || feeds[k].tensor.id == program->inputs[i].id;
        if (!fed)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "step: input \"%s\" is not fed",
                              graph->tensors[program->inputs[i].id].name);
    }
    for (int32_t i = 0; i < n_fetches; i++)
        if (!listed(fetches[i].tensor, program->fetches, program->n_fetches) ||
            fetches[i].data == NULL)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "step: fetch %d is no output that mode %s computes, or has no memory",
                              (int)i, mode_name(mode));
    return TUTTI_OK;
}

/* A device that sat out steps gets the parameters of the owner. */
static tutti_status refresh(tutti_run *run, tutti_run_member *member) {
    const tutti_graph *graph = run->plan->graph;
    for (int32_t i = 0; i < tutti_graph_param_count(graph); i++) {
        const tutti_tensor param = tutti_graph_param_at(graph, i);
        const tutti_region *region = stored_region(owner_of(run), param);
        float *values = run->weights + run->weight_at[param.id];
        if (region == NULL)
            continue;
        TUTTI_TRY(tutti_buffer_read(owner_of(run)->device, owner_of(run)->chunks[region->chunk],
                                    (size_t)region->offset_bytes, values,
                                    (size_t)region->size_bytes));
        TUTTI_TRY(write_stored(member, param, values));
    }
    member->stale = false;
    return TUTTI_OK;
}

static tutti_status split(tutti_run *run, int64_t n) {
    if (run->shares != NULL)
        return tutti_shares_proportional(run->shares, run->models, run->n_members, n, run->counts);
    return tutti_balancer_counts(run->balancer, n, run->counts);
}

/* Runs run->step with run->counts on all devices. On an error *out_failed is the device that caused
 * it. */
static tutti_status attempt(tutti_run *run, int64_t n, int32_t *out_failed) {
    int64_t begin = 0;
    int32_t parties = 0;
    for (int32_t i = 0; i < run->n_members; i++) {
        tutti_run_member *member = &run->members[i];
        member->values = (tutti_run_values){
            .n = run->counts[i],
            .n_global = n,
            .sample_begin = begin,
            .seed = run->seed,
            .step = run->n_committed,
            .scalars = run->scalars,
        };
        begin += run->counts[i];
        member->busy_s = 0;
        if (run->counts[i] > 0 || member->plan->owner)
            parties++;
    }
    tutti_run_member *owner = owner_of(run);
    run->step.alone = parties == 1 && owner->values.n == n;
    if (run->step.alone) {
        *out_failed = run->plan->owner;
        return tutti_member_step(owner);
    }
    for (int32_t i = 0; i < run->n_members; i++) {
        if (run->counts[i] > 0 && run->members[i].stale) {
            *out_failed = i;
            TUTTI_TRY(refresh(run, &run->members[i]));
        }
    }
    tutti_meeting_begin(run->meeting, parties);
    for (int32_t i = 0; i < run->n_members; i++)
        if (run->counts[i] > 0 || run->members[i].plan->owner)
            tutti_worker_post(run->members[i].worker, tutti_member_step, &run->members[i]);
    tutti_status first = TUTTI_OK;
    char message[TUTTI_MESSAGE_MAX];
    for (int32_t i = 0; i < run->n_members; i++) {
        if (run->counts[i] == 0 && !run->members[i].plan->owner)
            continue;
        tutti_status status = tutti_worker_wait(run->members[i].worker);
        /* Those that gave up because of another are not the cause. */
        if (status != TUTTI_OK && status != TUTTI_STOPPED && first == TUTTI_OK) {
            first = status;
            snprintf(message, sizeof message, "%s", tutti_error_message());
            *out_failed = i;
        }
    }
    return first == TUTTI_OK ? TUTTI_OK : tutti_fail_from(first, message);
}

static tutti_status lose(tutti_run *run, int32_t failed, tutti_status status) {
    tutti_run_member *member = &run->members[failed];
    const tutti_profile *profile = run->plan->runtime->profile;
    const bool can_go_on = profile->on_failure == TUTTI_ON_FAILURE_CONTINUE &&
                           !member->plan->owner && run->shares == NULL;
    if (!can_go_on)
        return tutti_fail_context(status, "step %llu on %s",
                                  (unsigned long long)run->n_committed + 1,
                                  member->device->info.id);
    tutti_log_write(
        TUTTI_LOG_WARNING, "step %llu: %s is given up (%s); its share goes to the others",
        (unsigned long long)run->n_committed + 1, member->device->info.id, tutti_error_message());
    member->lost = true;
    run->models[failed].usable = false;
    tutti_balancer_lose(run->balancer, failed);
    return TUTTI_OK;
}

static void account(tutti_run *run, tutti_mode mode, int64_t n, double step_s) {
    if (run->first_step_s == 0)
        run->first_step_s = tutti_clock_s() - run->plan->runtime->opened_s;
    if (mode != TUTTI_TRAIN)
        return;
    run->n_committed++;
    run->total_samples += (uint64_t)n;
    for (int32_t i = 0; i < run->n_members; i++) {
        tutti_run_member *member = &run->members[i];
        run->busy_s[i] = member->busy_s;
        member->total_busy_s += member->busy_s;
        member->total_samples += run->counts[i];
        if (run->counts[i] == 0 && !member->plan->owner)
            member->stale = true;
    }
    if (run->n_members > 1 && run->shares == NULL)
        tutti_balancer_report(run->balancer, run->counts, run->busy_s, step_s);
}

tutti_status tutti_run_step(tutti_run *run, tutti_mode mode, int64_t n, const tutti_feed *feeds,
                            int32_t n_feeds, const tutti_fetch *fetches, int32_t n_fetches) {
    if (run == NULL || (feeds == NULL && n_feeds > 0) || (fetches == NULL && n_fetches > 0))
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "tutti_run_step: run, feeds and fetches must not be NULL");
    TUTTI_TRY(check_step(run, mode, n, feeds, n_feeds, fetches, n_fetches));
    for (;;) {
        run->step = (tutti_step){.mode = mode,
                                 .feeds = feeds,
                                 .n_feeds = n_feeds,
                                 .fetches = fetches,
                                 .n_fetches = n_fetches};
        TUTTI_TRY(split(run, n));
        const double begin = tutti_clock_s();
        int32_t failed = -1;
        tutti_status status = attempt(run, n, &failed);
        if (status == TUTTI_OK) {
            account(run, mode, n, tutti_clock_s() - begin);
            return TUTTI_OK;
        }
        TUTTI_TRY(lose(run, failed, status));
    }
}

static tutti_status check_stored(const tutti_run *run, tutti_tensor tensor, size_t size_bytes,
                                 const tutti_tensor_record **out) {
    const tutti_graph *graph = run->plan->graph;
    if (tensor.id == 0 || tensor.id >= (uint32_t)graph->n_tensors ||
        (graph->tensors[tensor.id].kind != TUTTI_TENSOR_PARAM &&
         graph->tensors[tensor.id].kind != TUTTI_TENSOR_STATE))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "tensor %u is no parameter or state",
                          (unsigned)tensor.id);
    *out = &graph->tensors[tensor.id];
    const size_t size = (size_t)tutti_shape_count(&(*out)->type.shape, 1) * sizeof(float);
    if (size_bytes != size)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "\"%s\": %zu bytes, expected %zu", (*out)->name,
                          size_bytes, size);
    return TUTTI_OK;
}

tutti_status tutti_run_read(tutti_run *run, tutti_tensor tensor, void *data, size_t size_bytes) {
    const tutti_tensor_record *record;
    TUTTI_TRY(check_stored(run, tensor, size_bytes, &record));
    const tutti_region *region = stored_region(owner_of(run), tensor);
    if (region == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "\"%s\" is not used by any mode of the graph",
                          record->name);
    return tutti_buffer_read(owner_of(run)->device, owner_of(run)->chunks[region->chunk],
                             (size_t)region->offset_bytes, data, size_bytes);
}

tutti_status tutti_run_write(tutti_run *run, tutti_tensor tensor, const void *data,
                             size_t size_bytes) {
    const tutti_tensor_record *record;
    TUTTI_TRY(check_stored(run, tensor, size_bytes, &record));
    for (int32_t i = 0; i < run->n_members; i++)
        if (!run->members[i].lost)
            TUTTI_TRY(write_stored(&run->members[i], tensor, data));
    return TUTTI_OK;
}

static tutti_status find_scalar(const tutti_run *run, const char *name, int32_t *out) {
    const tutti_graph *graph = run->plan->graph;
    for (*out = 0; *out < graph->n_scalars; (*out)++)
        if (strcmp(graph->scalars[*out].name, name) == 0)
            return TUTTI_OK;
    return tutti_fail(TUTTI_INVALID_ARGUMENT, "the graph has no scalar \"%s\"", name);
}

tutti_status tutti_run_set_scalar(tutti_run *run, const char *name, float value) {
    int32_t index;
    TUTTI_TRY(find_scalar(run, name, &index));
    run->scalars[index] = value;
    return TUTTI_OK;
}

tutti_status tutti_run_get_scalar(tutti_run *run, const char *name, float *out) {
    int32_t index;
    TUTTI_TRY(find_scalar(run, name, &index));
    *out = run->scalars[index];
    return TUTTI_OK;
}

tutti_status tutti_run_set_shares(tutti_run *run, const double *shares) {
    if (shares == NULL) {
        free(run->shares);
        run->shares = NULL;
        return TUTTI_OK;
    }
    double sum = 0;
    for (int32_t i = 0; i < run->n_members; i++) {
        if (!(shares[i] >= 0 && shares[i] <= 1))
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "share of %s is %g, expected 0 to 1",
                              run->members[i].device->info.id, shares[i]);
        if (shares[i] > 0 && run->members[i].lost)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "share of %s is %g, but the device is lost",
                              run->members[i].device->info.id, shares[i]);
        sum += shares[i];
    }
    if (!(sum > 1 - 1e-6 && sum < 1 + 1e-6))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "shares sum to %g, expected 1", sum);
    if (run->shares == NULL)
        run->shares = malloc((size_t)run->n_members * sizeof *run->shares);
    if (run->shares == NULL)
        return tutti_fail_memory((size_t)run->n_members * sizeof *run->shares, "shares");
    memcpy(run->shares, shares, (size_t)run->n_members * sizeof *run->shares);
    return TUTTI_OK;
}

tutti_run_device_stats tutti_run_device(const tutti_run *run, int32_t device) {
    const tutti_run_member *member = &run->members[device];
    tutti_run_device_stats stats = {
        .samples = member->total_samples,
        .busy_s = member->total_busy_s,
        .lost = member->lost,
    };
    for (int32_t i = 0; i < member->plan->n_chunks; i++)
        stats.memory_bytes += member->plan->chunk_bytes[i];
    if (run->total_samples > 0)
        stats.share = (double)member->total_samples / (double)run->total_samples;
    else if (split((tutti_run *)run, run->plan->batch) == TUTTI_OK)
        stats.share = (double)run->counts[device] / (double)run->plan->batch;
    return stats;
}

uint64_t tutti_run_steps(const tutti_run *run) {
    return run->n_committed;
}

double tutti_run_first_step_s(const tutti_run *run) {
    return run->first_step_s;
}
