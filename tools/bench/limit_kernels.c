#include "limit_kernels.h"

#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "device/quirks.h"
#include "device/simple_program.h"
#include "kernel/embedded.h"
#include "kernel/runtime.h"

#define FMA_S        2e-3
#define FMA_PER_ITEM 24 /* operations per float and round */
#define COPY_ITEM    16 /* bytes of a work-item */
#define COPY_LOCAL   256

static const char *source(void) {
    for (int i = 0; i < tutti_embedded_kernel_count; i++)
        if (strcmp(tutti_embedded_kernels[i].name, "bench.cl") == 0)
            return tutti_embedded_kernels[i].text;
    return "";
}

static tutti_status call(void *user, int32_t times) {
    const bench_limit *l = user;
    for (int32_t i = 0; i < times; i++)
        TUTTI_TRY(tutti_simple_enqueue(l->device, l->kernel, l->global, l->local));
    TUTTI_CL(l->device, clFinish, l->device->queue);
    return TUTTI_OK;
}

static tutti_status open_limit(const bench *b, size_t bytes, bench_limit *l) {
    *l = (bench_limit){.device = &b->runtime->devices[0]};
    TUTTI_TRY(tutti_simple_program(l->device, "bench.cl", source(), &l->program));
    return tutti_buffer_make(l->device, bytes, &l->a);
}

/* The device's own vectors: 12 of them fit its registers. */
static int width_of(const bench_limit *l) {
    int width = 1;
    while (width < 16 && width * 2 <= (int)l->device->info.simd_floats)
        width *= 2;
    return width;
}

/* The first call may compile; the second says how many rounds last FMA_S. */
static tutti_status set_rounds(bench_limit *l) {
    cl_int rounds = 256;
    TUTTI_TRY(call(l, 1));
    const double begin = tutti_clock_s();
    TUTTI_TRY(call(l, 1));
    const double factor = FMA_S / (tutti_clock_s() - begin);
    if (factor > 1)
        rounds = (cl_int)(rounds * (factor > 1000 ? 1000 : factor));
    TUTTI_CL(l->device, clSetKernelArg, l->kernel, 1, sizeof rounds, &rounds);
    l->work = (double)(FMA_PER_ITEM * width_of(l)) * (double)rounds * (double)l->global;
    return TUTTI_OK;
}

static tutti_status open_fma(const bench *b, bench_limit *l) {
    const uint32_t units = b->runtime->devices[0].info.compute_units;
    const bool cpu = b->runtime->devices[0].info.type == TUTTI_DEVICE_CPU;
    const bool interpreter = (b->runtime->devices[0].quirks & TUTTI_QUIRK_INTERPRETER) != 0;
    const size_t global = interpreter ? 1 : (size_t)units * (cpu ? 4 : 2048);
    const cl_int rounds = 256;
    const float scale = 0.999F, shift = 0.001F;
    TUTTI_TRY(open_limit(b, global * sizeof(float), l));
    l->global = global;
    l->local = cpu || interpreter || b->runtime->devices[0].info.max_work_group < 64 ? 1 : 64;
    const tutti_simple_arg args[] = {{.memory = l->a},
                                     {.size_bytes = sizeof rounds, .value = &rounds},
                                     {.size_bytes = sizeof scale, .value = &scale},
                                     {.size_bytes = sizeof shift, .value = &shift}};
    char name[16];
    snprintf(name, sizeof name, "fma_%d", width_of(l));
    TUTTI_TRY(tutti_simple_kernel(l->device, l->program, name, args, 4, &l->kernel));
    return set_rounds(l);
}

tutti_status bench_limit_fma(const bench *b, bench_limit *out) {
    const tutti_status status = open_fma(b, out);
    if (status != TUTTI_OK)
        bench_limit_close(out);
    return status;
}

static tutti_status open_copy(const bench *b, size_t bytes, bench_limit *l) {
    TUTTI_TRY(open_limit(b, bytes, l));
    TUTTI_TRY(tutti_buffer_make(l->device, bytes, &l->b));
    l->global = bytes / COPY_ITEM;
    l->local = l->device->info.max_work_group < COPY_LOCAL ? 0 : COPY_LOCAL;
    l->work = 2 * (double)bytes;
    const tutti_simple_arg args[] = {{.memory = l->a}, {.memory = l->b}};
    return tutti_simple_kernel(l->device, l->program, "copy", args, 2, &l->kernel);
}

tutti_status bench_limit_copy(const bench *b, size_t bytes, bench_limit *out) {
    const tutti_status status =
        open_copy(b, bytes / (COPY_LOCAL * COPY_ITEM) * (COPY_LOCAL * COPY_ITEM), out);
    if (status != TUTTI_OK)
        bench_limit_close(out);
    return status;
}

static tutti_status open_nothing(const bench *b, bench_limit *l) {
    TUTTI_TRY(open_limit(b, 64, l));
    l->global = l->local = 1;
    const tutti_simple_arg args[] = {{.memory = l->a}};
    return tutti_simple_kernel(l->device, l->program, "nothing", args, 1, &l->kernel);
}

tutti_status bench_limit_nothing(const bench *b, bench_limit *out) {
    const tutti_status status = open_nothing(b, out);
    if (status != TUTTI_OK)
        bench_limit_close(out);
    return status;
}

void bench_limit_close(bench_limit *limit) {
    if (limit->kernel != NULL)
        (void)clReleaseKernel(limit->kernel);
    if (limit->program != NULL)
        (void)clReleaseProgram(limit->program);
    if (limit->a != NULL)
        (void)clReleaseMemObject(limit->a);
    if (limit->b != NULL)
        (void)clReleaseMemObject(limit->b);
    *limit = (bench_limit){0};
}

bench_rival bench_limit_rival(bench_limit *limit, const char *name) {
    return (bench_rival){.name = name, .work = limit->work, .call = call, .user = limit};
}
