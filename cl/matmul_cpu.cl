/* Matrix product for CPU devices: C[M][N] = op(A) op(B), row-major and dense.
 *
 * A is [M][K], or [K][M] with TRANS_A; B is [K][N], or [N][K] with TRANS_B. Any M, N >= 1, K >= 0.
 * One work-item per work-group computes `tiles` row tiles of MR rows by NP column panels of NR
 * columns; global size (ceil(M / (MR * tiles)), ceil(N / (NR * NP))). K is cut in blocks of KC: a
 * block of the B panels, and then of each A tile, is copied (zero padded) to contiguous local
 * memory, so that the inner loop reads both in order and needs no edge cases. Later blocks add to C.
 * Explicit float16 becomes one AVX-512 register, or two AVX, or four SSE or NEON registers.
 * Local memory: (NP * KC * NR + MR * (KC + 16)) floats. Takes an epilogue.
 */
#ifndef MR
#define MR 8 /* rows of a register tile, a multiple of 4 */
#endif
#ifndef NV
#define NV 2 /* float16 per row of a register tile */
#endif
#ifndef NP
#define NP 1 /* column panels per work-group */
#endif
#ifndef KC
#define KC 512 /* a multiple of 16 */
#endif
#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#ifndef LEAD
/* For batched_matmul_cpu.cl: more parameters, and the matrices that a group works on. */
#define LEAD_PARAMETERS
#define LEAD(group, groups)
#endif
#define NR (16 * NV)

#include "epilogue.clh"
#include "transpose16.clh"

typedef float16 f16u __attribute__((aligned(4)));
typedef float4 f4u __attribute__((aligned(4)));

/* No restrict in functions: it becomes an intrinsic that oclgrind does not know.
 *
 * panel[k][j] = op(B)[k0 + k][j0 + j], 0 beyond N. */
static inline void pack_b(__global const float *b, __local float *panel, int N,
                          int K, int j0, int k0, int kc) {
#if TRANS_B
    for (int v = 0; v < NV; v++) {
        const int j1 = j0 + 16 * v;
        int k = 0;
        for (; k + 16 <= kc; k += 16) {
            float16 r[16];
#pragma unroll
            for (int j = 0; j < 16; j++)
                r[j] = j1 + j < N ? *(__global const f16u *)(b + (size_t)(j1 + j) * K + k0 + k)
                                  : (float16)(0.0f);
            TRANSPOSE16(r);
#pragma unroll
            for (int i = 0; i < 16; i++)
                *(__local float16 *)(panel + (size_t)(k + i) * NR + 16 * v) = r[i];
        }
        for (int j = 0; j < 16; j++) {
            __local float *to = panel + 16 * v + j;
            if (j1 + j < N) {
                __global const float *from = b + (size_t)(j1 + j) * K + k0;
                for (int i = k; i < kc; i++)
                    to[(size_t)i * NR] = from[i];
            } else {
                for (int i = k; i < kc; i++)
                    to[(size_t)i * NR] = 0.0f;
            }
        }
    }
#else
    if (j0 + NR <= N) {
        for (int k = 0; k < kc; k++)
#pragma unroll
            for (int v = 0; v < NV; v++)
                *(__local float16 *)(panel + (size_t)k * NR + 16 * v) =
                    *(__global const f16u *)(b + (size_t)(k0 + k) * N + j0 + 16 * v);
    } else {
        const int rest = N - j0;
        for (int k = 0; k < kc; k++) {
            __global const float *from = b + (size_t)(k0 + k) * N + j0;
            __local float *to = panel + (size_t)k * NR;
            for (int j = 0; j < rest; j++)
                to[j] = from[j];
            for (int j = rest; j < NR; j++)
                to[j] = 0.0f;
        }
    }
#endif
}

#if TRANS_A
#define A_SIZE     (KC * MR)
#define A_AT(i, k) tile[(k)*MR + (i)]
#else
#define A_ROW      (KC + 16) /* not a power of two: rows fall in different cache sets */
#define A_SIZE     (MR * A_ROW)
#define A_AT(i, k) tile[(i)*A_ROW + (k)]
#endif

