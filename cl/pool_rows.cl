/* Mean and variance of many rows, from what is known of each row:
 *   -DMEAN   y[c] = factor * (sum over r of m[r][c])
 *   else     y[c] = factor * (sum over r of m2[r][c] + weight (m[r][c] - mean[c])^2)
 * the last with the sums of squared deviations about the mean of all; without -DM2 there is no m2.
 *
 * m, m2: R x columns, dense; mean: columns. R is cut in `parts` of ceil(R / parts); y (parts x
 * columns) gets a sum per part.
 *
 * pool_items    GPUs: a work-item per value of y; global (columns, parts)
 * pool_columns  CPUs: a work-item per 16 columns; global (ceil(columns / 16), parts)
 */
#include "rows.clh"

#ifdef M2
#define M2_ARG     __global const float *restrict m2,
#define WITH(at)   sum += m2[at]
#define WITH16(at) sum += load16(m2 + (at), count, 0.0f)
#else
#define M2_ARG
#define WITH(at)   (void)0
#define WITH16(at) (void)0
#endif
#ifdef MEAN
#define MEAN_ARG
#define MEAN_OF(c)      0.0f
#define TERM(value, of) (value)
#else
#define MEAN_ARG        __global const float *restrict mean, float weight,
#define MEAN_OF(of)     of
#define TERM(value, of) (weight * ((value) - (of)) * ((value) - (of)))
#endif

#define ARGUMENTS                                                                                  \
    __global const float *restrict m, M2_ARG MEAN_ARG __global float *restrict y, float factor,    \
        int R, int columns, int parts

__kernel void pool_items(ARGUMENTS) {
    const int c = (int)get_global_id(0), part = (int)get_global_id(1);
    if (c >= columns || part >= parts)
        return;
    const int length = (R + parts - 1) / parts, begin = min(R, part * length);
    const int end = min(R, begin + length);
    const float centre = MEAN_OF(mean[c]);
    float sum = 0.0f;
    for (int r = begin; r < end; r++) {
        sum += TERM(m[r * columns + c], centre);
        WITH(r * columns + c);
    }
    y[part * columns + c] = factor * sum;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pool_columns(ARGUMENTS) {
    const int c = (int)get_global_id(0) * 16, part = (int)get_global_id(1);
    const int length = (R + parts - 1) / parts, begin = min(R, part * length);
    const int end = min(R, begin + length), count = columns - c;
    const float16 centre = MEAN_OF(load16(mean + c, count, 0.0f));
    float16 sum = (float16)(0.0f);
    for (int r = begin; r < end; r++) {
        const float16 value = load16(m + r * columns + c, count, 0.0f);
        sum += TERM(value, centre);
        WITH16(r * columns + c);
    }
    store16(y + part * columns + c, count, (float16)(factor)*sum);
}
