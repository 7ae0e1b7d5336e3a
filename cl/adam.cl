/* Adam: param, m and v change in place; each has `count` elements.
 *   g = grad + decay * param
 *   m = beta1 m + rest1 g,  v = beta2 v + rest2 g^2       rest = 1 - beta
 *   param -= step_size * m / (sqrt(v) / root2 + eps)
 * step_size = lr / (1 - beta1^t) and root2 = sqrt(1 - beta2^t) come from the host.
 * A work-item per element, see update.clh. */
#define OPERANDS(X, s) X(float, param, s) X(const float, grad, s) X(float, m, s) X(float, v, s)
#include "update.clh"

__kernel void adam(SLOT_OPERANDS, float beta1, float rest1, float beta2, float rest2, float eps,
                   float decay, float step_size, float root2) {
    FIND_SLOT
    const float w = param[i];
    const float g = GRADIENT + decay * w;
    const float mi = beta1 * m[i] + rest1 * g;
    const float vi = beta2 * v[i] + rest2 * g * g;
    m[i] = mi;
    v[i] = vi;
    param[i] = w - step_size * (mi / (sqrt(vi) / root2 + eps));
}
