/* LeNet-5 (LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition,
 * 1998) with plain average pooling, full connections between the maps, and a linear layer at the end.
 * x (N, 1, 28, 28) gives logits (N, classes). */
#ifndef TUTTI_MODELS_LENET_H
#define TUTTI_MODELS_LENET_H

#include "tutti/nn.h"

typedef struct lenet_sizes {
    int64_t maps1, maps2;   /* of the convolutions */
    int64_t units1, units2; /* of the layers behind them */
} lenet_sizes;

static const lenet_sizes lenet_paper = {6, 16, 120, 84};

static inline tutti_tensor lenet(tutti_graph *g, tutti_tensor x, const lenet_sizes *sizes,
                                 int64_t classes) {
    const tutti_pool2d_options half = {.kernel = {2, 2}};
    tutti_tensor h = tutti_nn_conv2d(g, x, sizes->maps1, 5, 5, "conv1",
                                     &(tutti_conv2d_options){.padding = {2, 2}}, NULL);
    h = tutti_avg_pool2d(g, tutti_tanh(g, h), &half);
    h = tutti_nn_conv2d(g, h, sizes->maps2, 5, 5, "conv2", NULL, NULL);
    h = tutti_avg_pool2d(g, tutti_tanh(g, h), &half);
    h = tutti_reshape(g, h, 2, (int64_t[]){TUTTI_BATCH, sizes->maps2 * 5 * 5});
    h = tutti_tanh(g, tutti_nn_linear(g, h, sizes->units1, "fc1", NULL));
    h = tutti_tanh(g, tutti_nn_linear(g, h, sizes->units2, "fc2", NULL));
    return tutti_nn_linear(g, h, classes, "fc3", NULL);
}

#endif
