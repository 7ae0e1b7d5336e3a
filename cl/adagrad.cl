/* Adagrad: param and sum change in place; each has `count` elements.
 *   g = grad + decay * param,  sum += g^2,  param -= lr * g / (sqrt(sum) + eps)
 * A work-item per element, see update.clh. */
#define OPERANDS(X, s) X(float, param, s) X(const float, grad, s) X(float, sum, s)
#include "update.clh"

__kernel void adagrad(SLOT_OPERANDS, float lr, float eps, float decay) {
    FIND_SLOT
    const float w = param[i];
    const float g = GRADIENT + decay * w;
    const float s = sum[i] + g * g;
    sum[i] = s;
    param[i] = w - lr * (g / (sqrt(s) + eps));
}
