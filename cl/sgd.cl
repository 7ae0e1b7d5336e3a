/* Stochastic gradient descent: param (and velocity) change in place; each has `count` elements.
 *   g = grad + decay * param
 *   with -DMOMENTUM: velocity = momentum * velocity + g, and the step follows velocity, or
 *   with -DNESTEROV also: g + momentum * velocity
 *   param -= lr * step
 * A work-item per element, see update.clh. */
#ifdef MOMENTUM
#define OPERANDS(X, s) X(float, param, s) X(const float, grad, s) X(float, velocity, s)
#else
#define OPERANDS(X, s) X(float, param, s) X(const float, grad, s)
#endif
#include "update.clh"

__kernel void sgd(SLOT_OPERANDS, float lr, float momentum, float decay) {
    FIND_SLOT
    const float w = param[i];
    float g = GRADIENT + decay * w;
#ifdef MOMENTUM
    const float speed = momentum * velocity[i] + g;
    velocity[i] = speed;
#ifdef NESTEROV
    g += momentum * speed;
#else
    g = speed;
#endif
#endif
    param[i] = w - lr * g;
}
