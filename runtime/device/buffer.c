#include <string.h>

#include "base/status.h"
#include "device/open.h"

/* Below this a read or write command costs less than a map and an unmap. */
#define MAP_MIN_BYTES 65536

tutti_status tutti_buffer_make(const tutti_device *device, size_t size_bytes, cl_mem *out) {
    *out = NULL;
    if (size_bytes == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "a buffer of 0 bytes on %s", device->info.id);
    if (size_bytes > device->info.max_alloc_bytes)
        return tutti_fail(TUTTI_OUT_OF_MEMORY,
                          "a buffer of %zu bytes on %s (%s): its largest allocation is %llu bytes",
                          size_bytes, device->info.id, device->info.name,
                          (unsigned long long)device->info.max_alloc_bytes);
    const cl_mem_flags flags =
        CL_MEM_READ_WRITE | (device->info.unified_memory ? CL_MEM_ALLOC_HOST_PTR : 0);
    cl_int code;
    cl_mem buffer = clCreateBuffer(device->context, flags, size_bytes, NULL, &code);
    if (buffer == NULL || code != CL_SUCCESS) {
        (void)tutti_cl_fail(code, "clCreateBuffer", device);
        return tutti_fail_context(tutti_cl_status(code) == TUTTI_OPENCL ? TUTTI_OPENCL
                                                                        : TUTTI_OUT_OF_MEMORY,
                                  "a buffer of %zu bytes", size_bytes);
    }
    tutti_status status = tutti_buffer_fill(device, buffer, 0, size_bytes / 4 * 4, 0);
    if (status == TUTTI_OK) {
        code = clFinish(device->queue);
        if (code != CL_SUCCESS)
            status = tutti_cl_fail(code, "clFinish", device);
    }
    if (status != TUTTI_OK) {
        (void)clReleaseMemObject(buffer);
        /* Drivers that allocate lazily answer the first use with "out of resources". */
        return tutti_fail_context(status == TUTTI_DEVICE_LOST ? TUTTI_OUT_OF_MEMORY : status,
                                  "touching a new buffer of %zu bytes", size_bytes);
    }
    *out = buffer;
    return TUTTI_OK;
}

tutti_status tutti_buffer_view(const tutti_device *device, cl_mem buffer, size_t offset_bytes,
                               size_t size_bytes, cl_mem *out) {
    const cl_buffer_region region = {offset_bytes, size_bytes};
    cl_int code;
    *out =
        clCreateSubBuffer(buffer, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    return code == CL_SUCCESS ? TUTTI_OK : tutti_cl_fail(code, "clCreateSubBuffer", device);
}

/* A CPU's read and write commands are one memcpy, as after mapping, without the cost of two more
 * commands (PoCL, 1 MiB: 33 against 44 microseconds); others may go through a staging buffer. */
static bool use_map(const tutti_device *device, size_t size_bytes) {
    return device->info.unified_memory && device->info.type != TUTTI_DEVICE_CPU &&
           size_bytes >= MAP_MIN_BYTES;
}

/* Maps, copies and unmaps; to or from is NULL: the mapped memory. */
static tutti_status copy_mapped(const tutti_device *device, cl_mem buffer, size_t offset_bytes,
                                void *to, const void *from, size_t size_bytes) {
    cl_int code;
    void *mapped = clEnqueueMapBuffer(device->queue, buffer, CL_TRUE,
                                      from != NULL ? CL_MAP_WRITE_INVALIDATE_REGION : CL_MAP_READ,
                                      offset_bytes, size_bytes, 0, NULL, NULL, &code);
    if (mapped == NULL || code != CL_SUCCESS)
        return tutti_cl_fail(code, "clEnqueueMapBuffer", device);
    memcpy(from != NULL ? mapped : to, from != NULL ? from : mapped, size_bytes);
    TUTTI_CL(device, clEnqueueUnmapMemObject, device->queue, buffer, mapped, 0, NULL, NULL);
    TUTTI_CL(device, clFinish, device->queue);
    return TUTTI_OK;
}

tutti_status tutti_buffer_write(const tutti_device *device, cl_mem buffer, size_t offset_bytes,
                                const void *data, size_t size_bytes) {
    if (size_bytes == 0)
        return TUTTI_OK;
    if (use_map(device, size_bytes))
        return copy_mapped(device, buffer, offset_bytes, NULL, data, size_bytes);
    TUTTI_CL(device, clEnqueueWriteBuffer, device->queue, buffer, CL_TRUE, offset_bytes, size_bytes,
             data, 0, NULL, NULL);
    return TUTTI_OK;
}

tutti_status tutti_buffer_read(const tutti_device *device, cl_mem buffer, size_t offset_bytes,
                               void *data, size_t size_bytes) {
    if (size_bytes == 0)
        return TUTTI_OK;
    if (use_map(device, size_bytes))
        return copy_mapped(device, buffer, offset_bytes, data, NULL, size_bytes);
    TUTTI_CL(device, clEnqueueReadBuffer, device->queue, buffer, CL_TRUE, offset_bytes, size_bytes,
             data, 0, NULL, NULL);
    return TUTTI_OK;
}

tutti_status tutti_buffer_fill(const tutti_device *device, cl_mem buffer, size_t offset_bytes,
                               size_t size_bytes, uint32_t pattern) {
    if (size_bytes == 0)
        return TUTTI_OK;
    TUTTI_CL(device, clEnqueueFillBuffer, device->queue, buffer, &pattern, sizeof pattern,
             offset_bytes, size_bytes, 0, NULL, NULL);
    return TUTTI_OK;
}
