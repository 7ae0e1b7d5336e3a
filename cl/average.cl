/* average = keep * average + rest * value, value itself when keep is 0; `count` elements each,
 * average changes in place. One work-item per element; any local size. */
__kernel void average(__global float *restrict average, __global const float *restrict value,
                      int count, float keep, float rest) {
    const int i = (int)get_global_id(0);
    if (i < count)
        average[i] = keep == 0.0f ? value[i] : keep * average[i] + rest * value[i];
}
