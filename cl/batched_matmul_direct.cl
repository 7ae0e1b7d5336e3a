/* Many small matrix products of one size for CPU devices: see batched_matmul.clh for which. Matrices
 * are read where they are, but for B with TRANS_B, which is turned in blocks of 16 x 16.
 *
 * N, the columns, is W * NV; W is 8 or 16, with TRANS_B 16, and then K is a multiple of 16 and at most
 * K_MAX. Any M >= 1, K >= 0. One work-item per work-group computes `each` products; global size
 * ceil(leads / each). Sums have the order of K. Operands of 2 bytes: operand.clh. Takes an epilogue.
 */
#ifndef W
#define W 16
#endif
#ifndef NV
#define NV 1
#endif
#ifndef R
#define R 8 /* rows of a register tile */
#endif
#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#define K_MAX 64

#include "batched_matmul.clh"
#include "epilogue.clh"
#include "operand.clh"
#include "transpose16.clh"

#if W == 16
typedef float16 row;
typedef float16 row_u __attribute__((aligned(4)));
#define B_ROW(b, i) B_AT16(b, i)
#else
typedef float8 row;
typedef float8 row_u __attribute__((aligned(4)));
#if defined(B_F16) || defined(B_BF16)
#define B_ROW(b, i)                                                                                \
    (float8)(B_AT(b, i), B_AT(b, (i) + 1), B_AT(b, (i) + 2), B_AT(b, (i) + 3), B_AT(b, (i) + 4),   \
             B_AT(b, (i) + 5), B_AT(b, (i) + 6), B_AT(b, (i) + 7))
#else
#define B_ROW(b, i) (*(__global const row_u *)((b) + (i)))
#endif
#endif

#define INLINE static inline __attribute__((always_inline))

/* `rows` rows of C, where row k of B is NV vectors at y + k * ld. */
INLINE void tile(__global const A_WORD *a, const int lda, const float *y, __global const B_WORD *b,
                 const int ldb, __global float *c, const int K, const int rows) {
    row sum[R][NV];
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int v = 0; v < NV; v++)
            if (r < rows)
                sum[r][v] = (row)(0.0f);
    for (int k = 0; k < K; k++) {
        row y_k[NV];
#pragma unroll
        for (int v = 0; v < NV; v++)
#if TRANS_B
            y_k[v] = *(const row_u *)(y + k * W * NV + W * v);
#else
            y_k[v] = B_ROW(b, (size_t)k * ldb + W * v);
#endif
#pragma unroll
        for (int r = 0; r < R; r++)
            if (r < rows) {
                const row x = (row)(A_AT(a, TRANS_A ? (size_t)k * lda + r : (size_t)r * lda + k));
#pragma unroll
                for (int v = 0; v < NV; v++)
                    sum[r][v] = fma(x, y_k[v], sum[r][v]);
            }
    }
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int v = 0; v < NV; v++)
            if (r < rows)
                *(__global row_u *)(c + (size_t)r * W * NV + W * v) = sum[r][v];
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
batched_matmul_direct(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
                      __global float *restrict c, int M, int N, int K,
                      int each LEAD_PARAMETERS EPILOGUE_PARAMETERS) {
    const int begin = (int)get_global_id(0) * each, end = min(leads, begin + each);
    const bool single = e1 * e2 * e3 == 1;
#if TRANS_B
    float turned[K_MAX * 16 * NV] __attribute__((aligned(64)));
#else
    const float *turned = 0;
#endif
    for (int lead = begin; lead < end; lead++) {
        int l0 = lead, l1 = 0, l2 = 0, l3 = 0;
        if (!single) {
            const int r3 = lead / e3, r2 = r3 / e2;
            l3 = lead - r3 * e3;
            l2 = r3 - r2 * e2;
            l0 = r2 / e1;
            l1 = r2 - l0 * e1;
        }
        __global const A_WORD *from_a = a + l0 * a0 + l1 * a1 + l2 * a2 + l3 * a3;
        __global const B_WORD *from_b = b + l0 * b0 + l1 * b1 + l2 * b2 + l3 * b3;
        __global float *to = c + LEAD_FIRST;
#if TRANS_B
        for (int v = 0; v < NV; v++)
            for (int k = 0; k < K; k += 16) {
                float16 r[16];
#pragma unroll
                for (int j = 0; j < 16; j++)
                    r[j] = B_AT16(from_b, (size_t)(16 * v + j) * ldb + k);
                TRANSPOSE16(r);
#pragma unroll
                for (int i = 0; i < 16; i++)
                    *(float16 *)(turned + (k + i) * 16 * NV + 16 * v) = r[i];
            }
#endif
        int i = 0;
        for (; i + R <= M; i += R)
            tile(from_a + (TRANS_A ? (size_t)i : (size_t)i * lda), lda, turned, from_b, ldb,
                 to + i * N, K, R);
        for (; i < M; i++)
            tile(from_a + (TRANS_A ? (size_t)i : (size_t)i * lda), lda, turned, from_b, ldb,
                 to + i * N, K, 1);
    }
    EPILOGUE(c, (size_t)begin * M * N, (end - begin) * M * N);
}
