#include <math.h>
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

/* A device that sat out steps gets what every device has from the owner. */
static tutti_status refresh(tutti_run *run, tutti_run_member *member, int32_t *out_failed) {
    const tutti_graph *graph = run->plan->graph;
    for (uint32_t id = 1; id < (uint32_t)graph->n_tensors; id++) {
        const tutti_tensor tensor = {id};
        const tutti_region *region = tutti_member_stored(owner_of(run), tensor);
        if (region == NULL || !tutti_graph_is_shared(graph, tensor))
            continue;
        float *values = run->weights + run->weight_at[id];
        *out_failed = run->plan->owner;
        TUTTI_TRY(tutti_buffer_read(owner_of(run)->device, owner_of(run)->chunks[region->chunk],
                                    (size_t)region->offset_bytes, values,
                                    (size_t)region->size_bytes));
        *out_failed = member->index;
        TUTTI_TRY(tutti_member_write(member, tensor, values));
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
        if (run->counts[i] > 0 && run->members[i].stale)
            TUTTI_TRY(refresh(run, &run->members[i], out_failed));
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
    TUTTI_ASSERT(failed >= 0);
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

static void set_loss_scale(tutti_run *run, float scale) {
    run->scalars[run->plan->graph->loss_scale] = scale;
    run->scalars[run->plan->graph->loss_unscale] = 1 / scale;
    run->n_good = 0;
}

/* What the step says of the loss scale. */
static void follow_gradients(tutti_run *run) {
    const float scale = run->scalars[run->plan->graph->loss_scale];
    if (run->step.skipped) {
        run->n_skipped++;
        /* No smaller scale will help: training may go on like this and change nothing. */
        tutti_log_write(scale > 1 ? TUTTI_LOG_INFO : TUTTI_LOG_WARNING,
                        "step %llu: gradients are not finite at a loss scale of %g: skipped",
                        (unsigned long long)run->n_committed + 1, (double)scale);
        set_loss_scale(run, scale > 1 ? scale / 2 : 1);
    } else if (++run->n_good == TUTTI_LOSS_SCALE_GROWTH) {
        set_loss_scale(run, scale < TUTTI_LOSS_SCALE_MAX ? scale * 2 : scale);
    }
}

static void account(tutti_run *run, tutti_mode mode, int64_t n, double step_s) {
    if (run->first_step_s == 0)
        run->first_step_s = tutti_clock_s() - run->plan->runtime->opened_s;
    if (mode != TUTTI_TRAIN)
        return;
    if (run->plan->graph->finite.id != 0)
        follow_gradients(run);
    run->n_committed += run->step.skipped ? 0 : 1;
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
    /* The owner holds every parameter and state in every mode. */
    const tutti_region *region = tutti_member_stored(owner_of(run), tensor);
    return tutti_buffer_read(owner_of(run)->device, owner_of(run)->chunks[region->chunk],
                             (size_t)region->offset_bytes, data, size_bytes);
}

tutti_status tutti_run_write(tutti_run *run, tutti_tensor tensor, const void *data,
                             size_t size_bytes) {
    const tutti_tensor_record *record;
    TUTTI_TRY(check_stored(run, tensor, size_bytes, &record));
    for (int32_t i = 0; i < run->n_members; i++)
        if (!run->members[i].lost)
            TUTTI_TRY(tutti_member_write(&run->members[i], tensor, data));
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
    const tutti_graph *graph = run->plan->graph;
    int exponent;
    if (graph->finite.id == 0 ||
        ((uint32_t)index != graph->loss_scale && (uint32_t)index != graph->loss_unscale)) {
        run->scalars[index] = value;
        return TUTTI_OK;
    }
    if ((uint32_t)index == graph->loss_unscale || !(value >= 1) ||
        !(value <= TUTTI_LOSS_SCALE_MAX) || frexpf(value, &exponent) != 0.5F)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "scalar \"%s\" is set to %g: \"loss_scale\" takes powers of two from 1 "
                          "to 2^24, its inverse follows",
                          name, (double)value);
    set_loss_scale(run, value);
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

uint64_t tutti_run_skipped(const tutti_run *run) {
    return run->n_skipped;
}

uint64_t tutti_run_steps(const tutti_run *run) {
    return run->n_committed;
}

double tutti_run_first_step_s(const tutti_run *run) {
    return run->first_step_s;
}
