#include "kernel/routine.h"

#include <clblast_c.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

static const char *clblast_text(CLBlastStatusCode code) {
    switch (code) {
    case CLBlastNotImplemented:
        return "not implemented";
    case CLBlastInvalidMatrixA:
        return "matrix A is no buffer";
    case CLBlastInvalidMatrixB:
        return "matrix B is no buffer";
    case CLBlastInvalidMatrixC:
        return "matrix C is no buffer";
    case CLBlastInvalidDimension:
        return "an extent is zero";
    case CLBlastInvalidLeadDimA:
    case CLBlastInvalidLeadDimB:
    case CLBlastInvalidLeadDimC:
        return "a leading dimension is too small";
    case CLBlastInsufficientMemoryA:
        return "matrix A's buffer is too small";
    case CLBlastInsufficientMemoryB:
        return "matrix B's buffer is too small";
    case CLBlastInsufficientMemoryC:
        return "matrix C's buffer is too small";
    case CLBlastInvalidLocalMemUsage:
        return "not enough local memory";
    case CLBlastDatabaseError:
        return "no parameters for this device";
    case CLBlastUnexpectedError:
        return "unexpected exception";
    default:
        return NULL;
    }
}

static tutti_status clblast_fail(CLBlastStatusCode code, const char *call,
                                 const tutti_device *device) {
    const char *text = clblast_text(code);
    if (text != NULL)
        return tutti_fail(TUTTI_OPENCL, "%s: %s (%d) on %s", call, text, (int)code,
                          device->info.id);
    /* The others are OpenCL's own codes, or close to the catch-all. */
    return tutti_cl_fail((cl_int)code, call, device);
}

/* One call at a time in the process: CLBlast's caches have mutexes, but its table of parameters is
 * filled by the first call without one, and two first calls on two devices crash (1.5.3). */
static pthread_mutex_t clblast_lock = PTHREAD_MUTEX_INITIALIZER;

static tutti_status sgemm(const tutti_device *device, const tutti_routine_arg *args,
                          cl_event *event) {
    const int64_t m = args[3].i32, n = args[4].i32, k = args[5].i32;
    const bool trans_a = args[6].i32 != 0, trans_b = args[7].i32 != 0;
    if (m <= 0 || n <= 0)
        return TUTTI_OK;
    if (k <= 0) {
        /* An empty share: the sum over no samples is zero. */
        const cl_uint zero = 0;
        TUTTI_CL(device, clEnqueueFillBuffer, device->queue, args[2].memory, &zero, sizeof zero, 0,
                 (size_t)(m * n) * sizeof(float), 0, NULL, event);
        return TUTTI_OK;
    }
    cl_command_queue queue = device->queue;
    pthread_mutex_lock(&clblast_lock);
    CLBlastStatusCode code = CLBlastSgemm(
        CLBlastLayoutRowMajor, trans_a ? CLBlastTransposeYes : CLBlastTransposeNo,
        trans_b ? CLBlastTransposeYes : CLBlastTransposeNo, (size_t)m, (size_t)n, (size_t)k, 1.0F,
        args[0].memory, 0, (size_t)(trans_a ? m : k), args[1].memory, 0, (size_t)(trans_b ? k : n),
        0.0F, args[2].memory, 0, (size_t)n, &queue, event);
    pthread_mutex_unlock(&clblast_lock);
    return code == CLBlastSuccess ? TUTTI_OK : clblast_fail(code, "CLBlastSgemm", device);
}

static const tutti_routine routines[] = {{"clblast_sgemm", 8, sgemm}};

const tutti_routine *tutti_routine_find(const char *name) {
    for (size_t i = 0; i < sizeof routines / sizeof *routines; i++)
        if (strcmp(routines[i].name, name) == 0)
            return &routines[i];
    return NULL;
}
