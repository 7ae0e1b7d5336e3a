#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "kernel/buildlog.h"
#include "kernel/driver_cache.h"
#include "kernel/programs.h"

static char *build_log(const tutti_device *device, cl_program program) {
    size_t size = 0;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) !=
        CL_SUCCESS)
        return NULL;
    char *log = malloc(size + 1);
    if (log == NULL)
        return NULL;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL) !=
        CL_SUCCESS) {
        free(log);
        return NULL;
    }
    log[size] = '\0';
    return log;
}

static tutti_status fail_build(const tutti_device *device, cl_program program, cl_int code,
                               const char *op, const char *name, const char *source,
                               const char *options) {
    char *log = build_log(device, program);
    tutti_log_write(TUTTI_LOG_DEBUG, "%s: %s with options \"%s\": build log:", device->info.id,
                    name, options);
    for (const char *p = log; p != NULL && *p != '\0';) {
        size_t length = strcspn(p, "\n");
        tutti_log_write(TUTTI_LOG_DEBUG, "    %.*s", (int)length, p);
        p += length + (p[length] == '\n');
    }
    char text[512];
    bool placed = tutti_build_log_first_error(log == NULL ? "" : log, source, text, sizeof text);
    free(log);
    if (code == CL_BUILD_PROGRAM_FAILURE || code == CL_COMPILE_PROGRAM_FAILURE)
        return tutti_fail(TUTTI_BUILD_FAILED, "%s on %s (%s): %s%s%s", op, device->info.id,
                          device->info.name, placed ? "" : name, placed ? "" : ": ", text);
    return tutti_fail(TUTTI_BUILD_FAILED, "%s on %s (%s): %s: clBuildProgram with \"%s\": %s: %s",
                      op, device->info.id, device->info.name, name, options,
                      tutti_cl_error_name(code), text);
}

/* Compiles source; one with errors fails with the first of them. */
static tutti_status compile(const tutti_device *device, const char *op, const char *name,
                            const char *source, const char *options, cl_program *out) {
    cl_int code;
    cl_program program = clCreateProgramWithSource(device->context, 1, &source, NULL, &code);
    if (code != CL_SUCCESS)
        return tutti_cl_fail(code, "clCreateProgramWithSource", device);
    code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        tutti_status status = fail_build(device, program, code, op, name, source, options);
        clReleaseProgram(program);
        return status;
    }
    *out = program;
    return TUTTI_OK;
}

/* "…): file.cl:3: error …" gets the path of a file that is not the library's own. */
static tutti_status name_origin(const tutti_kernels *kernels, tutti_status status) {
    char file[256], where[4096];
    const char *at = strstr(tutti_error_message(), "): ");
    if (at == NULL)
        return status;
    snprintf(file, sizeof file, "%.*s", (int)strcspn(at + 3, ": "), at + 3);
    for (int32_t i = 0; i < kernels->path.n_directories && file[0] != '\0'; i++) {
        snprintf(where, sizeof where, "%s/%s", kernels->path.directories[i], file);
        if (tutti_file_exists(where))
            return tutti_fail_context(status, "%s", where);
    }
    return status;
}

static void make_key(const tutti_device *device, const char *source, const char *options,
                     unsigned char key[TUTTI_DIGEST_BYTES]) {
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add_text(&hash, "program");
    tutti_hash_add_text(&hash, source);
    tutti_hash_add_text(&hash, options);
    tutti_hash_add_text(&hash, device->info.name);
    tutti_hash_add_text(&hash, device->info.driver_version);
    tutti_hash_add_text(&hash, device->info.platform_name);
    tutti_hash_add_text(&hash, device->info.platform_version);
    tutti_hash_end(&hash, key);
}

/* The program of a binary in our cache; NULL when there is none that the driver takes. */
static cl_program load_binary(tutti_kernels *kernels, const unsigned char *key,
                              const char *options) {
    const tutti_device *device = kernels->device;
    char *data;
    size_t size;
    if (!tutti_cache_load(kernels->cache, key, TUTTI_CACHE_BINARY, &data, &size))
        return NULL;
    cl_int code, taken = CL_SUCCESS;
    const unsigned char *binary = (const unsigned char *)data;
    cl_program program =
        clCreateProgramWithBinary(device->context, 1, &device->id, &size, &binary, &taken, &code);
    free(data);
    if (code == CL_SUCCESS && taken == CL_SUCCESS)
        code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    else if (code == CL_SUCCESS)
        code = taken;
    if (code == CL_SUCCESS)
        return program;
    if (program != NULL)
        clReleaseProgram(program);
    char why[128];
    snprintf(why, sizeof why, "refused by the driver (%s)", tutti_cl_error_name(code));
    tutti_cache_reject(kernels->cache, key, TUTTI_CACHE_BINARY, why);
    return NULL;
}

