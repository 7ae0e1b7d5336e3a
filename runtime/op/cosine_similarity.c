/* a b / (|a| |b|) along the last axis, composed; norms below 1e-8 count as that, as in PyTorch. */
#include <math.h>

#include "op/loss.h"

#define EPSILON 1e-8F

static tutti_tensor norm(tutti_graph *g, tutti_tensor x) {
    const tutti_tensor squares = tutti_sum(g, tutti_mul(g, x, x), 1, (int32_t[]){-1}, false);
    return tutti_sqrt(g, tutti_clamp(g, squares, EPSILON * EPSILON, INFINITY));
}

tutti_tensor tutti_cosine_similarity(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    if (!tutti_loss_check(g, "cosine_similarity", a, b))
        return (tutti_tensor){0};
    const tutti_tensor product = tutti_sum(g, tutti_mul(g, a, b), 1, (int32_t[]){-1}, false);
    /* One after the other: the product of two norms may overflow. */
    return tutti_div(g, tutti_div(g, product, norm(g, a)), norm(g, b));
}

tutti_tensor tutti_cosine_embedding(tutti_graph *g, tutti_tensor a, tutti_tensor b,
                                    tutti_tensor target, float margin) {
    const tutti_tensor cosine = tutti_cosine_similarity(g, a, b);
    if (!tutti_loss_check(g, "cosine_embedding", cosine, target))
        return (tutti_tensor){0};
    const tutti_tensor alike = tutti_heaviside(g, target);
    const tutti_tensor other = tutti_add_scalar(g, tutti_neg(g, alike), 1);
    const tutti_tensor apart = tutti_add_scalar(g, tutti_neg(g, cosine), 1);
    const tutti_tensor close = tutti_relu(g, tutti_add_scalar(g, cosine, -margin));
    return tutti_mean(g, tutti_add(g, tutti_mul(g, alike, apart), tutti_mul(g, other, close)), 0,
                      NULL, false);
}
