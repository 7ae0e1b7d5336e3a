#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "kernel/driver_cache.h"
#include "kernel/merge.h"
#include "kernel/programs.h"

#define MERGE_MAX 256 /* units in one program */

/* Our binaries are kept when the profile asks for it, and where the driver keeps none itself and
 * gives them cheaply. */
static void choose_policy(tutti_kernels *kernels) {
    const tutti_device *device = kernels->device;
    tutti_cache_mode mode =
        kernels->profile != NULL ? kernels->profile->cache_mode : TUTTI_CACHE_AUTO;
    bool slow = (device->quirks & TUTTI_QUIRK_BINARY_SLOW) != 0;
    kernels->binaries = mode == TUTTI_CACHE_DISK ||
                        (mode == TUTTI_CACHE_AUTO && !slow && !tutti_driver_cache_on(device));
    kernels->merge = slow;
}

tutti_status tutti_kernels_make(const tutti_profile *profile, const tutti_device *device,
                                tutti_kernels **out) {
    tutti_kernels *kernels = calloc(1, sizeof *kernels);
    if (kernels == NULL)
        return tutti_fail_memory(sizeof *kernels, "the kernels of a device");
    kernels->profile = profile;
    kernels->device = device;
    choose_policy(kernels);
    tutti_status status = tutti_source_path_make(profile, &kernels->path);
    if (status == TUTTI_OK)
        status = tutti_cache_open(profile, &kernels->cache);
    if (status != TUTTI_OK) {
        tutti_kernels_free(kernels);
        return status;
    }
    *out = kernels;
    return TUTTI_OK;
}

void tutti_kernels_free(tutti_kernels *kernels) {
    if (kernels == NULL)
        return;
    for (int32_t i = 0; i < kernels->n_units; i++)
        tutti_unit_free(&kernels->units[i]);
    free(kernels->units);
    tutti_cl_programs_free(kernels);
    tutti_cache_close(kernels->cache);
    tutti_tunings_free(&kernels->tunings);
    tutti_arena_free(&kernels->arena);
    tutti_source_path_free(&kernels->path);
    free(kernels);
}

const tutti_device *tutti_kernels_device(const tutti_kernels *kernels) {
    return kernels->device;
}

tutti_kernel_stats tutti_kernels_stats(const tutti_kernels *kernels) {
    return kernels->stats;
}

/* Every wanted entry gets a kernel object at once: a name that is not there is an error of the
 * build, and drivers give whole binaries only after their kernels were made. */
static tutti_status make_entries(tutti_kernels *kernels, tutti_unit *unit) {
    for (int32_t i = 0; i < unit->n_entries; i++)
        if (unit->entries[i].kernel == NULL) {
            cl_kernel kernel;
            TUTTI_TRY(tutti_unit_kernel(kernels, unit, unit->entries[i].name, &kernel));
            unit->entries[i].kernel = kernel;
        }
    return TUTTI_OK;
}

static tutti_status build_alone(tutti_kernels *kernels, tutti_unit *unit) {
    unit->merged = -1;
    TUTTI_TRY(tutti_cl_program_make(kernels, unit->op, unit->name, unit->source, unit->options,
                                    &unit->program));
    return make_entries(kernels, unit);
}

static tutti_status build_unit(tutti_kernels *kernels, tutti_unit *unit) {
    if (unit->state == TUTTI_UNIT_FAILED)
        return tutti_fail_from(unit->failure, unit->message != NULL ? unit->message : unit->name);
    tutti_status status = TUTTI_BUILD_FAILED;
    if (unit->program != NULL)
        status = make_entries(kernels, unit);
    /* A merged program may lack a kernel that only the preprocessor names. */
    if (status == TUTTI_BUILD_FAILED && (unit->program == NULL || unit->merged >= 0))
        status = build_alone(kernels, unit);
    if (status == TUTTI_OK) {
        unit->state = TUTTI_UNIT_BUILT;
        return TUTTI_OK;
    }
    unit->state = TUTTI_UNIT_FAILED;
    unit->failure = status;
    unit->message = strdup(tutti_error_message());
    return status;
}

