/* sum = scale * grad when `first`, else sum + scale * grad; `count` elements each, sum changes in
 * place. One work-item per element; any local size. */
__kernel void accumulate(__global float *restrict sum, __global const float *restrict grad,
                         int count, float scale, uint first) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const float part = scale * grad[i];
    sum[i] = first != 0 ? part : sum[i] + part;
}
