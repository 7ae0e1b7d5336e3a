/* y[r][:] = table[index[r]][:]; NaN where the index is not in 0..V-1.
 *
 * table: V x D, index: R ints, y: R x D, all dense.
 * embedding_rows   CPUs: a work-item per ROWS rows; global (ceil(R / ROWS))
 * embedding_items  GPUs: a work-item per element; global (D, R)
 */
#include "prefetch.clh"
#include "rows.clh"

#ifndef ROWS
#define ROWS 16
#endif
#define AHEAD 4 /* rows that are asked for early: they lie anywhere in memory */

__kernel void embedding_rows(__global const float *restrict table,
                             __global const int *restrict index, __global float *restrict y, int R,
                             int D, int V) {
    const int begin = (int)get_global_id(0) * ROWS, end = min(R, begin + ROWS);
    for (int r = begin; r < end; r++) {
        const int v = index[r];
        __global const float *next = table + (size_t)index[min(r + AHEAD, R - 1)] * D;
        __global float *to = y + (size_t)r * D;
        if (v >= 0 && v < V) {
            __global const float *from = table + (size_t)v * D;
            int d = 0;
            for (; d + 16 <= D; d += 16) {
                PREFETCH(next + d);
                *(__global f16u *)(to + d) = *(__global const f16u *)(from + d);
            }
            for (; d < D; d++)
                to[d] = from[d];
        } else {
            for (int d = 0; d < D; d += 16)
                store16(to + d, D - d, (float16)(NAN));
        }
    }
}

__kernel void embedding_items(__global const float *restrict table,
                              __global const int *restrict index, __global float *restrict y, int R,
                              int D, int V) {
    const int d = (int)get_global_id(0), r = (int)get_global_id(1);
    if (d >= D || r >= R)
        return;
    const int v = index[r];
    y[(size_t)r * D + d] = v >= 0 && v < V ? table[(size_t)v * D + d] : NAN;
}
