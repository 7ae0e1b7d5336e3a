/* An OpenCL layer that makes calls fail or spoil their results, for tests: OPENCL_LAYERS names the
 * library, LAYER_FAULT says what to do, entries separated by ';':
 *
 *   CALL=WHAT@N            at the N-th call (from 1)
 *   CALL=WHAT@N+           at that and every later one
 *   CALL=WHAT@N:DEVICE     counts only calls on devices whose name contains DEVICE
 *
 * CALL is read, map, write, fill, buffer, kernel, build or finish; WHAT is an OpenCL error code or
 * "flip" (only read and map), which flips one bit of what the device gives back. With LAYER_ARMED
 * only calls made while the file of that name exists are counted and fail. */
#include "layer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_FAULTS 16

enum { READ, MAP, WRITE, FILL, BUFFER, KERNEL, BUILD, FINISH, N_CALLS };
static const char *const call_names[N_CALLS] = {"read",   "map",    "write", "fill",
                                                "buffer", "kernel", "build", "finish"};

static struct fault {
    int call, code, from, to; /* code 1: flip */
    char device[64];          /* "" for any */
    atomic_int count;         /* of the calls that it is about */
} faults[MAX_FAULTS];
static int n_faults;
static const char *armed; /* NULL: always */

static void parse(const char *text) {
    while (text != NULL && *text != '\0') {
        char name[16], what[16];
        int from = 0, used = 0, call = 0;
        (void)sscanf(text, "%15[a-z]=%15[^@;]@%d%n", name, what, &from, &used);
        while (used > 0 && call < N_CALLS && strcmp(call_names[call], name) != 0)
            call++;
        const char *rest = text + used;
        const int forever = *rest == '+';
        rest += forever;
        const size_t device = *rest == ':' ? strcspn(rest + 1, ";") : 0;
        const char *end = rest + (device > 0 ? device + 1 : 0);
        /* Contexts and programs may have several devices. */
        const int no_queue = call == BUFFER || call == BUILD;
        if (used == 0 || call == N_CALLS || n_faults == MAX_FAULTS ||
            (*end != '\0' && *end != ';') || device >= sizeof faults->device ||
            (device > 0 && no_queue)) {
            fprintf(stderr, "layer_fault: cannot read LAYER_FAULT at \"%s\"\n", text);
            abort();
        }
        struct fault *fault = &faults[n_faults++];
        fault->call = call;
        fault->code = strcmp(what, "flip") == 0 ? 1 : atoi(what);
        fault->from = from;
        fault->to = forever ? 1 << 30 : from;
        memcpy(fault->device, rest + 1, device);
        text = *end == ';' ? end + 1 : NULL;
    }
}

static int is_on(cl_command_queue queue, const char *device) {
    cl_device_id id;
    char name[256] = "";
    if (device[0] == '\0')
        return 1;
    return next->clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof id, &id, NULL) ==
               CL_SUCCESS &&
           next->clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof name, name, NULL) == CL_SUCCESS &&
           strstr(name, device) != NULL;
}

/* 0: go on; 1: flip; else the error. queue is NULL for calls that have none. */
static int hit(int call, cl_command_queue queue) {
    int code = 0;
    if (armed != NULL && access(armed, F_OK) != 0)
        return 0;
    for (int i = 0; i < n_faults; i++) {
        if (faults[i].call != call || !is_on(queue, faults[i].device))
            continue;
        const int count = atomic_fetch_add(&faults[i].count, 1) + 1;
        if (code == 0 && count >= faults[i].from && count <= faults[i].to)
            code = faults[i].code;
    }
    return code;
}

static void flip(void *data, size_t size) {
    if (size > 0)
        ((unsigned char *)data)[size / 7 % 1024 % size] ^= 0x10;
}

