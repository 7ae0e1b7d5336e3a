/* The networks that are trained for comparison, with made-up data. tools/bench_torch.py has the
 * same. */
#ifndef TUTTI_TOOLS_BENCH_NETS_H
#define TUTTI_TOOLS_BENCH_NETS_H

#include "tutti/tutti.h"

typedef struct bench_net {
    const char *name;
    int64_t batch;
    int32_t rank; /* of x, with the batch */
    int64_t dims[4];
    int64_t classes;    /* of the labels */
    int64_t labels;     /* per sample; more than 1: one per token */
    int64_t vocabulary; /* x is tokens below it; 0: x is numbers */
    tutti_optimizer optimizer;
    tutti_tensor (*logits)(tutti_graph *g, tutti_tensor x, int64_t classes);
} bench_net;

#define BENCH_NETS 4
extern const bench_net bench_nets[BENCH_NETS];
extern const char *const bench_net_names[BENCH_NETS];

/* Frozen, with loss and optimizer. */
TUTTI_MUST_USE tutti_status bench_net_build(const bench_net *net, tutti_graph **out);

typedef struct bench_data {
    void *x, *y;
    float loss;
    tutti_feed feeds[2];
    tutti_fetch fetch;
} bench_data;
/* A batch of random numbers; bench_data_free. */
TUTTI_MUST_USE tutti_status bench_data_make(const bench_net *net, const tutti_graph *graph,
                                            bench_data *out);
void bench_data_free(bench_data *data);

#endif
