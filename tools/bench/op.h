/* Ops as a step runs them: planned and bound, then launched again and again on memory that stays on
 * the device. */
#ifndef TUTTI_TOOLS_BENCH_OP_H
#define TUTTI_TOOLS_BENCH_OP_H

#include <CL/cl.h>

#include "bench.h"
#include "exec/run.h"

typedef struct bench_op {
    tutti_graph *graph; /* owned */
    tutti_plan *plan;
    tutti_run *run;
    tutti_mode mode;
    int64_t n;
    void *feeds[8]; /* random, by input of the mode */
    int32_t n_feeds;
    const char *only;
    double flops; /* of what is launched */
    double bytes; /* that it cannot do without: what it reads from outside, and its results, once */
    int32_t n_launches;
    char kernels[128]; /* the candidates' names */
} bench_op;

/* Plans the graph, which it takes over (frozen here), for n samples of a mode, feeds random numbers
 * (indices below `classes`) and runs it once. only names the ops whose nodes are launched
 * afterwards, several separated by commas, each the beginning of what a plan calls it; NULL: all
 * nodes. First device; bench_op_close. */
TUTTI_MUST_USE tutti_status bench_op_open(const bench *b, tutti_graph *graph, tutti_mode mode,
                                          int64_t n, int64_t classes, const char *only,
                                          bench_op *out);
void bench_op_close(bench_op *op);
/* Launches everything so many times and waits; user is the bench_op. */
tutti_status bench_op_call(void *user, int32_t times);
/* Device memory of a tensor. */
cl_mem bench_op_memory(const bench_op *op, tutti_tensor tensor);
/* A step with the feeds, fetching one output. */
TUTTI_MUST_USE tutti_status bench_op_fetch(bench_op *op, tutti_tensor tensor, void *out);

#endif