/* tile(i, k) = op(A)[i0 + i][k0 + k], 0 from row `rows` on. */
static inline void pack_a(__global const float *a, __local float *tile, int M,
                          int K, int i0, int rows, int k0, int kc) {
#if TRANS_A
    if (rows == MR) {
        for (int k = 0; k < kc; k++)
#pragma unroll
            for (int i = 0; i < MR; i += 4)
                *(__local f4u *)(tile + k * MR + i) =
                    *(__global const f4u *)(a + (size_t)(k0 + k) * M + i0 + i);
    } else {
        for (int k = 0; k < kc; k++)
            for (int i = 0; i < MR; i++)
                tile[k * MR + i] = i < rows ? a[(size_t)(k0 + k) * M + i0 + i] : 0.0f;
    }
#else
    for (int i = 0; i < MR; i++) {
        __local float *to = tile + i * A_ROW;
        int k = 0;
        if (i < rows) {
            __global const float *from = a + (size_t)(i0 + i) * K + k0;
            for (; k + 16 <= kc; k += 16)
                *(__local f16u *)(to + k) = *(__global const f16u *)(from + k);
            for (; k < kc; k++)
                to[k] = from[k];
        } else {
            for (; k < kc; k++)
                to[k] = 0.0f;
        }
    }
#endif
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_cpu(__global const float *restrict a, __global const float *restrict b,
           __global float *restrict c, int M, int N, int K, int tiles LEAD_PARAMETERS EPILOGUE_PARAMETERS) {
    __local float panels[NP * KC * NR] __attribute__((aligned(64)));
    __local float tile[A_SIZE] __attribute__((aligned(64)));
    const int j_begin = (int)get_global_id(1) * NR * NP;
    int group = (int)get_global_id(0);
    LEAD(group, (M + MR * tiles - 1) / (MR * tiles))
    const int i_begin = group * MR * tiles;
    const int i_end = min(M, i_begin + MR * tiles);

    /* At least one block, so that K = 0 writes zeros. */
    for (int k0 = 0; k0 == 0 || k0 < K; k0 += KC) {
        const int kc = min(KC, K - k0);
        for (int p = 0; p < NP && j_begin + p * NR < N; p++)
            pack_b(b, panels + p * KC * NR, N, K, j_begin + p * NR, k0, kc);
        for (int i0 = i_begin; i0 < i_end; i0 += MR) {
            const int rows = min(MR, M - i0);
            pack_a(a, tile, M, K, i0, rows, k0, kc);
            for (int p = 0; p < NP && j_begin + p * NR < N; p++) {
                const int j0 = j_begin + p * NR, columns = min(NR, N - j0);
                __local const float *panel = panels + p * KC * NR;
                float16 sum[MR][NV];
#pragma unroll
                for (int i = 0; i < MR; i++)
#pragma unroll
                    for (int v = 0; v < NV; v++)
                        sum[i][v] = (float16)(0.0f);
                for (int k = 0; k < kc; k++) {
                    float16 row[NV];
#pragma unroll
                    for (int v = 0; v < NV; v++)
                        row[v] = *(__local const float16 *)(panel + k * NR + 16 * v);
#pragma unroll
                    for (int i = 0; i < MR; i++) {
                        const float16 x = (float16)(A_AT(i, k));
#pragma unroll
                        for (int v = 0; v < NV; v++)
                            sum[i][v] = fma(x, row[v], sum[i][v]);
                    }
                }
                __global float *to = c + (size_t)i0 * N + j0;
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    if (i < rows) {
#pragma unroll
                        for (int v = 0; v < NV; v++) {
                            __global float *at = to + (size_t)i * N + 16 * v;
                            if (16 * v + 16 <= columns) {
                                float16 value = sum[i][v];
                                if (k0 != 0)
                                    value += *(__global f16u *)at;
                                *(__global f16u *)at = value;
                            } else {
                                float lane[16];
                                *(f16u *)lane = sum[i][v];
                                for (int j = 0; j < columns - 16 * v; j++)
                                    at[j] = k0 != 0 ? at[j] + lane[j] : lane[j];
                            }
                        }
                    }
                }
            }
            if (k0 + KC >= K)
                for (int i = 0; i < rows; i++)
                    EPILOGUE(c, (size_t)(i0 + i) * N + j_begin, min(NR * NP, N - j_begin));
        }
    }
}