static CL_API_ENTRY cl_int CL_API_CALL read_buffer(cl_command_queue queue, cl_mem buffer,
                                                   cl_bool blocking, size_t offset, size_t size,
                                                   void *data, cl_uint n, const cl_event *wait,
                                                   cl_event *event) {
    const int what = hit(READ, queue);
    if (what < 0)
        return what;
    const cl_int code = next->clEnqueueReadBuffer(queue, buffer, what == 1 ? CL_TRUE : blocking,
                                                  offset, size, data, n, wait, event);
    if (what == 1)
        flip(data, size);
    return code;
}

static CL_API_ENTRY void *CL_API_CALL map_buffer(cl_command_queue queue, cl_mem buffer,
                                                 cl_bool blocking, cl_map_flags flags,
                                                 size_t offset, size_t size, cl_uint n,
                                                 const cl_event *wait, cl_event *event,
                                                 cl_int *code) {
    const int what = hit(MAP, queue);
    if (what < 0) {
        if (code != NULL)
            *code = what;
        return NULL;
    }
    void *data = next->clEnqueueMapBuffer(queue, buffer, what == 1 ? CL_TRUE : blocking, flags,
                                          offset, size, n, wait, event, code);
    if (what == 1 && data != NULL)
        flip(data, size);
    return data;
}

static CL_API_ENTRY cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem buffer,
                                                    cl_bool blocking, size_t offset, size_t size,
                                                    const void *data, cl_uint n,
                                                    const cl_event *wait, cl_event *event) {
    const int what = hit(WRITE, queue);
    return what < 0 ? what
                    : next->clEnqueueWriteBuffer(queue, buffer, blocking, offset, size, data, n,
                                                 wait, event);
}

static CL_API_ENTRY cl_int CL_API_CALL fill_buffer(cl_command_queue queue, cl_mem buffer,
                                                   const void *pattern, size_t pattern_size,
                                                   size_t offset, size_t size, cl_uint n,
                                                   const cl_event *wait, cl_event *event) {
    const int what = hit(FILL, queue);
    return what < 0 ? what
                    : next->clEnqueueFillBuffer(queue, buffer, pattern, pattern_size, offset, size,
                                                n, wait, event);
}

static CL_API_ENTRY cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags,
                                                     size_t size, void *host, cl_int *code) {
    const int what = hit(BUFFER, NULL);
    if (what >= 0)
        return next->clCreateBuffer(context, flags, size, host, code);
    if (code != NULL)
        *code = what;
    return NULL;
}

static CL_API_ENTRY cl_int CL_API_CALL enqueue_kernel(cl_command_queue queue, cl_kernel kernel,
                                                      cl_uint dimensions, const size_t *offset,
                                                      const size_t *global, const size_t *local,
                                                      cl_uint n, const cl_event *wait,
                                                      cl_event *event) {
    const int what = hit(KERNEL, queue);
    return what < 0 ? what
                    : next->clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local,
                                                   n, wait, event);
}

static CL_API_ENTRY cl_int CL_API_CALL build_program(cl_program program, cl_uint n,
                                                     const cl_device_id *devices,
                                                     const char *options,
                                                     void(CL_CALLBACK *notify)(cl_program, void *),
                                                     void *user) {
    const int what = hit(BUILD, NULL);
    return what < 0 ? what : next->clBuildProgram(program, n, devices, options, notify, user);
}

static CL_API_ENTRY cl_int CL_API_CALL finish(cl_command_queue queue) {
    const int what = hit(FINISH, queue);
    return what < 0 ? what : next->clFinish(queue);
}

static int layer_begin(void) {
    parse(getenv("LAYER_FAULT"));
    armed = getenv("LAYER_ARMED");
    table.clEnqueueReadBuffer = read_buffer;
    table.clEnqueueMapBuffer = map_buffer;
    table.clEnqueueWriteBuffer = write_buffer;
    table.clEnqueueFillBuffer = fill_buffer;
    table.clCreateBuffer = create_buffer;
    table.clEnqueueNDRangeKernel = enqueue_kernel;
    table.clBuildProgram = build_program;
    table.clFinish = finish;
    return 1;
}
