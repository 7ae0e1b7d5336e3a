#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "kernel/programs.h"

tutti_status tutti_kernels_make(const tutti_profile *profile, const tutti_device *device,
                                tutti_kernels **out) {
    tutti_kernels *kernels = calloc(1, sizeof *kernels);
    if (kernels == NULL)
        return tutti_fail_memory(sizeof *kernels, "the kernels of a device");
    kernels->profile = profile;
    kernels->device = device;
    tutti_status status = tutti_source_path_make(profile, &kernels->path);
    if (status != TUTTI_OK) {
        tutti_kernels_free(kernels);
        return status;
    }
    *out = kernels;
    return TUTTI_OK;
}

static void free_unit(tutti_unit *unit) {
    for (int32_t i = 0; i < unit->n_entries; i++) {
        if (unit->entries[i].kernel != NULL)
            clReleaseKernel(unit->entries[i].kernel);
        free(unit->entries[i].name);
    }
    if (unit->program != NULL)
        clReleaseProgram(unit->program);
    free(unit->entries);
    free(unit->name);
    free(unit->source);
    free(unit->options);
    free(unit->op);
    free(unit->message);
}

void tutti_kernels_free(tutti_kernels *kernels) {
    if (kernels == NULL)
        return;
    for (int32_t i = 0; i < kernels->n_units; i++)
        free_unit(&kernels->units[i]);
    free(kernels->units);
    tutti_source_path_free(&kernels->path);
    free(kernels);
}

const tutti_device *tutti_kernels_device(const tutti_kernels *kernels) {
    return kernels->device;
}

tutti_kernel_stats tutti_kernels_stats(const tutti_kernels *kernels) {
    return kernels->stats;
}

static const char *launch_name(const tutti_launch *launch) {
    return launch->file != NULL ? launch->file : launch->entry;
}

static tutti_status expand_launch(const tutti_kernels *kernels, const tutti_launch *launch,
                                  char **out_source, unsigned char digest[TUTTI_DIGEST_BYTES]) {
    if (launch->file != NULL)
        TUTTI_TRY(tutti_source_load(&kernels->path, launch->file, out_source));
    else if (launch->source != NULL)
        TUTTI_TRY(tutti_source_expand(&kernels->path, launch->entry, launch->source, out_source));
    else
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "kernel %s has neither a file nor a source",
                          launch->entry);
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add_text(&hash, *out_source);
    tutti_hash_add_text(&hash, launch->options == NULL ? "" : launch->options);
    tutti_hash_end(&hash, digest);
    return TUTTI_OK;
}

static tutti_unit *lookup(tutti_kernels *kernels, const unsigned char *digest) {
    for (int32_t i = 0; i < kernels->n_units; i++)
        if (memcmp(kernels->units[i].digest, digest, TUTTI_DIGEST_BYTES) == 0)
            return &kernels->units[i];
    return NULL;
}

/* Takes source over when it succeeds. */
static tutti_status add_unit(tutti_kernels *kernels, const tutti_launch *launch, const char *op,
                             char *source, const unsigned char *digest, tutti_unit **out) {
    if (kernels->n_units == kernels->cap_units) {
        int32_t capacity = kernels->cap_units == 0 ? 16 : 2 * kernels->cap_units;
        tutti_unit *grown = realloc(kernels->units, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *grown, "kernels");
        kernels->units = grown;
        kernels->cap_units = capacity;
    }
    tutti_unit unit = {.state = TUTTI_UNIT_NEW};
    memcpy(unit.digest, digest, TUTTI_DIGEST_BYTES);
    unit.name = strdup(launch_name(launch));
    unit.options = strdup(launch->options == NULL ? "" : launch->options);
    unit.op = strdup(op);
    if (unit.name == NULL || unit.options == NULL || unit.op == NULL) {
        free_unit(&unit);
        return tutti_fail_memory(strlen(launch_name(launch)), "a kernel");
    }
    unit.source = source;
    kernels->units[kernels->n_units] = unit;
    *out = &kernels->units[kernels->n_units++];
    return TUTTI_OK;
}

static tutti_status add_entry(tutti_unit *unit, const char *name) {
    for (int32_t i = 0; i < unit->n_entries; i++)
        if (strcmp(unit->entries[i].name, name) == 0)
            return TUTTI_OK;
    tutti_unit_entry *grown = realloc(unit->entries, (size_t)(unit->n_entries + 1) * sizeof *grown);
    if (grown == NULL)
        return tutti_fail_memory(sizeof *grown, "a kernel");
    unit->entries = grown;
    char *copy = strdup(name);
    if (copy == NULL)
        return tutti_fail_memory(strlen(name), "a kernel");
    unit->entries[unit->n_entries++] = (tutti_unit_entry){.name = copy};
    return TUTTI_OK;
}

tutti_status tutti_kernels_want(tutti_kernels *kernels, const tutti_launch *launch,
                                const char *op) {
    if (launch->routine != NULL)
        return TUTTI_OK;
    char *source = NULL;
    unsigned char digest[TUTTI_DIGEST_BYTES];
    tutti_status status = expand_launch(kernels, launch, &source, digest);
    if (status != TUTTI_OK)
        return tutti_fail_context(status, "%s on %s (%s)", op, kernels->device->info.id,
                                  kernels->device->info.name);
    tutti_unit *unit = lookup(kernels, digest);
    if (unit == NULL) {
        status = add_unit(kernels, launch, op, source, digest, &unit);
        if (status == TUTTI_OK)
            source = NULL;
    }
    free(source);
    TUTTI_TRY(status);
    unit->wanted = true;
    return add_entry(unit, launch->entry);
}

