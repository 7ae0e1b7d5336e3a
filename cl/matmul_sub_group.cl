/* Matrix product for GPUs with sub-groups of a known size (cl_intel_subgroups with
 * cl_intel_required_subgroup_size): C[M][N] = op(A) op(B), row-major and dense.
 *
 * Operands, ranges and `splits` are matmul.cl's, without its wish for alignment. A sub-group of SG
 * work-items computes TM rows of SG * TN columns: a work-item has column lane of each SG, reads B
 * straight from memory, and gets A from its neighbours, of whom each has read another k of a row (with
 * TRANS_A another row of a k). No local memory, no barriers.
 * Local size: (SG, LY), sub-groups above one another. BM is TM * LY, BN is SG * TN; with TRANS_A TM is
 * at most SG. Takes a prologue to A or B (load.clh), and an
 * epilogue when splits is 1.
 */
#ifndef SG
#define SG 16
#endif
#ifndef TM
#define TM 8
#endif
#ifndef TN
#define TN 2
#endif
#ifndef LY
#define LY 8
#endif
#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#ifndef LEAD
/* For batched_matmul_sub_group.cl: see matmul_strip.clh. */
#define LEAD_PARAMETERS
#define LEAD(group, groups)
#define LEAD_FIRST 0
#define LDA        (TRANS_A ? M : K)
#define LDB        (TRANS_B ? K : N)
#endif
#ifndef BROADCAST /* a test puts local memory in its place */
#pragma OPENCL EXTENSION cl_intel_subgroups : enable
#define BROADCAST(x, from) sub_group_broadcast(x, from)
#define BROADCAST_STATE
#define SUB_GROUP __attribute__((intel_reqd_sub_group_size(SG)))
#endif
#include "epilogue.clh"
#include "operand.clh"

#define BM (TM * LY)
#define BN (SG * TN)

/* Four neighbours at any address. */
#if defined(B_F16) || defined(B_BF16) || PROLOGUE_OF == 1
#define B_ANY4(b, i) (float4)(B_AT(b, i), B_AT(b, (i) + 1), B_AT(b, (i) + 2), B_AT(b, (i) + 3))
#else
#define B_ANY4(b, i) vload4(0, (b) + (i))
#endif

/* sum += column k of A times v, a row of B. */
#if TRANS_A
#define OWN(k)     const float own = A_AT(a, (k0 + (k)) * LDA + min(i0 + min(lane, TM - 1), M - 1));
#define OF_A(i, k) BROADCAST(own, i)
#else
#define OWN(k)
#define OF_A(i, k) BROADCAST(own[i], k)
#endif
#define MULTIPLY(k, v)                                                                             \
    {                                                                                              \
        OWN(k)                                                                                     \
        _Pragma("unroll") for (int i = 0; i < TM; i++) {                                           \
            const float u = OF_A(i, k);                                                            \
            _Pragma("unroll") for (int j = 0; j < TN; j++) sum[i][j] = fma(u, (v)[j], sum[i][j]);  \
        }                                                                                          \
    }

__kernel __attribute__((reqd_work_group_size(SG, LY, 1))) SUB_GROUP void
matmul_sub_group(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
                 __global float *restrict c, int M, int N, int K,
                 int splits LEAD_PARAMETERS EPILOGUE_PARAMETERS PROLOGUE_PARAMETERS) {
    BROADCAST_STATE
    const int lane = (int)get_local_id(0);
    int group = (int)get_group_id(0);
    LEAD(group, (N + BN - 1) / BN)
    const int i0 = ((int)get_group_id(1) * LY + (int)get_local_id(1)) * TM, j0 = group * BN;
    const int part = (int)get_global_id(2);
    const int length = ((K + splits - 1) / splits + SG - 1) / SG * SG;
    const int k_begin = min(K, part * length), k_end = min(K, k_begin + length);

    /* Beyond the edges is the last row or column again, of which nothing is written. */
    int column[TN];
    float sum[TM][TN];
#pragma unroll
    for (int j = 0; j < TN; j++)
        column[j] = min(j0 + j * SG + lane, N - 1);
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++)
            sum[i][j] = 0.0f;

    for (int k0 = k_begin; k0 < k_end; k0 += SG) {
        const int left = min(SG, k_end - k0);
#if !TRANS_A
        float own[TM];
#pragma unroll
        for (int i = 0; i < TM; i++)
            own[i] = lane < left ? A_AT(a, min(i0 + i, M - 1) * LDA + k0 + lane) : 0.0f;
#endif
        if (left == SG) {
#pragma unroll
            for (int k = 0; k < SG; k += 4) {
                float v[4][TN];
#pragma unroll
                for (int j = 0; j < TN; j++) {
#if TRANS_B
                    const float4 quad = B_ANY4(b, column[j] * LDB + k0 + k);
                    v[0][j] = quad.s0;
                    v[1][j] = quad.s1;
                    v[2][j] = quad.s2;
                    v[3][j] = quad.s3;
#else
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        v[r][j] = B_AT(b, (k0 + k + r) * LDB + column[j]);
#endif
                }
#pragma unroll
                for (int r = 0; r < 4; r++)
                    MULTIPLY(k + r, v[r])
            }
        } else {
            for (int k = 0; k < left; k++) {
                float v[TN];
#pragma unroll
                for (int j = 0; j < TN; j++)
                    v[j] = B_AT(b, TRANS_B ? column[j] * LDB + k0 + k : (k0 + k) * LDB + column[j]);
                MULTIPLY(k, v)
            }
        }
    }

    __global float *to = c + (size_t)part * M * N;
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++)
            if (i0 + i < M && j0 + j * SG + lane < N)
                to[(i0 + i) * N + j0 + j * SG + lane] = sum[i][j];
    /* Apart, so that there is one copy of the epilogue's code, not one per sum. */
    for (int e = 0; e < TM * TN; e++) {
        const int row = i0 + e / TN, at = j0 + e % TN * SG + lane;
        if (row < M && at < N)
            EPILOGUE(to - LEAD_FIRST, LEAD_FIRST + row * N + at, 1);
    }
}
