/* The residual networks for CIFAR-10 of He et al. (Deep residual learning for image recognition,
 * 2016): three stages of (depth - 2) / 6 blocks with 16, 32 and 64 channels (width 16), with 1x1
 * convolutions on the shortcuts that change shape. x (N, C, H, W) gives logits (N, classes). depth is
 * 20, 32, 44, 56 … */
#ifndef TUTTI_MODELS_RESNET_H
#define TUTTI_MODELS_RESNET_H

#include <stdio.h>

#include "tutti/nn.h"

static inline tutti_tensor resnet(tutti_graph *g, tutti_tensor x, int32_t depth, int64_t width,
                                  int64_t classes) {
    char name[32];
    tutti_tensor h =
        tutti_nn_conv2d(g, x, width, 3, 3, "conv1", &(tutti_conv2d_options){.padding = {1, 1}},
                        &(tutti_nn_params){.no_bias = true});
    h = tutti_relu(g, tutti_nn_batch_norm(g, h, "bn1", NULL));
    for (int32_t stage = 0; stage < 3; stage++)
        for (int32_t block = 0; block < (depth - 2) / 6; block++) {
            snprintf(name, sizeof name, "layer%d.%d", (int)stage + 1, (int)block);
            h = tutti_nn_residual_block(g, h, width << stage, stage > 0 && block == 0 ? 2 : 1,
                                        name);
        }
    h = tutti_reshape(g, tutti_global_avg_pool2d(g, h), 2, (int64_t[]){TUTTI_BATCH, 4 * width});
    return tutti_nn_linear(g, h, classes, "fc", NULL);
}

#endif
