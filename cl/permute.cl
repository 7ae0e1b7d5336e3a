/* Permutes axes: out[i0][i1]..[i5] = in[i0 * S0 + i1 * S1 + .. + i5 * S5], any 32-bit element type.
 * D1 .. D5: extents of the result's axes 1 to 5; S0 .. S5: steps of the input along them, in
 * elements. Results of fewer axes have leading extents of 1. count: elements of the result.
 *
 * permute: one work-item per element, consecutive in the result; any local size.
 * permute_tile: swaps the last two axes of D0 matrices, D4 x D5 in the result. Work-groups of
 * TILE x TILE (x 1); a group moves one tile through local memory, so that both reading and writing
 * touch consecutive elements. Range: columns, rows, matrices, rounded up to whole groups. */
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
