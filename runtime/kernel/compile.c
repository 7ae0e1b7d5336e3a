#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "kernel/buildlog.h"
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
    tutti_log(TUTTI_LOG_DEBUG, "%s: %s with options \"%s\": build log:", device->info.id, name,
              options);
    for (const char *p = log; p != NULL && *p != '\0';) {
        size_t length = strcspn(p, "\n");
        tutti_log(TUTTI_LOG_DEBUG, "    %.*s", (int)length, p);
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

tutti_status tutti_program_compile(const tutti_device *device, const char *op, const char *name,
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
