/* y[c] = sum over r of m2[r][c] + weight (m[r][c] - mean[c])^2: sums of squared deviations of many
 * rows about the mean of all. Without -DM2 there is no m2.
 *
 * m, m2: R x columns, dense; mean: columns. R is cut in `parts` of ceil(R / parts); y (parts x
 * columns) gets a sum per part.
 *
 * pool_m2_items    GPUs: a work-item per value of y; global (columns, parts)
 * pool_m2_columns  CPUs: a work-item per 16 columns; global (ceil(columns / 16), parts)
 */
#include "rows.clh"

#ifdef M2
#define M2_ARG __global const float *restrict m2,
#else
#define M2_ARG
#endif

__kernel void pool_m2_items(__global const float *restrict m, M2_ARG __global const float *restrict mean,
                            __global float *restrict y, float weight, int R, int columns,
                            int parts) {
    const int c = (int)get_global_id(0), part = (int)get_global_id(1);
    if (c >= columns || part >= parts)
        return;
    const int length = (R + parts - 1) / parts, begin = min(R, part * length);
    const int end = min(R, begin + length);
    const float centre = mean[c];
    float sum = 0.0f;
    for (int r = begin; r < end; r++) {
        const float d = m[r * columns + c] - centre;
        sum += weight * d * d;
#ifdef M2
        sum += m2[r * columns + c];
#endif
    }
    y[part * columns + c] = sum;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool_m2_columns(__global const float *restrict m, M2_ARG __global const float *restrict mean,
                __global float *restrict y, float weight, int R, int columns, int parts) {
    const int c = (int)get_global_id(0) * 16, part = (int)get_global_id(1);
    const int length = (R + parts - 1) / parts, begin = min(R, part * length);
    const int end = min(R, begin + length), count = columns - c;
    const float16 centre = load16(mean + c, count, 0.0f);
    float16 sum = (float16)(0.0f);
    for (int r = begin; r < end; r++) {
        const float16 d = load16(m + r * columns + c, count, 0.0f) - centre;
        sum += (float16)(weight) * d * d;
#ifdef M2
        sum += load16(m2 + r * columns + c, count, 0.0f);
#endif
    }
    store16(y + part * columns + c, count, sum);
}
