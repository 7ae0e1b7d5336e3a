/* state = keep * state + gain * value; `count` elements each, state changes in place. With -DPAIR the
 * same for state2 and value2, with gain2. One work-item per element; any local size. */
__kernel void running_average(__global float *restrict state, __global const float *restrict value,
#ifdef PAIR
                              __global float *restrict state2,
                              __global const float *restrict value2,
#endif
                              int count, float keep, float gain
#ifdef PAIR
                              ,
                              float gain2
#endif
) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    state[i] = keep * state[i] + gain * value[i];
#ifdef PAIR
    state2[i] = keep * state2[i] + gain2 * value2[i];
#endif
}
