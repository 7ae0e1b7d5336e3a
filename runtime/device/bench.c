#include "device/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "device/simple_program.h"

#define MAX_REPEATS  9
#define MAX_ROUNDS   (1 << 26) /* a sixteenth of what an int holds, as rounds grow by so much */
#define COPY_BYTES   (64u << 20)
#define FMA_PER_ITEM 24 /* operations per float and round in cl/bench.cl */

typedef struct bench {
    const tutti_device *device;
    cl_program program;
    cl_mem a, b;
    size_t bytes; /* of each */
    void *host;
    int repeats;
    double aim_s; /* how long one measurement should take */
} bench;

static int compare_doubles(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return count % 2 == 1 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

typedef tutti_status (*action)(const bench *b, void *user);

static tutti_status finish(const bench *b) {
    TUTTI_CL(b->device, clFinish, b->device->queue);
    return TUTTI_OK;
}

static tutti_status time_once(const bench *b, action act, void *user, double *out_s) {
    const uint64_t begin_ns = tutti_clock_ns();
    TUTTI_TRY(act(b, user));
    TUTTI_TRY(finish(b));
    *out_s = (double)(tutti_clock_ns() - begin_ns) * 1e-9;
    return TUTTI_OK;
}

/* The first run, which may compile, does not count. */
static tutti_status time_median(const bench *b, action act, void *user, double *out_s) {
    double times[MAX_REPEATS];
    TUTTI_TRY(time_once(b, act, user, &times[0]));
    for (int i = 0; i < b->repeats; i++)
        TUTTI_TRY(time_once(b, act, user, &times[i]));
    *out_s = median(times, b->repeats);
    return TUTTI_OK;
}

typedef struct launch {
    cl_kernel kernel;
    size_t global, local;
    int32_t times;
} launch;

static tutti_status act_launch(const bench *b, void *user) {
    const launch *l = user;
    for (int32_t i = 0; i < l->times; i++)
        TUTTI_TRY(tutti_simple_enqueue(b->device, l->kernel, l->global, l->local));
    return TUTTI_OK;
}

static tutti_status act_write(const bench *b, void *user) {
    (void)user;
    return tutti_buffer_write(b->device, b->a, 0, b->host, b->bytes);
}

static tutti_status act_read(const bench *b, void *user) {
    (void)user;
    return tutti_buffer_read(b->device, b->a, 0, b->host, b->bytes);
}

static tutti_status act_copy(const bench *b, void *user) {
    (void)user;
    TUTTI_CL(b->device, clEnqueueCopyBuffer, b->device->queue, b->a, b->b, 0, 0, b->bytes, 0, NULL,
             NULL);
    return TUTTI_OK;
}

/* Doubles the rounds until a run lasts long enough, then measures. */
static tutti_status fma_width(const bench *b, int32_t width, const char *name, double *out_gflops) {
    const tutti_device_info *info = &b->device->info;
    const bool cpu = info->type == TUTTI_DEVICE_CPU;
    launch l = {.times = 1, .local = cpu || info->max_work_group < 64 ? 1 : 64};
    l.global = cpu ? (size_t)info->compute_units * 16 : (size_t)info->compute_units * 2048;
    if (b->device->quirks & TUTTI_QUIRK_INTERPRETER)
        l.global = l.local = 1;
    if (l.global * sizeof(float) > b->bytes)
        l.global = b->bytes / sizeof(float) / l.local * l.local;
    const float scale = 0.999f, shift = 0.001f;
    cl_int rounds = 16;
    const tutti_simple_arg args[] = {{.memory = b->a},
                                     {.size_bytes = sizeof rounds, .value = &rounds},
                                     {.size_bytes = sizeof scale, .value = &scale},
                                     {.size_bytes = sizeof shift, .value = &shift}};
    TUTTI_TRY(tutti_simple_kernel(b->device, b->program, name, args, 4, &l.kernel));
    double time_s = 0;
    tutti_status status = time_once(b, act_launch, &l, &time_s);
    while (status == TUTTI_OK) {
        status = time_once(b, act_launch, &l, &time_s);
        if (status != TUTTI_OK || time_s >= b->aim_s || rounds >= MAX_ROUNDS)
            break;
        const double factor = time_s > 0 ? b->aim_s / time_s : 16;
        rounds = (cl_int)((double)rounds * (factor > 16 ? 16 : factor < 1.5 ? 1.5 : factor));
        if (clSetKernelArg(l.kernel, 1, sizeof rounds, &rounds) != CL_SUCCESS)
            status = tutti_fail(TUTTI_OPENCL, "clSetKernelArg on %s", info->id);
    }
    if (status == TUTTI_OK)
        status = time_median(b, act_launch, &l, &time_s);
    (void)clReleaseKernel(l.kernel);
    *out_gflops = (double)FMA_PER_ITEM * width * (double)rounds * (double)l.global / time_s * 1e-9;
    return status;
}

static tutti_status bench_fma(const bench *b, tutti_bench_result *out) {
    static const char *const names[TUTTI_BENCH_WIDTHS] = {"fma_1", "fma_2", "fma_4", "fma_8",
                                                          "fma_16"};
    for (int i = 0; i < TUTTI_BENCH_WIDTHS; i++) {
        TUTTI_TRY(fma_width(b, 1 << i, names[i], &out->width_gflops[i]));
        if (out->width_gflops[i] > out->fp32_gflops) {
            out->fp32_gflops = out->width_gflops[i];
            out->fp32_width = 1 << i;
        }
    }
    return TUTTI_OK;
}

/* By the driver's own command and by a kernel; the faster counts. */
static tutti_status bench_copy(const bench *b, tutti_bench_result *out) {
    double command_s, kernel_s;
    launch l = {.times = 1,
                .global = b->bytes / 16,
                .local = b->device->info.max_work_group < 256 ? 0 : 256};
    const tutti_simple_arg args[] = {{.memory = b->a}, {.memory = b->b}};
    TUTTI_TRY(time_median(b, act_copy, NULL, &command_s));
    TUTTI_TRY(tutti_simple_kernel(b->device, b->program, "copy", args, 2, &l.kernel));
    const tutti_status status = time_median(b, act_launch, &l, &kernel_s);
    (void)clReleaseKernel(l.kernel);
    TUTTI_TRY(status);
    out->copy_gbs = 2 * (double)b->bytes / (kernel_s < command_s ? kernel_s : command_s) * 1e-9;
    return TUTTI_OK;
}

static tutti_status bench_launch(const bench *b, tutti_bench_result *out) {
    const tutti_simple_arg args[] = {{.memory = b->a}};
    launch l = {.times = 1, .global = 1, .local = 1};
    double time_s = 0, times[100];
    const int count = b->device->quirks & TUTTI_QUIRK_INTERPRETER ? 10 : 100;
    TUTTI_TRY(tutti_simple_kernel(b->device, b->program, "nothing", args, 1, &l.kernel));
    tutti_status status = time_once(b, act_launch, &l, &time_s);
    for (int i = 0; i < count && status == TUTTI_OK; i++)
        status = time_once(b, act_launch, &l, &times[i]);
    if (status == TUTTI_OK)
        out->launch_us = median(times, count) * 1e6;
    l.times = count;
    if (status == TUTTI_OK)
        status = time_median(b, act_launch, &l, &time_s);
    out->repeat_us = time_s / count * 1e6;
    (void)clReleaseKernel(l.kernel);
    return status;
}

static tutti_status run(bench *b, tutti_bench_result *out) {
    TUTTI_TRY(tutti_buffer_make(b->device, b->bytes, &b->a));
    TUTTI_TRY(tutti_buffer_make(b->device, b->bytes, &b->b));
    b->host = malloc(b->bytes);
    if (b->host == NULL)
        return tutti_fail_memory(b->bytes, "measuring copies");
    memset(b->host, 1, b->bytes);
    double write_s, read_s;
    TUTTI_TRY(time_median(b, act_write, NULL, &write_s));
    TUTTI_TRY(time_median(b, act_read, NULL, &read_s));
    out->write_gbs = (double)b->bytes / write_s * 1e-9;
    out->read_gbs = (double)b->bytes / read_s * 1e-9;
    TUTTI_TRY(bench_copy(b, out));
    TUTTI_TRY(bench_launch(b, out));
    return bench_fma(b, out);
}

tutti_status tutti_bench_run(const tutti_device *device, const char *source,
                             tutti_bench_result *out) {
    *out = (tutti_bench_result){0};
    const bool interpreter = (device->quirks & TUTTI_QUIRK_INTERPRETER) != 0;
    bench b = {.device = device,
               .bytes = interpreter ? 65536 : COPY_BYTES,
               .repeats = interpreter ? 3 : 7,
               .aim_s = 0.02};
    while (b.bytes > device->info.max_alloc_bytes || 4 * b.bytes > device->memory_limit_bytes)
        b.bytes /= 2;
    if (b.bytes < 4096)
        return tutti_fail(TUTTI_OUT_OF_MEMORY, "%s (%s): too little memory to measure",
                          device->info.id, device->info.name);
    out->buffer_bytes = b.bytes;
    TUTTI_TRY(tutti_simple_program(device, "bench.cl", source, &b.program));
    const tutti_status status = run(&b, out);
    if (b.a != NULL)
        (void)clReleaseMemObject(b.a);
    if (b.b != NULL)
        (void)clReleaseMemObject(b.b);
    (void)clReleaseProgram(b.program);
    free(b.host);
    return status;
}
