/* softsign: y = x / (1 + |x|); softsign_grad: dx = dy / (1 + |x|)^2. One work-item per element,
 * any local size; the excess of the last work-group does nothing. */
__kernel void softsign(__global const float *restrict x, __global float *restrict y, int count) {
    const int i = (int)get_global_id(0);
    if (i < count)
        y[i] = x[i] / (1.0f + fabs(x[i]));
}

__kernel void softsign_grad(__global const float *restrict x, __global const float *restrict dy,
                            __global float *restrict dx, int count) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const float slope = 1.0f / (1.0f + fabs(x[i]));
    dx[i] = dy[i] * slope * slope;
}
