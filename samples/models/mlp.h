/* Multi-layer perceptron: `hidden` layers of `width` ReLUs, then a linear layer. x (N, K) gives
 * logits (N, classes). Parameters: layers.0 … layers.<hidden>. */
#ifndef TUTTI_MODELS_MLP_H
#define TUTTI_MODELS_MLP_H

#include <stdio.h>

#include "tutti/nn.h"

static inline tutti_tensor mlp(tutti_graph *g, tutti_tensor x, int32_t hidden, int64_t width,
                               int64_t classes) {
    char name[32];
    for (int32_t i = 0; i < hidden; i++) {
        snprintf(name, sizeof name, "layers.%d", (int)i);
        x = tutti_relu(g, tutti_nn_linear(g, x, width, name, NULL));
    }
    snprintf(name, sizeof name, "layers.%d", (int)hidden);
    return tutti_nn_linear(g, x, classes, name, NULL);
}

#endif
