#include "device/simple_program.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static tutti_status fail_build(const tutti_device *device, const char *name, cl_program program,
                               cl_int code) {
    size_t size = 0;
    (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    char *log = calloc(1, size + 1);
    if (log != NULL)
        (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    const char *line = log == NULL ? NULL : strstr(log, "error");
    while (line != NULL && line > log && line[-1] != '\n')
        line--;
    if (line == NULL)
        line = log == NULL ? "" : log;
    const tutti_status status =
        tutti_fail(TUTTI_BUILD_FAILED, "%s on %s (%s): %s: %.*s", name, device->info.id,
                   device->info.name, tutti_cl_error_name(code), (int)strcspn(line, "\n"), line);
    free(log);
    return status;
}

tutti_status tutti_simple_program(const tutti_device *device, const char *name, const char *source,
                                  cl_program *out) {
    cl_int code;
    *out = NULL;
    cl_program program = clCreateProgramWithSource(device->context, 1, &source, NULL, &code);
    if (program == NULL || code != CL_SUCCESS)
        return tutti_cl_fail(code, "clCreateProgramWithSource", device);
    code = clBuildProgram(program, 1, &device->id, "", NULL, NULL);
    if (code != CL_SUCCESS) {
        const tutti_status status = fail_build(device, name, program, code);
        (void)clReleaseProgram(program);
        return status;
    }
    *out = program;
    return TUTTI_OK;
}

tutti_status tutti_simple_kernel(const tutti_device *device, cl_program program, const char *name,
                                 const tutti_simple_arg *args, int32_t n_args, cl_kernel *out) {
    cl_int code;
    *out = NULL;
    cl_kernel kernel = clCreateKernel(program, name, &code);
    if (kernel == NULL || code != CL_SUCCESS)
        return tutti_cl_fail(code, "clCreateKernel", device);
    for (int32_t i = 0; i < n_args && code == CL_SUCCESS; i++)
        code = args[i].memory != NULL
                   ? clSetKernelArg(kernel, (cl_uint)i, sizeof args[i].memory, &args[i].memory)
                   : clSetKernelArg(kernel, (cl_uint)i, args[i].size_bytes, args[i].value);
    if (code != CL_SUCCESS) {
        (void)clReleaseKernel(kernel);
        return tutti_cl_fail(code, "clSetKernelArg", device);
    }
    *out = kernel;
    return TUTTI_OK;
}

tutti_status tutti_simple_enqueue(const tutti_device *device, cl_kernel kernel, size_t global,
                                  size_t local) {
    TUTTI_CL(device, clEnqueueNDRangeKernel, device->queue, kernel, 1, NULL, &global,
             local == 0 ? NULL : &local, 0, NULL, NULL);
    return TUTTI_OK;
}
