/* RMSprop: param and the states change in place; each has `count` elements.
 *   g = grad + decay * param
 *   square = alpha square + rest g^2                     rest = 1 - alpha
 *   with -DCENTERED: mean = alpha mean + rest g, and mean^2 is taken off the square (not below 0)
 *   step = g / (sqrt(square) + eps)
 *   with -DMOMENTUM: velocity = momentum * velocity + step, and the step follows velocity
 *   param -= lr * step
 * A work-item per element, see update.clh. */
#ifdef CENTERED
#define MEAN(X, s) X(float, mean, s)
#else
#define MEAN(X, s)
#endif
#ifdef MOMENTUM
#define VELOCITY(X, s) X(float, velocity, s)
#else
#define VELOCITY(X, s)
#endif
#define OPERANDS(X, s)                                                                             \
    X(float, param, s) X(const float, grad, s) X(float, square, s) MEAN(X, s) VELOCITY(X, s)
#include "update.clh"

__kernel void rmsprop(SLOT_OPERANDS, float lr, float alpha, float rest, float eps, float momentum,
                      float decay) {
    FIND_SLOT
    const float w = param[i];
    const float g = GRADIENT + decay * w;
    const float s = alpha * square[i] + rest * g * g;
    square[i] = s;
    float variance = s;
#ifdef CENTERED
    const float m = alpha * mean[i] + rest * g;
    mean[i] = m;
    variance = fmax(s - m * m, 0.0f);
#endif
    float step = g / (sqrt(variance) + eps);
#ifdef MOMENTUM
    step += momentum * velocity[i];
    velocity[i] = step;
#endif
    param[i] = w - lr * step;
}
