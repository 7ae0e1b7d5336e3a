/* Adagrad: param and sum change in place; each has `count` elements.
 *   g = grad + decay * param,  sum += g^2,  param -= lr * g / (sqrt(sum) + eps)
 * One work-item per element; any local size. */
__kernel void adagrad(__global float *restrict param, __global const float *restrict grad,
                      __global float *restrict sum, int count, float lr, float eps, float decay) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const float w = param[i];
    const float g = grad[i] + decay * w;
    const float s = sum[i] + g * g;
    sum[i] = s;
    param[i] = w - lr * (g / (sqrt(s) + eps));
}
