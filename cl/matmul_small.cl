/* Matrix product, one output per work-item: C[M][N] = op(A) op(B), row-major and dense.
 *
 * A is [M][K], or [K][M] with TRANS_A; B is [K][N], or [N][K] with TRANS_B. Any M, N >= 1, K >= 0.
 * Global size M * N or more. For products too small to repay tiles. Operands of 2 bytes:
 * operand.clh. Takes an epilogue, and a prologue to A or B (load.clh).
 */
#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#ifndef LEAD
/* For batched_matmul_small.cl: more parameters, the matrices that a work-item works on, where in memory
 * its result begins, and how far apart rows of the operands are in memory. */
#define LEAD_PARAMETERS
#define LEAD(index, count)
#define LEAD_FIRST 0
#define LDA        (TRANS_A ? M : K)
#define LDB        (TRANS_B ? K : N)
#endif

#include "epilogue.clh"
#include "operand.clh"

__kernel void matmul_small(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
                           __global float *restrict c, int M, int N, int K LEAD_PARAMETERS
                               EPILOGUE_PARAMETERS PROLOGUE_PARAMETERS) {
    int index = (int)get_global_id(0);
    LEAD(index, M * N)
    if (index >= M * N)
        return;
    const int m = index / N, n = index - m * N;
    const int x = TRANS_A ? m : m * LDA, y = TRANS_B ? n * LDB : n;
    const int step_x = TRANS_A ? LDA : 1, step_y = TRANS_B ? 1 : LDB;
    /* Four sums: shorter dependency chains and smaller rounding errors. */
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    int k = 0;
    for (; k + 4 <= K; k += 4) {
        s0 = fma(A_AT(a, x + (k + 0) * step_x), B_AT(b, y + (k + 0) * step_y), s0);
        s1 = fma(A_AT(a, x + (k + 1) * step_x), B_AT(b, y + (k + 1) * step_y), s1);
        s2 = fma(A_AT(a, x + (k + 2) * step_x), B_AT(b, y + (k + 2) * step_y), s2);
        s3 = fma(A_AT(a, x + (k + 3) * step_x), B_AT(b, y + (k + 3) * step_y), s3);
    }
    for (; k < K; k++)
        s0 = fma(A_AT(a, x + k * step_x), B_AT(b, y + k * step_y), s0);
    c[index] = (s0 + s1) + (s2 + s3);
    EPILOGUE(c - LEAD_FIRST, LEAD_FIRST + index, 1);
}
