/* Matrix product for GPUs: C[M][N] = op(A) op(B), row-major and dense.
 *
 * A is [M][K], or [K][M] with TRANS_A; B is [K][N], or [N][K] with TRANS_B. Any M, N >= 1, K >= 0;
 * operands start at multiples of four elements where their memory rows are. Of 2 bytes: operand.clh.
 * A work-group of (BN / TN, BM / TM) work-items computes a tile of BM x BN outputs. Each work-item
 * has TM x TN of them, in blocks of 4 x 4 whose neighbours belong to neighbouring work-items: so a
 * float4 of a strip in local memory serves four rows or columns, and the float4s that are read at
 * the same time lie side by side. Global size: whole work-groups over (ceil(N / TN), ceil(M / TM)).
 *
 * Strips of BK of both operands go through local memory, of which there are two: a strip is computed
 * with while the next is on its way, and one barrier per strip does. BK is 8 or 16; TM and TN are
 * multiples of 4, BM / TM of 4, BN / TN of 8, BM and BN of 32.
 *
 * The third dimension cuts K in `splits` parts: part s writes its partial product to
 * c + s * M * N, for matmul_join.cl. splits is 1 without.
 * Local memory: 2 * BK * (BM + BN) floats. Takes a prologue to A or B
 * (load.clh), and an epilogue when splits is 1.
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
#define TM 8
#endif
#ifndef TN
#define TN 4
#endif
#define LX    (BN / TN)
#define LY    (BM / TM)
#define ITEMS (LX * LY)
#include "matmul_strip.clh"
#include "epilogue.clh"

/* In local memory a strip is BK rows of tile / 4 float4s. What is read transposed is written one
 * float at a time, by neighbours that have the same rows and other k: their float4s are exchanged
 * such that 32 neighbours meet 32 banks. */
#define EXCHANGED(quad, k, inner) ((inner) ? (quad) ^ ((k) / 4 * (32 / BK)) : (quad))

static inline void store_strip(__local float4 *strip, const float4 *next, const int id,
                               const int inner, const int tile) {
#pragma unroll
    for (int q = 0; q < QUADS(tile); q++) {
        const int i = quad_row(id + q * ITEMS, inner, tile);
        const int k = quad_inner(id + q * ITEMS, inner, tile);
        if (inner) {
            __local float *to =
                (__local float *)(strip + k * (tile / 4) + EXCHANGED(i / 4, k, inner)) + i % 4;
            to[0 * tile] = next[q].s0;
            to[1 * tile] = next[q].s1;
            to[2 * tile] = next[q].s2;
            to[3 * tile] = next[q].s3;
        } else {
            strip[k * (tile / 4) + i / 4] = next[q];
        }
    }
}

__kernel __attribute__((reqd_work_group_size(LX, LY, 1))) void
matmul_tile(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
            __global float *restrict c, int M, int N, int K,
            int splits LEAD_PARAMETERS EPILOGUE_PARAMETERS PROLOGUE_PARAMETERS) {
    __local float4 strip_a[2][BK * BM / 4];
    __local float4 strip_b[2][BK * BN / 4];
    const int id = (int)get_local_id(1) * LX + (int)get_local_id(0);
    /* 32 neighbours are 8 x 4: then both operands' float4s are as few as can be. */
    const int block = id / 32, lane = id % 32;
    const int x = block % (LX / 8) * 8 + lane % 8, y = block / (LX / 8) * 4 + lane / 8;
    int group = (int)get_group_id(0);
    LEAD(group, (N + BN - 1) / BN)
    const int i0 = (int)get_group_id(1) * BM, j0 = group * BN;
    const int part = (int)get_global_id(2), length = part_length(K, splits);
    const int k_begin = min(K, part * length), k_end = min(K, k_begin + length);

    float4 sum[TM][TN / 4];
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN / 4; j++)
            sum[i][j] = (float4)(0.0f);

    float4 next_a[QUADS(BM)], next_b[QUADS(BN)];
    load_strip(a, 0, next_a, id, !TRANS_A, BM, M, K, LDA, i0, k_begin, k_end PROLOGUE_ARGUMENTS);
    load_strip(b, 1, next_b, id, TRANS_B, BN, N, K, LDB, j0, k_begin, k_end PROLOGUE_ARGUMENTS);
    store_strip(strip_a[0], next_a, id, !TRANS_A, BM);
    store_strip(strip_b[0], next_b, id, TRANS_B, BN);
    barrier(CLK_LOCAL_MEM_FENCE);

    int now = 0;
    for (int k0 = k_begin; k0 < k_end; k0 += BK) {
        const bool more = k0 + BK < k_end;
        if (more) {
            load_strip(a, 0, next_a, id, !TRANS_A, BM, M, K, LDA, i0, k0 + BK, k_end PROLOGUE_ARGUMENTS);
            load_strip(b, 1, next_b, id, TRANS_B, BN, N, K, LDB, j0, k0 + BK, k_end PROLOGUE_ARGUMENTS);
        }
        __local const float4 *from_a = strip_a[now], *from_b = strip_b[now];
/* AMD's and Intel's compilers load ahead for all steps that are unrolled, and run out of registers. */
#ifdef cl_nv_pragma_unroll
#pragma unroll
#else
#pragma unroll 4
#endif
        for (int k = 0; k < BK; k++) {
            float4 u[TM / 4], v[TN / 4];
#pragma unroll
            for (int i = 0; i < TM / 4; i++)
                u[i] = from_a[k * (BM / 4) + EXCHANGED(y + i * LY, k, !TRANS_A)];
#pragma unroll
            for (int j = 0; j < TN / 4; j++)
                v[j] = from_b[k * (BN / 4) + EXCHANGED(x + j * LX, k, TRANS_B)];
#pragma unroll
            for (int i = 0; i < TM / 4; i++)
#pragma unroll
                for (int j = 0; j < TN / 4; j++) {
                    sum[4 * i][j] = fma((float4)(u[i].s0), v[j], sum[4 * i][j]);
                    sum[4 * i + 1][j] = fma((float4)(u[i].s1), v[j], sum[4 * i + 1][j]);
                    sum[4 * i + 2][j] = fma((float4)(u[i].s2), v[j], sum[4 * i + 2][j]);
                    sum[4 * i + 3][j] = fma((float4)(u[i].s3), v[j], sum[4 * i + 3][j]);
                }
        }
        now = 1 - now;
        if (more) {
            store_strip(strip_a[now], next_a, id, !TRANS_A, BM);
            store_strip(strip_b[now], next_b, id, TRANS_B, BN);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    __global float *to = c + (size_t)part * M * N;
#pragma unroll
    for (int i = 0; i < TM; i++) {
        const int row = i0 + 4 * (y + i / 4 * LY) + i % 4;
#pragma unroll
        for (int j = 0; j < TN / 4; j++) {
            const int column = j0 + 4 * (x + j * LX);
            if (row < M && column < N)
                store_quad(to, row * N + column, N - column, (N & 3) == 0, sum[i][j]);
        }
    }
    /* Apart, so that there is one copy of the epilogue's code, not one per sum. */
    for (int e = 0; e < TM * TN / 4; e++) {
        const int i = e / (TN / 4), j = e % (TN / 4);
        const int row = i0 + 4 * (y + i / 4 * LY) + i % 4, column = j0 + 4 * (x + j * LX);
        if (row < M && column < N)
            EPILOGUE(to - LEAD_FIRST, LEAD_FIRST + row * N + column, min(4, N - column));
    }
}
