/* AdamW: param, m and v change in place; each has `count` elements.
 *   m = beta1 m + rest1 grad,  v = beta2 v + rest2 grad^2       rest = 1 - beta
 *   param = keep * param - step_size * m / (sqrt(v) / root2 + eps)
 * keep = 1 - lr * weight_decay, step_size = lr / (1 - beta1^t) and root2 = sqrt(1 - beta2^t) come
 * from the host. One work-item per element; any local size. */
__kernel void adamw(__global float *restrict param, __global const float *restrict grad,
                    __global float *restrict m, __global float *restrict v, int count, float beta1,
                    float rest1, float beta2, float rest2, float eps, float keep, float step_size,
                    float root2) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const float g = grad[i];
    const float mi = beta1 * m[i] + rest1 * g;
    const float vi = beta2 * v[i] + rest2 * g * g;
    m[i] = mi;
    v[i] = vi;
    param[i] = param[i] * keep - step_size * (mi / (sqrt(vi) / root2 + eps));
}
