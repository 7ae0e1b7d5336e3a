/* The networks that tutti-bench trains, with made-up data, and tutti-tune measures kernels for.
 * tools/bench_torch.py has those of tutti-bench, too. */
#ifndef TUTTI_TOOLS_NETS_H
#define TUTTI_TOOLS_NETS_H

#include "tutti/tutti.h"

typedef struct tool_net {
    const char *name;
    int64_t batch;
    int32_t rank; /* of x, with the batch */
    int64_t dims[4];
    int64_t classes;    /* of the labels */
    int64_t labels;     /* per sample; more than 1: one per token */
    int64_t vocabulary; /* x is tokens below it; 0: x is numbers */
    tutti_optimizer optimizer;
    tutti_tensor (*logits)(tutti_graph *g, tutti_tensor x, int64_t classes);
} tool_net;

/* digits and mnist, of these samples; mlp, lenet, resnet20 and gpt, of tutti-bench, of which the last
 * two are those of the samples cifar and chargpt; NULL for any other name. */
const tool_net *tool_net_find(const char *name);

/* Frozen, with loss and optimizer. */
TUTTI_MUST_USE tutti_status tool_net_build(const tool_net *net, tutti_graph **out);

typedef struct tool_batch {
    void *x, *y;
    float loss;
    tutti_feed feeds[2];
    tutti_fetch fetch;
} tool_batch;
/* A batch of random numbers; tool_batch_free. */
TUTTI_MUST_USE tutti_status tool_batch_make(const tool_net *net, const tutti_graph *graph,
                                            tool_batch *out);
void tool_batch_free(tool_batch *data);

#endif
