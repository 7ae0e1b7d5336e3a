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

typedef float4 f4u __attribute__((aligned(4)));

#define INLINE static inline __attribute__((always_inline))

/* Lane by lane: oclgrind's check for uninitialised values misreads .lo and .hi. */
INLINE float total(float16 x) {
    const float8 a = (float8)(x.s0, x.s1, x.s2, x.s3, x.s4, x.s5, x.s6, x.s7) +
                     (float8)(x.s8, x.s9, x.sa, x.sb, x.sc, x.sd, x.se, x.sf);
    const float4 b = (float4)(a.s0, a.s1, a.s2, a.s3) + (float4)(a.s4, a.s5, a.s6, a.s7);
    return (b.x + b.z) + (b.y + b.w);
}

/* Those of four: shuffles that serve all of them. */
INLINE float4 totals(float16 a, float16 b, float16 c, float16 d) {
    const float16 ab = (float16)(a.s0, a.s1, a.s2, a.s3, a.s4, a.s5, a.s6, a.s7, b.s0, b.s1, b.s2,
                                 b.s3, b.s4, b.s5, b.s6, b.s7) +
                       (float16)(a.s8, a.s9, a.sa, a.sb, a.sc, a.sd, a.se, a.sf, b.s8, b.s9, b.sa,
                                 b.sb, b.sc, b.sd, b.se, b.sf);
    const float16 cd = (float16)(c.s0, c.s1, c.s2, c.s3, c.s4, c.s5, c.s6, c.s7, d.s0, d.s1, d.s2,
                                 d.s3, d.s4, d.s5, d.s6, d.s7) +
                       (float16)(c.s8, c.s9, c.sa, c.sb, c.sc, c.sd, c.se, c.sf, d.s8, d.s9, d.sa,
                                 d.sb, d.sc, d.sd, d.se, d.sf);
    const float16 x = (float16)(ab.s0, ab.s1, ab.s2, ab.s3, ab.s8, ab.s9, ab.sa, ab.sb, cd.s0,
                                cd.s1, cd.s2, cd.s3, cd.s8, cd.s9, cd.sa, cd.sb) +
                      (float16)(ab.s4, ab.s5, ab.s6, ab.s7, ab.sc, ab.sd, ab.se, ab.sf, cd.s4,
                                cd.s5, cd.s6, cd.s7, cd.sc, cd.sd, cd.se, cd.sf);
    return ((float4)(x.s0, x.s4, x.s8, x.sc) + (float4)(x.s2, x.s6, x.sa, x.se)) +
           ((float4)(x.s1, x.s5, x.s9, x.sd) + (float4)(x.s3, x.s7, x.sb, x.sf));
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
    /* Rows of C follow one another. */
    const int count = rows * N;
#pragma unroll
    for (int i = 0; i < R * N; i += 4)
        if (i + 4 <= count) {
            *(__global f4u *)(c + i) =
                totals(sum[i / N][i % N], sum[(i + 1) / N][(i + 1) % N],
                       sum[(i + 2) / N][(i + 2) % N], sum[(i + 3) / N][(i + 3) % N]);
        } else {
#pragma unroll
            for (int j = i; j < i + 4; j++)
                if (j < count)
                    c[j] = total(sum[j / N][j % N]);
        }
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
