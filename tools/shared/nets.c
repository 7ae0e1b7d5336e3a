#include "shared/nets.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "models/gpt.h"
#include "models/lenet.h"
#include "models/mlp.h"
#include "models/resnet.h"

static tutti_tensor mlp_logits(tutti_graph *g, tutti_tensor x, int64_t classes) {
    return mlp(g, x, 2, 512, classes);
}

/* Two 3x3 convolutions, a maximum, two linear layers: what introductions to MNIST use. */
static tutti_tensor lenet_logits(tutti_graph *g, tutti_tensor x, int64_t classes) {
    const tutti_pool2d_options half = {.kernel = {2, 2}};
    tutti_tensor h = tutti_relu(g, tutti_nn_conv2d(g, x, 32, 3, 3, "conv1", NULL, NULL));
    h = tutti_relu(g, tutti_nn_conv2d(g, h, 64, 3, 3, "conv2", NULL, NULL));
    h = tutti_max_pool2d(g, h, &half);
    h = tutti_reshape(g, h, 2, (int64_t[]){TUTTI_BATCH, 9216});
    h = tutti_relu(g, tutti_nn_linear(g, h, 128, "fc1", NULL));
    return tutti_nn_linear(g, h, classes, "fc2", NULL);
}

/* Of the sample digits. */
static tutti_tensor digits_logits(tutti_graph *g, tutti_tensor x, int64_t classes) {
    const tutti_tensor h = tutti_relu(g, tutti_nn_linear(g, x, 256, "hidden", NULL));
    return tutti_nn_linear(g, tutti_dropout(g, h, 0.3F), classes, "head", NULL);
}

/* The paper's, as the sample mnist trains it. */
static tutti_tensor mnist_logits(tutti_graph *g, tutti_tensor x, int64_t classes) {
    return lenet(g, x, &lenet_paper, classes);
}

static tutti_tensor resnet_logits(tutti_graph *g, tutti_tensor x, int64_t classes) {
    return resnet(g, x, 20, 16, classes);
}

static tutti_tensor gpt_logits(tutti_graph *g, tutti_tensor x, int64_t classes) {
    return gpt(g, x, &(gpt_sizes){classes, 128, 4, 128, 4});
}

#define ADAM                                                                                       \
    { .kind = TUTTI_ADAM, .lr = 1e-3F }

static const tool_net nets[] = {
    {.name = "digits",
     .batch = 32,
     .rank = 2,
     .dims = {TUTTI_BATCH, 64},
     .classes = 10,
     .labels = 1,
     .optimizer = ADAM,
     .logits = digits_logits},
    {.name = "mlp",
     .batch = 128,
     .rank = 2,
     .dims = {TUTTI_BATCH, 784},
     .classes = 10,
     .labels = 1,
     .optimizer = ADAM,
     .logits = mlp_logits},
    {.name = "lenet",
     .batch = 128,
     .rank = 4,
     .dims = {TUTTI_BATCH, 1, 28, 28},
     .classes = 10,
     .labels = 1,
     .optimizer = ADAM,
     .logits = lenet_logits},
    {.name = "mnist",
     .batch = 64,
     .rank = 4,
     .dims = {TUTTI_BATCH, 1, 28, 28},
     .classes = 10,
     .labels = 1,
     .optimizer = ADAM,
     .logits = mnist_logits},
    {.name = "resnet20",
     .batch = 64,
     .rank = 4,
     .dims = {TUTTI_BATCH, 3, 32, 32},
     .classes = 10,
     .labels = 1,
     .optimizer = {.kind = TUTTI_SGD, .lr = 0.1F, .momentum = 0.9F, .weight_decay = 1e-4F},
     .logits = resnet_logits},
    {.name = "gpt",
     .batch = 16,
     .rank = 2,
     .dims = {TUTTI_BATCH, 128},
     .classes = 65,
     .labels = 128,
     .vocabulary = 65,
     .optimizer = ADAM,
     .logits = gpt_logits},
};

const tool_net *tool_net_find(const char *name) {
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if (strcmp(nets[i].name, name) == 0)
            return &nets[i];
    return NULL;
}

static tutti_status build(const tool_net *net, tutti_graph *g) {
    const tutti_dtype dtype = net->vocabulary > 0 ? TUTTI_I32 : TUTTI_F32;
    const tutti_tensor x = tutti_graph_input(g, "x", dtype, net->rank, net->dims);
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, net->labels > 1 ? 2 : 1,
                                       (int64_t[]){TUTTI_BATCH, net->labels});
    if (net->labels > 1)
        y = tutti_reshape(g, y, 1, (int64_t[]){TUTTI_BATCH});
    const tutti_tensor logits = net->logits(g, x, net->classes);
    TUTTI_TRY(tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y)));
    TUTTI_TRY(tutti_graph_optimize(g, &net->optimizer));
    return tutti_graph_freeze(g);
}

tutti_status tool_net_build(const tool_net *net, tutti_graph **out) {
    TUTTI_TRY(tutti_graph_make(out));
    return build(net, *out);
}

tutti_status tool_batch_make(const tool_net *net, const tutti_graph *graph, tool_batch *out) {
    size_t count = (size_t)net->batch;
    for (int32_t i = 1; i < net->rank; i++)
        count *= (size_t)net->dims[i];
    const size_t labels = (size_t)(net->batch * net->labels);
    *out = (tool_batch){.x = malloc(count * 4), .y = malloc(labels * 4)};
    if (out->x == NULL || out->y == NULL) {
        tool_batch_free(out);
        return tutti_fail_memory(count * 4, "a batch");
    }
    tutti_rng rng;
    tutti_rng_begin(&rng, 1, 0);
    for (size_t i = 0; i < count; i++)
        if (net->vocabulary > 0)
            ((int32_t *)out->x)[i] = (int32_t)tutti_rng_below(&rng, (uint64_t)net->vocabulary);
        else
            ((float *)out->x)[i] = tutti_rng_normal(&rng);
    for (size_t i = 0; i < labels; i++)
        ((int32_t *)out->y)[i] = (int32_t)tutti_rng_below(&rng, (uint64_t)net->classes);
    out->feeds[0] = (tutti_feed){tutti_graph_find(graph, "x"), out->x};
    out->feeds[1] = (tutti_feed){tutti_graph_find(graph, "y"), out->y};
    out->fetch = (tutti_fetch){tutti_graph_loss(graph), NULL};
    return TUTTI_OK;
}

void tool_batch_free(tool_batch *data) {
    free(data->x);
    free(data->y);
}