static bool add_to_merged(tutti_strbuf *source, int32_t index, const tutti_unit *unit) {
    const char **entries = malloc(((size_t)unit->n_entries + 1) * sizeof(const char *));
    if (entries == NULL)
        return false;
    for (int32_t i = 0; i < unit->n_entries; i++)
        entries[i] = unit->entries[i].name;
    bool added =
        tutti_merge_add(source, index, unit->source, unit->options, entries, unit->n_entries);
    free(entries);
    return added;
}

static bool may_merge(const tutti_unit *unit) {
    return unit->wanted && unit->program == NULL && unit->state == TUTTI_UNIT_NEW && !unit->tried;
}

/* Collects the units with the same other options, from the first on. */
static int32_t collect_group(tutti_kernels *kernels, int32_t first, const char *rest,
                             tutti_strbuf *source, int32_t members[MERGE_MAX]) {
    int32_t n = 0;
    for (int32_t i = first; i < kernels->n_units && n < MERGE_MAX; i++) {
        tutti_unit *unit = &kernels->units[i];
        char *other = NULL;
        if (!may_merge(unit) || unit->trial != kernels->units[first].trial ||
            unit->common != kernels->units[first].common ||
            !tutti_merge_rest(unit->options, &other))
            continue;
        if (strcmp(other, rest) == 0) {
            unit->tried = true;
            if (add_to_merged(source, n, unit))
                members[n++] = i;
        }
        free(other);
    }
    return n;
}

static tutti_status build_group(tutti_kernels *kernels, const char *rest, const char *source,
                                const int32_t *members, int32_t n) {
    tutti_strbuf label = {0};
    for (int32_t i = 0; i < n; i++)
        tutti_strbuf_printf(&label, "%s%s", i == 0 ? "" : "+", kernels->units[members[i]].name);
    char *name = tutti_strbuf_take(&label);
    if (name == NULL)
        return TUTTI_OUT_OF_MEMORY;
    cl_program program;
    tutti_status status =
        tutti_cl_program_make(kernels, "merged kernels", name, source, rest, &program);
    free(name);
    /* Not an error: they are built one by one next, where a fault is blamed on the right one. */
    if (status == TUTTI_BUILD_FAILED) {
        tutti_log_write(TUTTI_LOG_DEBUG, "%s; building one by one", tutti_error_message());
        return TUTTI_OK;
    }
    TUTTI_TRY(status);
    for (int32_t i = 0; i < n; i++) {
        kernels->units[members[i]].program = program;
        kernels->units[members[i]].merged = i;
    }
    return TUTTI_OK;
}

static tutti_status merge_units(tutti_kernels *kernels) {
    for (int32_t i = 0; i < kernels->n_units; i++) {
        char *rest = NULL;
        if (!may_merge(&kernels->units[i]) || !tutti_merge_rest(kernels->units[i].options, &rest))
            continue;
        int32_t members[MERGE_MAX];
        tutti_strbuf source = {0};
        int32_t n = collect_group(kernels, i, rest, &source, members);
        tutti_status status = TUTTI_OK;
        if (n > 1 && !source.failed)
            status = build_group(kernels, rest, source.text, members, n);
        tutti_strbuf_free(&source);
        free(rest);
        TUTTI_TRY(status);
    }
    return TUTTI_OK;
}

static tutti_status build_wanted(tutti_kernels *kernels) {
    tutti_status first = TUTTI_OK;
    char *message = NULL;
    for (int32_t i = 0; i < kernels->n_units; i++) {
        tutti_unit *unit = &kernels->units[i];
        if (!unit->wanted)
            continue;
        unit->wanted = false;
        tutti_status status = build_unit(kernels, unit);
        if (status != TUTTI_OK && first == TUTTI_OK) {
            first = status;
            message = strdup(tutti_error_message());
        }
    }
    if (first != TUTTI_OK && message != NULL)
        (void)tutti_fail_from(first, message);
    free(message);
    return first;
}

tutti_status tutti_kernels_build(tutti_kernels *kernels) {
    double begin = tutti_clock_s();
    tutti_status status = kernels->merge ? merge_units(kernels) : TUTTI_OK;
    if (status == TUTTI_OK)
        status = build_wanted(kernels);
    kernels->stats.build_s += tutti_clock_s() - begin;
    return status;
}

static bool same_model(const tutti_kernels *a, const tutti_kernels *b) {
    const tutti_device_info *x = &a->device->info, *y = &b->device->info;
    return a->merge && b->merge && strcmp(x->name, y->name) == 0 &&
           strcmp(x->driver_version, y->driver_version) == 0 &&
           strcmp(x->platform_name, y->platform_name) == 0 &&
           strcmp(x->platform_version, y->platform_version) == 0;
}

