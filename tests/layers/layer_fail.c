/* An OpenCL layer that makes a device fail:
 *   TUTTI_LAYER_FAIL="CODE:N:DEVICE"   from the N-th clEnqueueNDRangeKernel on a device whose name
 * contains DEVICE on, that call returns CODE. The count starts when the file named by
 * TUTTI_LAYER_ARMED exists (at once when that is not set). */
#include <CL/cl_layer.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cl_icd_dispatch *next;
static cl_icd_dispatch mine;
static atomic_long calls;
static int code;
static long first;
static char device_name[64];

static int matches(cl_command_queue queue) {
    cl_device_id device;
    char name[256] = "";
    return next->clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL) ==
               CL_SUCCESS &&
           next->clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL) == CL_SUCCESS &&
           strstr(name, device_name) != NULL;
}

static CL_API_ENTRY cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel,
                                               cl_uint rank, const size_t *offset,
                                               const size_t *global, const size_t *local,
                                               cl_uint n_wait, const cl_event *wait,
                                               cl_event *event) {
    const char *armed = getenv("TUTTI_LAYER_ARMED");
    if (code != 0 && (armed == NULL || access(armed, F_OK) == 0) && matches(queue) &&
        atomic_fetch_add(&calls, 1) + 1 >= first)
        return code;
    return next->clEnqueueNDRangeKernel(queue, kernel, rank, offset, global, local, n_wait, wait,
                                        event);
}

__attribute__((visibility("default"))) CL_API_ENTRY cl_int CL_API_CALL
clGetLayerInfo(cl_layer_info name, size_t size, void *value, size_t *size_ret) {
    if (name != CL_LAYER_API_VERSION)
        return CL_INVALID_VALUE;
    if (value != NULL && size < sizeof(cl_layer_api_version))
        return CL_INVALID_VALUE;
    if (value != NULL)
        *(cl_layer_api_version *)value = CL_LAYER_API_VERSION_100;
    if (size_ret != NULL)
        *size_ret = sizeof(cl_layer_api_version);
    return CL_SUCCESS;
}

__attribute__((visibility("default"))) CL_API_ENTRY cl_int CL_API_CALL
clInitLayer(cl_uint n_entries, const cl_icd_dispatch *target, cl_uint *n_mine,
            const cl_icd_dispatch **table) {
    const char *wanted = getenv("TUTTI_LAYER_FAIL");
    (void)n_entries;
    if (wanted != NULL)
        sscanf(wanted, "%d:%ld:%63[^\n]", &code, &first, device_name);
    next = target;
    memset(&mine, 0, sizeof mine);
    mine.clEnqueueNDRangeKernel = enqueue;
    *n_mine = sizeof mine / sizeof(void *);
    *table = &mine;
    return CL_SUCCESS;
}