static tutti_status fail_again(const tutti_unit *unit) {
    return tutti_fail_from(unit->failure, unit->message != NULL ? unit->message : unit->name);
}

tutti_status tutti_unit_find(tutti_kernels *kernels, const tutti_launch *launch, tutti_unit **out) {
    char *source;
    unsigned char digest[TUTTI_DIGEST_BYTES];
    TUTTI_TRY(expand_launch(kernels, launch, &source, digest));
    free(source);
    *out = lookup(kernels, digest);
    if (*out == NULL || (*out)->state == TUTTI_UNIT_NEW)
        return tutti_fail(TUTTI_STATE, "kernel %s of %s is not built on %s", launch->entry,
                          launch_name(launch), kernels->device->info.id);
    if ((*out)->state == TUTTI_UNIT_FAILED)
        return fail_again(*out);
    return TUTTI_OK;
}

tutti_status tutti_unit_kernel(tutti_kernels *kernels, tutti_unit *unit, const char *entry,
                               cl_kernel *out) {
    for (int32_t i = 0; i < unit->n_entries; i++)
        if (unit->entries[i].kernel != NULL && strcmp(unit->entries[i].name, entry) == 0) {
            *out = unit->entries[i].kernel;
            unit->entries[i].kernel = NULL;
            return TUTTI_OK;
        }
    cl_int code;
    *out = clCreateKernel(unit->program, entry, &code);
    if (code == CL_INVALID_KERNEL_NAME)
        return tutti_fail(TUTTI_BUILD_FAILED, "%s on %s (%s): %s has no kernel \"%s\"", unit->op,
                          kernels->device->info.id, kernels->device->info.name, unit->name, entry);
    return code == CL_SUCCESS ? TUTTI_OK : tutti_cl_fail(code, "clCreateKernel", kernels->device);
}

static tutti_status compile_unit(tutti_kernels *kernels, tutti_unit *unit) {
    tutti_strbuf options = {0};
    tutti_strbuf_printf(&options, "-cl-std=CL1.2 %s %s",
                        kernels->device->build_options == NULL ? ""
                                                               : kernels->device->build_options,
                        unit->options);
    char *text = tutti_strbuf_take(&options);
    if (text == NULL)
        return TUTTI_OUT_OF_MEMORY;
    double begin = tutti_clock_s();
    tutti_status status = tutti_program_compile(kernels->device, unit->op, unit->name, unit->source,
                                                text, &unit->program);
    if (status == TUTTI_OK) {
        tutti_log(TUTTI_LOG_DEBUG, "%s: compiled %s %s in %.1f ms", kernels->device->info.id,
                  unit->name, unit->options, 1e3 * (tutti_clock_s() - begin));
        kernels->stats.programs++;
        kernels->stats.compiled++;
    }
    free(text);
    return status;
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

static tutti_status build_unit(tutti_kernels *kernels, tutti_unit *unit) {
    if (unit->state == TUTTI_UNIT_FAILED)
        return fail_again(unit);
    tutti_status status = unit->state == TUTTI_UNIT_NEW ? compile_unit(kernels, unit) : TUTTI_OK;
    if (status == TUTTI_OK)
        status = make_entries(kernels, unit);
    if (status == TUTTI_OK) {
        unit->state = TUTTI_UNIT_BUILT;
        return TUTTI_OK;
    }
    unit->state = TUTTI_UNIT_FAILED;
    unit->failure = status;
    unit->message = strdup(tutti_error_message());
    return status;
}

tutti_status tutti_kernels_build(tutti_kernels *kernels) {
    double begin = tutti_clock_s();
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
    kernels->stats.build_s += tutti_clock_s() - begin;
    if (first != TUTTI_OK && message != NULL)
        tutti_fail_from(first, message);
    free(message);
    return first;
}

static tutti_status build_job(void *user) {
    return tutti_kernels_build(user);
}

tutti_status tutti_kernels_build_all(tutti_kernels *const *kernels, int32_t count,
                                     tutti_status *statuses) {
    tutti_worker **workers = calloc((size_t)count + 1, sizeof(tutti_worker *));
    if (workers == NULL)
        return tutti_fail_memory((size_t)count * sizeof(tutti_worker *), "building kernels");
    /* The last device is built by this thread; so is one whose thread cannot start. */
    for (int32_t i = 0; i + 1 < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "build %d", (int)i);
        if (tutti_worker_start(&workers[i], name) == TUTTI_OK)
            tutti_worker_post(workers[i], build_job, kernels[i]);
        else
            workers[i] = NULL;
    }
    tutti_status first = TUTTI_OK;
    char *message = NULL;
    for (int32_t i = count - 1; i >= 0; i--) {
        tutti_status status =
            workers[i] != NULL ? tutti_worker_wait(workers[i]) : tutti_kernels_build(kernels[i]);
        if (status != TUTTI_OK) {
            first = status;
            free(message);
            message = strdup(tutti_error_message());
        }
        if (statuses != NULL)
            statuses[i] = status;
        tutti_worker_stop(workers[i]);
    }
    if (first != TUTTI_OK && message != NULL)
        tutti_fail_from(first, message);
    free(message);
    free(workers);
    return first;
}