static bool will_merge(const tutti_kernels *kernels, const tutti_unit *unit) {
    for (int32_t i = 0; i < kernels->n_units; i++)
        if (may_merge(&kernels->units[i]) && kernels->units[i].trial == unit->trial &&
            memcmp(kernels->units[i].digest, unit->digest, TUTTI_DIGEST_BYTES) == 0)
            return true;
    return false;
}

/* Of several devices of one model, such as the parts of a processor, one is the owner and has work
 * of its own. What they have in common makes a program by itself, the same for all: one device has
 * it compiled and the others find it in the driver's cache. */
static void mark_common(tutti_kernels *const *kernels, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        for (int32_t u = 0; u < kernels[i]->n_units; u++) {
            tutti_unit *unit = &kernels[i]->units[u];
            int32_t models = 0, with = 0;
            for (int32_t k = 0; k < count; k++)
                if (k != i && same_model(kernels[i], kernels[k])) {
                    models++;
                    with += will_merge(kernels[k], unit) ? 1 : 0;
                }
            unit->common = models > 0 && with == models;
        }
}

/* Devices that are built one after another. */
typedef struct build_job {
    tutti_kernels *const *kernels; /* of all devices */
    tutti_status *statuses;
    char **messages;
    int32_t first, count; /* of all devices; those of the model of the first are built */
} build_job;

static bool builds_before(const build_job *job, int32_t index) {
    for (int32_t i = 0; i < index; i++)
        if (same_model(job->kernels[i], job->kernels[index]))
            return true;
    return false;
}

static tutti_status run_job(void *user) {
    const build_job *job = user;
    for (int32_t i = job->first; i < job->count; i++) {
        if (i != job->first && !same_model(job->kernels[job->first], job->kernels[i]))
            continue;
        job->statuses[i] = tutti_kernels_build(job->kernels[i]);
        if (job->statuses[i] != TUTTI_OK)
            job->messages[i] = strdup(tutti_error_message());
    }
    return TUTTI_OK;
}

static void build_models(build_job *jobs, tutti_worker **workers, int32_t count) {
    /* The first model is built by this thread; so is one whose thread cannot start. */
    for (int32_t i = 1; i < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "build %d", (int)i);
        if (builds_before(&jobs[i], i))
            continue;
        if (tutti_worker_start(&workers[i], name) == TUTTI_OK)
            tutti_worker_post(workers[i], run_job, &jobs[i]);
        else
            (void)run_job(&jobs[i]);
    }
    (void)run_job(&jobs[0]);
    for (int32_t i = 1; i < count; i++) {
        const tutti_status done = workers[i] != NULL ? tutti_worker_wait(workers[i]) : TUTTI_OK;
        (void)done; /* run_job's failures are in statuses */
        tutti_worker_stop(workers[i]);
    }
}

tutti_status tutti_kernels_build_all(tutti_kernels *const *kernels, int32_t count,
                                     tutti_status *statuses) {
    if (count == 0)
        return TUTTI_OK;
    const size_t n = (size_t)count;
    tutti_worker **workers = calloc(n, sizeof(tutti_worker *));
    build_job *jobs = calloc(n, sizeof *jobs);
    tutti_status *all = calloc(n, sizeof *all), first = TUTTI_OK;
    char **messages = calloc(n, sizeof *messages);
    if (workers == NULL || jobs == NULL || all == NULL || messages == NULL) {
        first = tutti_fail_memory(n * sizeof *jobs, "building kernels");
    } else {
        for (int32_t i = 0; i < count; i++)
            jobs[i] = (build_job){kernels, all, messages, i, count};
        mark_common(kernels, count);
        build_models(jobs, workers, count);
    }
    for (int32_t i = 0; all != NULL && messages != NULL && i < count; i++) {
        if (all[i] != TUTTI_OK && first == TUTTI_OK)
            first =
                messages[i] != NULL ? tutti_fail_from(all[i], messages[i]) : TUTTI_OUT_OF_MEMORY;
        if (statuses != NULL)
            statuses[i] = all[i];
        free(messages[i]);
    }
    free(workers);
    free(jobs);
    free(all);
    free(messages);
    return first;
}
