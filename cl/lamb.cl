/* LAMB in three launches; param, grad, m, v and direction have `count` elements.
 *
 * lamb_row (CPUs: a work-item per part) or lamb_group (GPUs: a work-group of LOCAL per part):
 *   m = beta1 m + rest1 grad,  v = beta2 v + rest2 grad^2       rest = 1 - beta
 *   direction = m * unbias / (sqrt(v) / root2 + eps) + decay * param
 *   norms[p] = sum of param^2 over part p,  norms[parts + p] = sum of direction^2
 * where part p is the p-th of `parts` pieces of ceil(count / parts) elements,
 * unbias = 1 / (1 - beta1^t) and root2 = sqrt(1 - beta2^t).
 * lamb_trust (one work-item): norms[2 parts] = lr * |param| / |direction|, or lr when either is 0.
 * lamb_apply (a work-item per element, any local size): param -= norms[2 parts] * direction.
 */
#include "rows.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
lamb_row(__global const float *restrict param, __global const float *restrict grad,
         __global float *restrict m, __global float *restrict v, __global float *restrict direction,
         __global float *restrict norms, int count, int parts, float beta1, float rest1,
         float beta2, float rest2, float eps, float decay, float unbias, float root2) {
    const int p = (int)get_global_id(0);
    if (p >= parts)
        return;
    const int length = (count + parts - 1) / parts;
    const int begin = min(count, p * length), end = min(count, begin + length);
    float16 weights = (float16)(0.0f), directions = (float16)(0.0f);
    for (int i = begin; i < end; i += 16) {
        const int left = end - i;
        const float16 w = load16(param + i, left, 0.0f), g = load16(grad + i, left, 0.0f);
        const float16 mi = (float16)(beta1)*load16(m + i, left, 0.0f) + (float16)(rest1)*g;
        const float16 vi = (float16)(beta2)*load16(v + i, left, 0.0f) + (float16)(rest2)*g * g;
        const float16 u = mi * (float16)(unbias) / (sqrt(vi) / (float16)(root2) + (float16)(eps)) +
                          (float16)(decay)*w;
        store16(m + i, left, mi);
        store16(v + i, left, vi);
        store16(direction + i, left, u);
        weights += w * w;
        directions += u * u;
    }
    norms[p] = sum16(weights);
    norms[parts + p] = sum16(directions);
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
lamb_group(__global const float *restrict param, __global const float *restrict grad,
           __global float *restrict m, __global float *restrict v,
           __global float *restrict direction, __global float *restrict norms, int count, int parts,
           float beta1, float rest1, float beta2, float rest2, float eps, float decay, float unbias,
           float root2) {
    __local float scratch[LOCAL];
    const int p = (int)get_group_id(0), id = (int)get_local_id(0);
    const int length = (count + parts - 1) / parts;
    const int begin = min(count, p * length), end = min(count, begin + length);
    float weights = 0.0f, directions = 0.0f;
    for (int i = begin + id; i < end; i += LOCAL) {
        const float w = param[i], g = grad[i];
        const float mi = beta1 * m[i] + rest1 * g;
        const float vi = beta2 * v[i] + rest2 * g * g;
        const float u = mi * unbias / (sqrt(vi) / root2 + eps) + decay * w;
        m[i] = mi;
        v[i] = vi;
        direction[i] = u;
        weights += w * w;
        directions += u * u;
    }
    weights = group_sum(weights, scratch);
    directions = group_sum(directions, scratch);
    if (id == 0) {
        norms[p] = weights;
        norms[parts + p] = directions;
    }
}

__kernel void lamb_trust(__global float *restrict norms, int parts, float lr) {
    if (get_global_id(0) != 0)
        return;
    float weights = 0.0f, directions = 0.0f;
    for (int p = 0; p < parts; p++) {
        weights += norms[p];
        directions += norms[parts + p];
    }
    const bool known = weights > 0.0f && directions > 0.0f;
    norms[2 * parts] = known ? lr * (sqrt(weights) / sqrt(directions)) : lr;
}

__kernel void lamb_apply(__global float *restrict param, __global const float *restrict direction,
                         __global const float *restrict norms, int count, int parts) {
    const int i = (int)get_global_id(0);
    if (i < count)
        param[i] -= norms[2 * parts] * direction[i];
}
