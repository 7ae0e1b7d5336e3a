/* The kernels that show the device's limits, as rivals of what is compared with them. */
#ifndef TUTTI_TOOLS_BENCH_LIMIT_KERNELS_H
#define TUTTI_TOOLS_BENCH_LIMIT_KERNELS_H

#include <CL/cl.h>

#include "compete.h"
#include "device/open.h"

typedef struct bench_limit {
    const tutti_device *device;
    cl_program program;
    cl_kernel kernel;
    cl_mem a, b;
    size_t global, local;
    double work; /* operations, or bytes read and written, of a call */
} bench_limit;

/* Multiply-adds in independent chains, for a few milliseconds. */
TUTTI_MUST_USE tutti_status bench_limit_fma(const bench *b, bench_limit *out);
/* A copy between two buffers of so many bytes. */
TUTTI_MUST_USE tutti_status bench_limit_copy(const bench *b, size_t bytes, bench_limit *out);
/* An empty kernel of one work-item. */
TUTTI_MUST_USE tutti_status bench_limit_nothing(const bench *b, bench_limit *out);
void bench_limit_close(bench_limit *limit);
bench_rival bench_limit_rival(bench_limit *limit, const char *name);

#endif
