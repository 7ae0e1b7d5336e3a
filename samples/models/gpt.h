/* A GPT: a decoder-only transformer with layer norm before each part (Radford et al.: Language models
 * are unsupervised multitask learners, 2019), GELU in its tanh form, and a head of its own. Tokens x
 * (N, context), i32, give logits (N * context, vocabulary): token i is predicted from those up to
 * i - 1, so the labels are the tokens moved on by one. */
#ifndef TUTTI_MODELS_GPT_H
#define TUTTI_MODELS_GPT_H

#include <math.h>
#include <stdio.h>

#include "tutti/nn.h"

typedef struct gpt_sizes {
    int64_t vocabulary, context, layers, width, heads;
} gpt_sizes;

/* x + attention(norm(x)), then x + mlp(norm(x)). */
static inline tutti_tensor gpt_block(tutti_graph *g, tutti_tensor x, const gpt_sizes *sizes,
                                     int64_t index, const tutti_nn_params *in,
                                     const tutti_nn_params *out) {
    char ln_1[32], attn[32], ln_2[32], fc[32], proj[32];
    snprintf(ln_1, sizeof ln_1, "h.%d.ln_1", (int)index);
    snprintf(attn, sizeof attn, "h.%d.attn", (int)index);
    snprintf(ln_2, sizeof ln_2, "h.%d.ln_2", (int)index);
    snprintf(fc, sizeof fc, "h.%d.mlp.fc", (int)index);
    snprintf(proj, sizeof proj, "h.%d.mlp.proj", (int)index);
    const tutti_nn_attention_options causal = {.attention = {.causal = true}, .in = in, .out = out};
    tutti_tensor h = tutti_nn_layer_norm(g, x, ln_1, NULL);
    x = tutti_add(g, x, tutti_nn_multi_head_attention(g, h, sizes->heads, attn, &causal));
    h = tutti_nn_layer_norm(g, x, ln_2, NULL);
    h = tutti_gelu_tanh(g, tutti_nn_linear(g, h, 4 * sizes->width, fc, in));
    return tutti_add(g, x, tutti_nn_linear(g, h, sizes->width, proj, out));
}

static inline tutti_tensor gpt(tutti_graph *g, tutti_tensor x, const gpt_sizes *sizes) {
    /* Initial values as in GPT-2: what is added to the residual stream starts smaller the more is
     * added. */
    const tutti_init normal = {TUTTI_INIT_NORMAL, 0.0F, 0.02F}, zeros = {.kind = TUTTI_INIT_ZEROS};
    const tutti_init small = {TUTTI_INIT_NORMAL, 0.0F, 0.02F / sqrtf(2.0F * (float)sizes->layers)};
    const tutti_nn_params in = {.weight = &normal, .bias = &zeros};
    const tutti_nn_params out = {.weight = &small, .bias = &zeros};
    tutti_tensor h = tutti_nn_embedding(g, x, sizes->vocabulary, sizes->width, "wte", &in);
    const tutti_tensor positions =
        tutti_graph_param(g, "wpe.weight", 2, (int64_t[]){sizes->context, sizes->width}, normal);
    h = tutti_add(g, h, positions);
    for (int64_t i = 0; i < sizes->layers; i++)
        h = gpt_block(g, h, sizes, i, &in, &out);
    h = tutti_nn_layer_norm(g, h, "ln_f", NULL);
    h = tutti_reshape(g, h, 2, (int64_t[]){TUTTI_BATCH, sizes->width});
    return tutti_nn_linear(g, h, sizes->vocabulary, "head",
                           &(tutti_nn_params){.no_bias = true, .weight = &normal});
}

#endif