/* Whether the driver's own cache, as it is on disk now, has seen the program. */
static bool driver_has_seen(tutti_kernels *kernels, const unsigned char *key) {
    char identity[TUTTI_DRIVER_CACHE_TEXT];
    char *data;
    size_t size;
    if (kernels->binaries || !tutti_driver_cache_identity(kernels->device, identity) ||
        !tutti_cache_load(kernels->cache, key, TUTTI_CACHE_SEEN, &data, &size))
        return false;
    bool same = strcmp(data, identity) == 0;
    free(data);
    return same;
}

static void mark_seen(tutti_kernels *kernels, const unsigned char *key) {
    char identity[TUTTI_DRIVER_CACHE_TEXT];
    if (!kernels->binaries && tutti_driver_cache_identity(kernels->device, identity))
        tutti_cache_store(kernels->cache, key, TUTTI_CACHE_SEEN, identity, strlen(identity));
}

static tutti_status add_record(tutti_kernels *kernels, cl_program program, const unsigned char *key,
                               bool keep) {
    if (kernels->n_programs == kernels->cap_programs) {
        int32_t capacity = kernels->cap_programs == 0 ? 16 : 2 * kernels->cap_programs;
        tutti_cl_program_record *grown =
            realloc(kernels->programs, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            clReleaseProgram(program);
            return tutti_fail_memory((size_t)capacity * sizeof *grown, "programs");
        }
        kernels->programs = grown;
        kernels->cap_programs = capacity;
    }
    tutti_cl_program_record *record = &kernels->programs[kernels->n_programs++];
    record->program = program;
    record->keep = keep;
    memcpy(record->key, key, TUTTI_DIGEST_BYTES);
    return TUTTI_OK;
}

static tutti_status make(tutti_kernels *kernels, const char *op, const char *name,
                         const char *source, const char *options, cl_program *out) {
    double begin = tutti_clock_s();
    unsigned char key[TUTTI_DIGEST_BYTES];
    make_key(kernels->device, source, options, key);
    *out = kernels->binaries ? load_binary(kernels, key, options) : NULL;
    bool loaded = *out != NULL;
    const char *how = "loaded";
    if (loaded) {
        kernels->stats.from_disk++;
    } else {
        bool seen = driver_has_seen(kernels, key);
        if (!seen && !kernels->told) {
            kernels->told = true;
            tutti_log_write(TUTTI_LOG_INFO,
                            "kernels: compiling for %s; later starts find them compiled",
                            kernels->device->info.id);
        }
        const tutti_status status = compile(kernels->device, op, name, source, options, out);
        if (status != TUTTI_OK)
            return status == TUTTI_BUILD_FAILED ? name_origin(kernels, status) : status;
        if (seen)
            kernels->stats.from_driver++;
        else {
            kernels->stats.compiled++;
            mark_seen(kernels, key);
        }
        how = seen ? "had the driver load" : "compiled";
    }
    kernels->stats.programs++;
    tutti_log_write(TUTTI_LOG_DEBUG, "%s: %s %s (%s) in %.1f ms", kernels->device->info.id, how,
                    name, options, 1e3 * (tutti_clock_s() - begin));
    return add_record(kernels, *out, key, kernels->binaries && !loaded);
}

tutti_status tutti_cl_program_make(tutti_kernels *kernels, const char *op, const char *name,
                                   const char *source, const char *options, cl_program *out) {
    const char *own = kernels->device->build_options != NULL ? kernels->device->build_options : "";
    bool has_standard = strstr(own, "-cl-std=") != NULL || strstr(options, "-cl-std=") != NULL;
    tutti_strbuf text = {0};
    tutti_strbuf_printf(&text, "%s%s%s%s", has_standard ? "" : "-cl-std=CL1.2 ", own,
                        own[0] != '\0' ? " " : "", options);
    char *all = tutti_strbuf_take(&text);
    if (all == NULL)
        return TUTTI_OUT_OF_MEMORY;
    tutti_status status = make(kernels, op, name, source, all, out);
    free(all);
    return status;
}

static void keep_binary(tutti_kernels *kernels, const tutti_cl_program_record *record) {
    size_t size = 0;
    if (clGetProgramInfo(record->program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) !=
            CL_SUCCESS ||
        size == 0)
        return;
    unsigned char *binary = malloc(size);
    if (binary == NULL)
        return;
    if (clGetProgramInfo(record->program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) ==
        CL_SUCCESS)
        tutti_cache_store(kernels->cache, record->key, TUTTI_CACHE_BINARY, binary, size);
    free(binary);
}

void tutti_cl_programs_free(tutti_kernels *kernels) {
    for (int32_t i = 0; i < kernels->n_programs; i++) {
        if (kernels->programs[i].keep && tutti_cache_usable(kernels->cache))
            keep_binary(kernels, &kernels->programs[i]);
        clReleaseProgram(kernels->programs[i].program);
    }
    free(kernels->programs);
}
