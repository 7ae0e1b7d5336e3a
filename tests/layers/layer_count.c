/* An OpenCL layer that counts calls, for tests: OPENCL_LAYERS names the library, the file that
 * LAYER_COUNTS names holds the counts, mapped into the process that asks. It sees the calls that the
 * library uses:
 *
 *   0 kernels enqueued   1 arguments set   2 objects made (buffers, kernels, programs, queues)
 *   3 programs built     4 flushes         5 waits (finish, wait for events, blocking transfers)
 *   6 events made */
#include "layer.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ENQUEUED, ARGUMENTS, MADE, BUILT, FLUSHES, WAITS, EVENTS, N_COUNTS };

static atomic_int *counts;

static void count(int what) {
    atomic_fetch_add(&counts[what], 1);
}

static CL_API_ENTRY cl_int CL_API_CALL enqueue_kernel(cl_command_queue queue, cl_kernel kernel,
                                                      cl_uint dimensions, const size_t *offset,
                                                      const size_t *global, const size_t *local,
                                                      cl_uint n, const cl_event *wait,
                                                      cl_event *event) {
    count(ENQUEUED);
    if (event != NULL)
        count(EVENTS);
    return next->clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, n, wait,
                                        event);
}

static CL_API_ENTRY cl_int CL_API_CALL set_argument(cl_kernel kernel, cl_uint index, size_t size,
                                                    const void *value) {
    count(ARGUMENTS);
    return next->clSetKernelArg(kernel, index, size, value);
}

static CL_API_ENTRY cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags,
                                                     size_t size, void *host, cl_int *code) {
    count(MADE);
    return next->clCreateBuffer(context, flags, size, host, code);
}

static CL_API_ENTRY cl_mem CL_API_CALL create_sub_buffer(cl_mem buffer, cl_mem_flags flags,
                                                         cl_buffer_create_type type,
                                                         const void *info, cl_int *code) {
    count(MADE);
    return next->clCreateSubBuffer(buffer, flags, type, info, code);
}

static CL_API_ENTRY cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name,
                                                        cl_int *code) {
    count(MADE);
    return next->clCreateKernel(program, name, code);
}

static CL_API_ENTRY cl_program CL_API_CALL create_program(cl_context context, cl_uint n,
                                                          const char **texts, const size_t *sizes,
                                                          cl_int *code) {
    count(MADE);
    return next->clCreateProgramWithSource(context, n, texts, sizes, code);
}

static CL_API_ENTRY cl_program CL_API_CALL create_from_binary(cl_context context, cl_uint n,
                                                              const cl_device_id *devices,
                                                              const size_t *sizes,
                                                              const unsigned char **binaries,
                                                              cl_int *codes, cl_int *code) {
    count(MADE);
    return next->clCreateProgramWithBinary(context, n, devices, sizes, binaries, codes, code);
}

static CL_API_ENTRY cl_command_queue CL_API_CALL create_queue(cl_context context,
                                                              cl_device_id device,
                                                              cl_command_queue_properties with,
                                                              cl_int *code) {
    count(MADE);
    return next->clCreateCommandQueue(context, device, with, code);
}

static void count_transfer(cl_bool blocking, const cl_event *event) {
    if (blocking)
        count(WAITS);
    if (event != NULL)
        count(EVENTS);
}

static CL_API_ENTRY cl_int CL_API_CALL enqueue_read(cl_command_queue queue, cl_mem buffer,
                                                    cl_bool blocking, size_t offset, size_t size,
                                                    void *data, cl_uint n, const cl_event *wait,
                                                    cl_event *event) {
    count_transfer(blocking, event);
    return next->clEnqueueReadBuffer(queue, buffer, blocking, offset, size, data, n, wait, event);
}

static CL_API_ENTRY cl_int CL_API_CALL enqueue_write(cl_command_queue queue, cl_mem buffer,
                                                     cl_bool blocking, size_t offset, size_t size,
                                                     const void *data, cl_uint n,
                                                     const cl_event *wait, cl_event *event) {
    count_transfer(blocking, event);
    return next->clEnqueueWriteBuffer(queue, buffer, blocking, offset, size, data, n, wait, event);
}

static CL_API_ENTRY void *CL_API_CALL enqueue_map(cl_command_queue queue, cl_mem buffer,
                                                  cl_bool blocking, cl_map_flags flags,
                                                  size_t offset, size_t size, cl_uint n,
                                                  const cl_event *wait, cl_event *event,
                                                  cl_int *code) {
    count_transfer(blocking, event);
    return next->clEnqueueMapBuffer(queue, buffer, blocking, flags, offset, size, n, wait, event,
                                    code);
}

static CL_API_ENTRY cl_int CL_API_CALL build_program(cl_program program, cl_uint n,
                                                     const cl_device_id *devices,
                                                     const char *options,
                                                     void(CL_CALLBACK *notify)(cl_program, void *),
                                                     void *user) {
    count(BUILT);
    return next->clBuildProgram(program, n, devices, options, notify, user);
}

static CL_API_ENTRY cl_int CL_API_CALL flush(cl_command_queue queue) {
    count(FLUSHES);
    return next->clFlush(queue);
}

static CL_API_ENTRY cl_int CL_API_CALL finish(cl_command_queue queue) {
    count(WAITS);
    return next->clFinish(queue);
}

static CL_API_ENTRY cl_int CL_API_CALL wait_for_events(cl_uint n, const cl_event *events) {
    count(WAITS);
    return next->clWaitForEvents(n, events);
}

static int layer_begin(void) {
    const char *path = getenv("LAYER_COUNTS");
    const int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    counts = mmap(NULL, N_COUNTS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counts == MAP_FAILED)
        return 0;
    table.clEnqueueNDRangeKernel = enqueue_kernel;
    table.clSetKernelArg = set_argument;
    table.clCreateBuffer = create_buffer;
    table.clCreateSubBuffer = create_sub_buffer;
    table.clCreateKernel = create_kernel;
    table.clCreateProgramWithSource = create_program;
    table.clCreateProgramWithBinary = create_from_binary;
    table.clCreateCommandQueue = create_queue;
    table.clEnqueueReadBuffer = enqueue_read;
    table.clEnqueueWriteBuffer = enqueue_write;
    table.clEnqueueMapBuffer = enqueue_map;
    table.clBuildProgram = build_program;
    table.clFlush = flush;
    table.clFinish = finish;
    table.clWaitForEvents = wait_for_events;
    return 1;
}
