/* Where the time of a training step goes, launch by launch. */
#ifndef TUTTI_TOOLS_BENCH_KERNELS_H
#define TUTTI_TOOLS_BENCH_KERNELS_H

#include "bench.h"
#include "shared/nets.h"

#define BENCH_KERNEL_COLUMNS 11
extern const bench_column bench_kernel_columns[BENCH_KERNEL_COLUMNS];

/* Puts a row of kind "kernel" per op, shape and kernel, those that take longest first, and one for
 * the time between launches. The runtime was opened for profiling; first device. */
TUTTI_MUST_USE tutti_status bench_kernels(const bench *b, const char *net, const tutti_plan *plan,
                                          tutti_run *run, int64_t batch, tool_batch *data);

#endif
