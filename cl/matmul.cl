/* Matrix product for GPUs: C[M][N] = op(A) op(B), row-major and dense.
 *
 * A is [M][K], or [K][M] with TRANS_A; B is [K][N], or [N][K] with TRANS_B. Any M, N >= 1, K >= 0.
 * A work-group of (BN / TN, BM / TM) work-items computes a tile of BM x BN outputs, each work-item
 * TM x TN of them, interleaved so that neighbours read and write neighbours. Strips of BK of both
 * operands go through local memory, zero beyond the edges. Global size: whole work-groups over
 * (ceil(N / TN), ceil(M / TM)).
 * The third dimension cuts K in `splits` parts: part s writes its partial product to
 * c + s * M * N, and matmul_join adds them up in a fixed order. splits is 1 without.
 * Local memory: BK * (BM + BN + 2) floats. Both take an epilogue, matmul_tile when splits is 1.
 */
#ifndef BM
#define BM 64
#endif
#ifndef BN
#define BN 64
#endif
#ifndef BK
#define BK 16
#endif
#ifndef TM
#define TM 4
#endif
#ifndef TN
#define TN 4
#endif
#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#ifndef LEAD
/* For batched_matmul.cl: more parameters, and the matrices that a work-group works on. */
#define LEAD_PARAMETERS
#define LEAD(group, groups)
#endif
#include "epilogue.clh"

#define LX (BN / TN)
#define LY (BM / TM)

__kernel __attribute__((reqd_work_group_size(LX, LY, 1))) void
matmul_tile(__global const float *restrict a, __global const float *restrict b,
            __global float *restrict c, int M, int N, int K,
            int splits LEAD_PARAMETERS EPILOGUE_PARAMETERS) {
    /* One column more than needed, so that transposing stores fall in different banks. */
    __local float strip_a[BK][BM + 1];
    __local float strip_b[BK][BN + 1];
    const int x = (int)get_local_id(0), y = (int)get_local_id(1);
    const int id = y * LX + x;
    int group = (int)get_group_id(0);
    LEAD(group, (N + BN - 1) / BN)
    const int i0 = (int)get_group_id(1) * BM, j0 = group * BN;
    const int part = (int)get_global_id(2);
    const int length = (K + splits - 1) / splits;
    const int k_begin = min(K, part * length), k_end = min(K, k_begin + length);

    float sum[TM][TN];
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++)
            sum[i][j] = 0.0f;

    for (int k0 = k_begin; k0 < k_end; k0 += BK) {
        for (int t = id; t < BM * BK; t += LX * LY) {
#if TRANS_A
            const int i = t % BM, k = t / BM;
            const bool inside = i0 + i < M && k0 + k < k_end;
            strip_a[k][i] = inside ? a[(k0 + k) * M + i0 + i] : 0.0f;
#else
            const int i = t / BK, k = t % BK;
            const bool inside = i0 + i < M && k0 + k < k_end;
            strip_a[k][i] = inside ? a[(i0 + i) * K + k0 + k] : 0.0f;
#endif
        }
        for (int t = id; t < BN * BK; t += LX * LY) {
#if TRANS_B
            const int j = t / BK, k = t % BK;
            const bool inside = j0 + j < N && k0 + k < k_end;
            strip_b[k][j] = inside ? b[(j0 + j) * K + k0 + k] : 0.0f;
#else
            const int j = t % BN, k = t / BN;
            const bool inside = j0 + j < N && k0 + k < k_end;
            strip_b[k][j] = inside ? b[(k0 + k) * N + j0 + j] : 0.0f;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int k = 0; k < BK; k++) {
            float u[TM], v[TN];
#pragma unroll
            for (int i = 0; i < TM; i++)
                u[i] = strip_a[k][y + i * LY];
#pragma unroll
            for (int j = 0; j < TN; j++)
                v[j] = strip_b[k][x + j * LX];
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++)
                    sum[i][j] = fma(u[i], v[j], sum[i][j]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    __global float *to = c + (size_t)part * M * N;
    for (int i = 0; i < TM; i++) {
        const int row = i0 + y + i * LY;
        for (int j = 0; j < TN; j++) {
            const int column = j0 + x + j * LX;
            if (row < M && column < N) {
                to[row * N + column] = sum[i][j];
                EPILOGUE(to, row * N + column, 1);
            }
        }
    }
}

/* c[i] = sum of part[s * count + i] over the splits, first to last. */
__kernel void matmul_join(__global const float *restrict part, __global float *restrict c,
                          int count, int splits EPILOGUE_PARAMETERS) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    float sum = part[i];
    for (int s = 1; s < splits; s++)
        sum += part[(size_t)s * count + i];
    c[i] = sum;
    EPILOGUE(c, i, 1);
}
