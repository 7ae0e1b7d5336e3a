/* Matrix product for CPU devices that reads both operands where they are: C[M][N] = op(A) B, row-major
 * and dense.
 *
 * A is [M][K], or [K][M] with TRANS_A; B is [K][N], N a multiple of 16 * NV. Any M >= 1, K >= 0. For
 * products whose K or M is so small that a panel of B is not used often enough to repay a copy. One
 * work-item per work-group computes `tiles` tiles of R rows by `panels` panels of 16 * NV columns;
 * global size (ceil(M / (R * tiles)), ceil(N / (16 * NV * panels))). Sums have the order of K,
 * wherever the work-groups' borders are. Operands of 2 bytes: operand.clh. Takes an
 * epilogue.
 */
#ifndef R
#define R 8
#endif
#ifndef NV
#define NV 2
#endif
#ifndef TRANS_A
#define TRANS_A 0
#endif

#include "epilogue.clh"
#include "operand.clh"

typedef float16 f16u __attribute__((aligned(4)));

#define INLINE static inline __attribute__((always_inline))

INLINE void tile(__global const A_WORD *a, __global const B_WORD *b, __global float *c, int M,
                 int N, int K, const int rows) {
    float16 sum[R][NV];
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int v = 0; v < NV; v++)
            if (r < rows)
                sum[r][v] = (float16)(0.0f);
    for (int k = 0; k < K; k++) {
        float16 y[NV];
#pragma unroll
        for (int v = 0; v < NV; v++)
            y[v] = B_AT16(b, (size_t)k * N + 16 * v);
#pragma unroll
        for (int r = 0; r < R; r++)
            if (r < rows) {
                const float16 x =
                    (float16)(A_AT(a, TRANS_A ? (size_t)k * M + r : (size_t)r * K + k));
#pragma unroll
                for (int v = 0; v < NV; v++)
                    sum[r][v] = fma(x, y[v], sum[r][v]);
            }
    }
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int v = 0; v < NV; v++)
            if (r < rows)
                *(__global f16u *)(c + (size_t)r * N + 16 * v) = sum[r][v];
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_direct(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
              __global float *restrict c, int M, int N, int K, int tiles,
              int panels EPILOGUE_PARAMETERS) {
    const int i_begin = (int)get_global_id(0) * R * tiles, i_end = min(M, i_begin + R * tiles);
    const int j_begin = (int)get_global_id(1) * 16 * NV * panels;
    const int j_end = min(N, j_begin + 16 * NV * panels);
    for (int j = j_begin; j < j_end; j += 16 * NV)
        for (int i = i_begin; i < i_end;) {
            __global const A_WORD *from = a + (TRANS_A ? (size_t)i : (size_t)i * K);
            const int rows = i + R <= i_end ? R : 1;
            if (rows == R)
                tile(from, b + j, c + (size_t)i * N + j, M, N, K, R);
            else
                tile(from, b + j, c + (size_t)i * N + j, M, N, K, 1);
            i += rows;
        }
    for (int i = i_begin; i < i_end; i++)
        EPILOGUE(c, i * N + j_begin, j_end - j_begin);
}
