/* RMSprop: param and the states change in place; each has `count` elements.
 *   g = grad + decay * param
 *   square = alpha square + rest g^2                     rest = 1 - alpha
 *   with -DCENTERED: mean = alpha mean + rest g, and mean^2 is taken off the square (not below 0)
 *   step = g / (sqrt(square) + eps)
 *   with -DMOMENTUM: velocity = momentum * velocity + step, and the step follows velocity
 *   param -= lr * step
 * One work-item per element; any local size. */
__kernel void rmsprop(__global float *restrict param, __global const float *restrict grad,
                      __global float *restrict square,
#ifdef CENTERED
                      __global float *restrict mean,
#endif
#ifdef MOMENTUM
                      __global float *restrict velocity,
#endif
                      int count, float lr, float alpha, float rest, float eps, float momentum,
                      float decay) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const float w = param[i];
    const float g = grad[i] + decay * w;
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
