#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "kernel/merge.h"
#include "kernel/programs.h"

void tutti_unit_free(tutti_unit *unit) {
    for (int32_t i = 0; i < unit->n_entries; i++) {
        if (unit->entries[i].kernel != NULL)
            clReleaseKernel(unit->entries[i].kernel);
        free(unit->entries[i].name);
    }
    free(unit->entries);
    free(unit->name);
    free(unit->source);
    free(unit->options);
    free(unit->op);
    free(unit->message);
}

static const char *launch_name(const tutti_launch *launch) {
    return launch->file != NULL ? launch->file : launch->entry;
}

tutti_status tutti_unit_source(const tutti_kernels *kernels, const tutti_launch *launch,
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

static tutti_unit *lookup(tutti_kernels *kernels, const unsigned char *digest, bool trial) {
    for (int32_t i = 0; i < kernels->n_units; i++)
        if (kernels->units[i].trial == trial &&
            memcmp(kernels->units[i].digest, digest, TUTTI_DIGEST_BYTES) == 0)
            return &kernels->units[i];
    return NULL;
}

/* Takes source over when it succeeds. */
static tutti_status add_unit(tutti_kernels *kernels, const tutti_launch *launch, const char *op,
                             char *source, const unsigned char *digest, bool trial,
                             tutti_unit **out) {
    if (kernels->n_units == kernels->cap_units) {
        int32_t capacity = kernels->cap_units == 0 ? 16 : 2 * kernels->cap_units;
        tutti_unit *grown = realloc(kernels->units, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *grown, "kernels");
        kernels->units = grown;
        kernels->cap_units = capacity;
    }
    tutti_unit unit = {.state = TUTTI_UNIT_NEW, .trial = trial, .merged = -1};
    memcpy(unit.digest, digest, TUTTI_DIGEST_BYTES);
    unit.name = strdup(launch_name(launch));
    unit.options = strdup(launch->options == NULL ? "" : launch->options);
    unit.op = strdup(op);
    if (unit.name == NULL || unit.options == NULL || unit.op == NULL) {
        tutti_unit_free(&unit);
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

static tutti_status want(tutti_kernels *kernels, const tutti_launch *launch, const char *op,
                         bool trial) {
    if (launch->routine != NULL)
        return TUTTI_OK;
    char *source = NULL;
    unsigned char digest[TUTTI_DIGEST_BYTES];
    tutti_status status = tutti_unit_source(kernels, launch, &source, digest);
    if (status != TUTTI_OK)
        return tutti_fail_context(status, "%s on %s (%s)", op, kernels->device->info.id,
                                  kernels->device->info.name);
    tutti_unit *unit = lookup(kernels, digest, trial);
    if (unit == NULL) {
        status = add_unit(kernels, launch, op, source, digest, trial, &unit);
        if (status == TUTTI_OK)
            source = NULL;
    }
    free(source);
    TUTTI_TRY(status);
    unit->wanted = true;
    return add_entry(unit, launch->entry);
}

tutti_status tutti_kernels_want(tutti_kernels *kernels, const tutti_launch *launch,
                                const char *op) {
    return want(kernels, launch, op, false);
}

tutti_status tutti_kernels_want_trial(tutti_kernels *kernels, const tutti_launch *launch,
                                      const char *op) {
    return want(kernels, launch, op, kernels->merge);
}

static tutti_status fail_again(const tutti_unit *unit) {
    return tutti_fail_from(unit->failure, unit->message != NULL ? unit->message : unit->name);
}

tutti_status tutti_unit_find(tutti_kernels *kernels, const tutti_launch *launch, bool trial,
                             tutti_unit **out) {
    char *source;
    unsigned char digest[TUTTI_DIGEST_BYTES];
    TUTTI_TRY(tutti_unit_source(kernels, launch, &source, digest));
    free(source);
    *out = lookup(kernels, digest, trial && kernels->merge);
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
    char *name = unit->merged < 0 ? strdup(entry) : tutti_merge_entry(entry, unit->merged);
    if (name == NULL)
        return tutti_fail_memory(strlen(entry), "a kernel's name");
    *out = clCreateKernel(unit->program, name, &code);
    free(name);
    if (code == CL_INVALID_KERNEL_NAME)
        return tutti_fail(TUTTI_BUILD_FAILED, "%s on %s (%s): %s has no kernel \"%s\"", unit->op,
                          kernels->device->info.id, kernels->device->info.name, unit->name, entry);
    return code == CL_SUCCESS ? TUTTI_OK : tutti_cl_fail(code, "clCreateKernel", kernels->device);
}
