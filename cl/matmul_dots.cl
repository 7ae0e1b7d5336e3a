/* Matrix product with few columns, for CPU devices: C[M][N] = A B^T, row-major and dense.
 *
 * A is [M][K], B is [N][K]: an element of C is the dot product of two rows. N is a build option, K is
 * 16 or more, M any. Global size ceil(M / rows), work-groups of one work-item. Both operands are read
 * where they are, 16 elements of a row at a time: no column is computed that is not there, and nothing
 * is packed. An element is summed up in the same order wherever the work-groups' borders are.
 * Operands of 2 bytes: operand.clh. Takes an epilogue.
 */
#ifndef N
#define N 10
#endif
#ifndef R
#define R 2 /* rows of a tile: R * N sums and R elements of A are to fit the registers */
#endif

#include "epilogue.clh"
#include "operand.clh"

#define INLINE static inline __attribute__((always_inline))

/* Lane by lane: oclgrind's check for uninitialised values misreads .lo and .hi. */
INLINE float total(float16 x) {
    const float8 a = (float8)(x.s0, x.s1, x.s2, x.s3, x.s4, x.s5, x.s6, x.s7) +
                     (float8)(x.s8, x.s9, x.sa, x.sb, x.sc, x.sd, x.se, x.sf);
    const float4 b = (float4)(a.s0, a.s1, a.s2, a.s3) + (float4)(a.s4, a.s5, a.s6, a.s7);
    return (b.x + b.z) + (b.y + b.w);
}

/* sum[r][n] += x[r] y[n] at k, in the lanes from `skip` on. */
INLINE void step(__global const A_WORD *a, __global const B_WORD *b, int K, int k, int skip,
                 float16 sum[R][N], int rows) {
    const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const float16 zero = (float16)(0.0f);
    float16 x[R];
#pragma unroll
    for (int r = 0; r < R; r++)
        if (r < rows) {
            x[r] = A_AT16(a, (size_t)r * K + k);
            if (skip > 0)
                x[r] = select(zero, x[r], lane >= skip);
        }
#pragma unroll
    for (int n = 0; n < N; n++) {
        float16 y = B_AT16(b, (size_t)n * K + k);
        if (skip > 0)
            y = select(zero, y, lane >= skip);
#pragma unroll
        for (int r = 0; r < R; r++)
            if (r < rows)
                sum[r][n] = fma(x[r], y, sum[r][n]);
    }
}

/* The last step of a row overlaps the one before when K is no multiple of 16. */
INLINE void tile(__global const A_WORD *a, __global const B_WORD *b, __global float *c, int K,
                 int rows) {
    float16 sum[R][N];
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int n = 0; n < N; n++)
            if (r < rows)
                sum[r][n] = (float16)(0.0f);
    int k = 0;
    for (; k + 16 <= K; k += 16)
        step(a, b, K, k, 0, sum, rows);
    if (k < K)
        step(a, b, K, K - 16, k + 16 - K, sum, rows);
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int n = 0; n < N; n++)
            if (r < rows)
                c[r * N + n] = total(sum[r][n]);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_dots(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
            __global float *restrict c, int M, int K, int rows EPILOGUE_PARAMETERS) {
    const int begin = (int)get_global_id(0) * rows, end = min(M, begin + rows);
    int i = begin;
    for (; i + R <= end; i += R)
        tile(a + (size_t)i * K, b, c + (size_t)i * N, K, R);
    for (; i < end; i++)
        tile(a + (size_t)i * K, b, c + (size_t)i * N, K, 1);
    EPILOGUE(c, begin * N, (end - begin) * N);
}
