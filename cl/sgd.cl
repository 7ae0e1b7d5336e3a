/* Stochastic gradient descent: param (and velocity) change in place; each has `count` elements.
 *   g = grad + decay * param
 *   with -DMOMENTUM: velocity = momentum * velocity + g, and the step follows velocity, or
 *   with -DNESTEROV also: g + momentum * velocity
 *   param -= lr * step
 * One work-item per element; any local size. */
__kernel void sgd(__global float *restrict param, __global const float *restrict grad,
#ifdef MOMENTUM
                  __global float *restrict velocity,
#endif
                  int count, float lr, float momentum, float decay) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const float w = param[i];
    float g = grad[i] + decay * w;
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
