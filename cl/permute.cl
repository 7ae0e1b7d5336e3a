/* Permutes axes: out[i0][i1]..[i5] = in[i0 * S0 + i1 * S1 + .. + i5 * S5], any 32-bit element type.
 * D1 .. D5: extents of the result's axes 1 to 5; S0 .. S5: steps of the input along them, in
 * elements. Results of fewer axes have leading extents of 1. count: elements of the result.
 *
 * permute: one work-item per element, consecutive in the result; any local size.
 * permute_tile: swaps the last two axes of D0 matrices, D4 x D5 in the result. Work-groups of
 * TILE x TILE (x 1); a group moves one tile through local memory, so that both reading and writing
 * touch consecutive elements. Range: columns, rows, matrices, rounded up to whole groups.
 *
 * For CPUs, by vectors of 16 elements; axes that stay neighbours are one:
 * permute_rows: the last axis is the input's last one too. A work-item copies ROWS rows of D5; count: rows.
 * permute_16: the input's last axis is one of P elements, T apart in the result. A work-item turns STRIP of
 * them and all D5 of the result's last axis; E1 .. E4: extents of the other axes, 1 in place of P; count:
 * work-items. */
#include "prefetch.clh"
#include "rows.clh"
#include "transpose16.clh"

#ifndef TILE
#define TILE 16
#endif
#ifndef D5
#define D1 1
#define D2 1
#define D3 1
#define D4 1
#define D5 1
#define S0 1
#define S1 1
#define S2 1
#define S3 1
#define S4 1
#define S5 1
#endif
#ifndef ROWS
#define ROWS 1
#endif
#ifndef P
#define P  1
#define T  1
#define E1 1
#define E2 1
#define E3 1
#define E4 1
#endif
#ifndef STRIP
#define STRIP 64
#endif

__kernel void permute(__global const uint *restrict in, __global uint *restrict out, int count) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    int rest = i;
    int from = rest % D5 * S5;
    rest /= D5;
    from += rest % D4 * S4;
    rest /= D4;
    from += rest % D3 * S3;
    rest /= D3;
    from += rest % D2 * S2;
    rest /= D2;
    from += rest % D1 * S1;
    rest /= D1;
    out[i] = in[from + rest * S0];
}

__kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) void
permute_tile(__global const uint *restrict in, __global uint *restrict out, int count) {
    __local uint tile[TILE][TILE + 1];
    const int x = (int)get_local_id(0), y = (int)get_local_id(1);
    const int column0 = (int)get_group_id(0) * TILE, row0 = (int)get_group_id(1) * TILE;
    const int matrix = (int)get_group_id(2) * (D4 * D5);
    /* The input's rows are the result's columns. */
    if (column0 + y < D5 && row0 + x < D4 && matrix < count)
        tile[y][x] = in[matrix + (column0 + y) * D4 + row0 + x];
    barrier(CLK_LOCAL_MEM_FENCE);
    if (row0 + y < D4 && column0 + x < D5 && matrix < count)
        out[matrix + (row0 + y) * D5 + column0 + x] = tile[x][y];
}

/* Steps of the result along its axes. */
#define T4 D5
#define T3 (D4 * T4)
#define T2 (D3 * T3)
#define T1 (D2 * T2)
#define T0 (D1 * T1)

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
permute_rows(__global const float *restrict in, __global float *restrict out, int count) {
    const int begin = (int)get_global_id(0) * ROWS, end = min(begin + ROWS, count);
    for (int row = begin; row < end; row++) {
        int rest = row;
        int from = rest % D4 * S4;
        rest /= D4;
        from += rest % D3 * S3;
        rest /= D3;
        from += rest % D2 * S2;
        rest /= D2;
        from += rest % D1 * S1;
        rest /= D1;
        from += rest * S0;
        int i = 0;
        for (; i + 16 <= D5; i += 16)
            *(__global f16u *)(out + row * D5 + i) = *(__global const f16u *)(in + from + i);
        for (; i < D5; i++)
            out[row * D5 + i] = in[from + i];
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
permute_16(__global const float *restrict in, __global float *restrict out, int count) {
    const int id = (int)get_global_id(0), strips = (P + STRIP - 1) / STRIP;
    if (id >= count)
        return;
    const int p = id % strips * STRIP;
    int rest = id / strips;
    in += p + rest % E4 * S4;
    out += p * T + rest % E4 * T4;
    rest /= E4;
    in += rest % E3 * S3;
    out += rest % E3 * T3;
    rest /= E3;
    in += rest % E2 * S2;
    out += rest % E2 * T2;
    rest /= E2;
    in += rest % E1 * S1;
    out += rest % E1 * T1;
    rest /= E1;
    in += rest * S0;
    out += rest * T0;
    const int width = min(P - p, STRIP);
    for (int d = 0; d < D5; d += 16)
        for (int q = 0; q < width; q += 16) {
            __global const float *from = in + d * S5 + q;
            __global float *to = out + q * T + d;
            if (d + 16 <= D5 && q + 16 <= width) {
                float16 r[16];
                _Pragma("unroll") for (int k = 16; k < 32; k++) PREFETCH(from + (size_t)k * S5);
                _Pragma("unroll") for (int k = 0; k < 16; k++) r[k] =
                    *(__global const f16u *)(from + k * S5);
                TRANSPOSE16(r);
                _Pragma("unroll") for (int k = 0; k < 16; k++) * (__global f16u *)(to + k * T) =
                    r[k];
            } else {
                for (int k = 0; k < min(width - q, 16); k++)
                    for (int j = 0; j < min(D5 - d, 16); j++)
                        to[k * T + j] = from[j * S5 + k];
            }
        }
}
