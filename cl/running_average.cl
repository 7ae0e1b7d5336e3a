/* state = keep * state + gain * value; `count` elements each, state changes in place.
 * One work-item per element; any local size. */
__kernel void running_average(__global float *restrict state, __global const float *restrict value,
                              int count, float keep, float gain) {
    const int i = (int)get_global_id(0);
    if (i < count)
        state[i] = keep * state[i] + gain * value[i];
}
