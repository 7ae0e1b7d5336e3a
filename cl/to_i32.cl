/* y[i] = x[i] without its fraction; the least int where x[i] is NaN or beyond all ints. A work-item
 * per element, any local size. */
__kernel void to_i32(__global const float *restrict x, __global int *restrict y, int count) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const float value = x[i];
    y[i] = value >= -2147483648.0f && value < 2147483648.0f ? convert_int_rtz(value) : INT_MIN;
}
