/* Matrix product for CPU devices: C[M][N] = op(A) op(B), row-major and dense.
 *
 * A is [M][K], or [K][M] with TRANS_A; B is [K][N], or [N][K] with TRANS_B. Any M, N >= 1, K >= 0.
 * One work-item per work-group computes `tiles` row tiles of MR rows by `panels` column panels of NR
 * columns, panels <= NP; global size (ceil(M / (MR * tiles)), ceil(N / (NR * panels)), splits). Part s
 * of K writes its partial product to c + s * M * N, for matmul_join.cl; splits is 1 without. A part is
 * cut in blocks of KC: a block of the B panels is copied to contiguous local memory, and then read once
 * per row tile, in order. A is read where it is, an element for NR columns at a time: copying it first
 * cost more than its strides do; but operands that come from other caches or memory are asked for
 * ahead, which made products in a training step a quarter faster. Later blocks add to C. An element is
 * summed up in the same order wherever the work-groups' borders are.
 * Explicit float16 becomes one AVX-512 register, or two AVX, or four SSE or NEON registers.
 * Operands of 2 bytes: operand.clh.
 * Local memory: NP * KC * NR floats. Takes no epilogue: docs/design/0004.
 */
#ifndef MR
#define MR 8 /* rows of a register tile: as many pointers into A, with their loop, fit 16 registers */
#endif
#ifndef NV
#define NV 2 /* float16 per row of a register tile, 1 or 2 */
#endif
#ifndef NP
#define NP 1 /* the most column panels of a work-group */
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
/* For batched_matmul_cpu.cl: more parameters, the matrices that a group works on, and how far apart
 * rows of the operands are in memory. */
#define LEAD_PARAMETERS
#define LEAD(group, groups)
#define LDA (TRANS_A ? M : K)
#define LDB (TRANS_B ? K : N)
#endif
#define NR    (16 * NV)
#define AHEAD 16 /* rows of B */

#include "operand.clh"
#include "prefetch.clh"
#include "transpose16.clh"

typedef float16 f16u __attribute__((aligned(4)));
typedef float8 f8u __attribute__((aligned(4)));
typedef float4 f4u __attribute__((aligned(4)));
typedef float2 f2u __attribute__((aligned(4)));

/* Without it large functions that are called twice stay functions, their tiles in memory. */
#define INLINE static inline __attribute__((always_inline))

/* No restrict in functions: it becomes an intrinsic that oclgrind does not know.
 *
 * panel[k][j] = op(B)[k0 + k][j0 + j], for each float16 that has a column below N; there, columns
 * from N on hold anything, which ends in columns that are not stored. */
INLINE void pack_b(__global const B_WORD *b, __local float *panel, int N, int K, int ld, int j0,
                   int k0, int kc) {
#if TRANS_B
    for (int v = 0; v < NV && j0 + 16 * v < N; v++) {
        const int j1 = j0 + 16 * v;
        __local float *to = panel + 16 * v;
        if (kc < 16) {
            for (int j = 0; j < 16; j++)
                for (int k = 0; k < kc; k++)
                    to[k * NR + j] = B_AT(b, (size_t)min(j1 + j, N - 1) * ld + k0 + k);
            continue;
        }
        for (int block = 0; block < kc; block += 16) {
            const int k = min(block, kc - 16); /* the last one overlaps */
            float16 r[16];
#pragma unroll
            for (int j = 0; j < 16; j++)
                r[j] = B_AT16(b, (size_t)min(j1 + j, N - 1) * ld + k0 + k);
            TRANSPOSE16(r);
#pragma unroll
            for (int i = 0; i < 16; i++)
                *(__local float16 *)(to + (k + i) * NR) = r[i];
        }
    }
#else
    if (j0 + NR <= N) {
        for (int k = 0; k < kc; k++)
#pragma unroll
            for (int v = 0; v < NV; v++) {
                __global const B_WORD *from = b + (size_t)(k0 + k) * ld + j0 + 16 * v;
                PREFETCH(from + (size_t)AHEAD * ld);
                *(__local float16 *)(panel + k * NR + 16 * v) = B_AT16(from, 0);
            }
        return;
    }
    for (int v = 0; v < NV && j0 + 16 * v < N; v++) {
        const int j1 = j0 + 16 * v;
        __local float *to = panel + 16 * v;
        int k = 0;
        for (; k < kc && (size_t)(k0 + k) * ld + j1 + 16 <= (size_t)(K - 1) * ld + N; k++)
            *(__local float16 *)(to + k * NR) = B_AT16(b, (size_t)(k0 + k) * ld + j1);
        for (; k < kc; k++) /* 16 would reach beyond B */
            for (int j = 0; j < 16; j++)
                to[k * NR + j] = B_AT(b, (size_t)(k0 + k) * ld + min(j1 + j, N - 1));
    }
#endif
}

#if TRANS_A
#define A_PLACE(i, k) ((size_t)(k)*LDA + (i))
#else
#define A_PLACE(i, k) ((size_t)(i)*LDA + (k))
#endif

/* sum[i][..] = A tile times panel, for the first mr rows and nv float16; asks for the tile `next`. */
INLINE void product(__global const A_WORD *a, __global const A_WORD *next, int step,
                    __local const float *panel, int kc, float16 sum[MR][NV], int mr, int nv) {
#pragma unroll
    for (int i = 0; i < MR; i++)
#pragma unroll
        for (int v = 0; v < NV; v++)
            if (i < mr && v < nv)
                sum[i][v] = (float16)(0.0f);
    for (int k = 0; k < kc; k++) {
        float16 row[NV];
#if TRANS_A
        PREFETCH(next + (size_t)k * step);
#else
        /* Each row's lines of 16 floats: twice, but without a count of their own. */
        PREFETCH(next + (size_t)(k / 2 % MR) * step + k / (2 * MR) * 16);
#endif
#pragma unroll
        for (int v = 0; v < NV; v++)
            if (v < nv)
                row[v] = *(__local const float16 *)(panel + k * NR + 16 * v);
#pragma unroll
        for (int i = 0; i < MR; i++)
            if (i < mr) {
#if TRANS_A
                const float16 x = (float16)(A_AT(a, (size_t)k * step + i));
#else
                const float16 x = (float16)(A_AT(a, (size_t)i * step + k));
#endif
#pragma unroll
                for (int v = 0; v < NV; v++)
                    if (v < nv)
                        sum[i][v] = fma(x, row[v], sum[i][v]);
            }
    }
}

/* The first `columns` of 16, 1 or more. */
INLINE void put(__global float *to, float16 value, int columns) {
    if (columns >= 16) {
        *(__global f16u *)to = value;
        return;
    }
    float8 eight = value.lo;
    if ((columns & 8) != 0) {
        *(__global f8u *)to = eight;
        to += 8;
        eight = value.hi;
    }
    float4 four = eight.lo;
    if ((columns & 4) != 0) {
        *(__global f4u *)to = four;
        to += 4;
        four = eight.hi;
    }
    float2 two = four.lo;
    if ((columns & 2) != 0) {
        *(__global f2u *)to = two;
        to += 2;
        two = four.hi;
    }
    if ((columns & 1) != 0)
        *to = two.x;
}

INLINE float16 get(__global const float *from, int columns) {
    if (columns >= 16)
        return *(__global const f16u *)from;
    float lane[16];
    for (int j = 0; j < 16; j++)
        lane[j] = j < columns ? from[j] : 0.0f;
    return *(f16u *)lane;
}

/* Rows first to mr - 1; added to what is there unless it is the first block of K. */
INLINE void store(__global float *to, float16 sum[MR][NV], int N, int first, int columns, int add,
                  int mr, int nv) {
#pragma unroll
    for (int i = 0; i < MR; i++)
        if (i < mr && i >= first)
#pragma unroll
            for (int v = 0; v < NV; v++)
                if (v < nv && 16 * v < columns) {
                    __global float *at = to + (size_t)i * N + 16 * v;
                    put(at, add ? sum[i][v] + get(at, columns - 16 * v) : sum[i][v],
                        columns - 16 * v);
                }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_cpu(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
           __global float *restrict c, int M, int N, int K, int tiles, int panels,
           int splits LEAD_PARAMETERS) {
    __local float packed[NP * KC * NR] __attribute__((aligned(64)));
    int group = (int)get_global_id(0);
    LEAD(group, (M + MR * tiles - 1) / (MR * tiles))
    const int i_begin = group * MR * tiles, i_end = min(M, i_begin + MR * tiles);
    const int j_begin = (int)get_global_id(1) * NR * panels, j_end = min(N, j_begin + NR * panels);
    const int part = (int)get_global_id(2), length = ((K + splits - 1) / splits + 15) / 16 * 16;
    const int k_begin = min(K, part * length), k_end = min(K, k_begin + length);
    c += (size_t)part * M * N;

    /* At least one block, so that a part without elements writes zeros. */
    for (int k0 = k_begin; k0 == k_begin || k0 < k_end; k0 += KC) {
        const int kc = min(KC, k_end - k0);
        for (int j = j_begin; j < j_end; j += NR)
            pack_b(b, packed + (j - j_begin) * KC, N, K, LDB, j, k0, kc);
        /* Fewer than a tile's rows: one after the other. */
        const int step = M < MR ? 1 : MR;
        for (int i = i_begin; i < i_end; i += step) {
            /* The last tile overlaps the one before, whose rows are not stored again. */
            const int i0 = M < MR ? i : min(i, M - MR), first = i - i0;
            __global const A_WORD *next =
                i + step < i_end ? a + A_PLACE(i + step, k0) : a + A_PLACE(i_begin, k0 + KC);
            for (int j = j_begin; j < j_end; j += NR) {
                __global const A_WORD *from = a + A_PLACE(i0, k0);
                __local const float *panel = packed + (j - j_begin) * KC;
                __global float *to = c + (size_t)i0 * N + j;
                const int columns = N - j;
                float16 sum[MR][NV];
                for (int r = 0; r < step; r++)
                    for (int v = 0; v < NV; v++)
                        PREFETCH_WRITE(to + (size_t)r * N + 16 * v);
                if (M < MR) {
                    product(from, next, LDA, panel, kc, sum, 1, NV);
                    store(to, sum, N, 0, columns, k0 != k_begin, 1, NV);
                } else if (NV > 1 && columns <= 16) {
                    product(from, next, LDA, panel, kc, sum, MR, 1);
                    store(to, sum, N, first, columns, k0 != k_begin, MR, 1);
                } else {
                    product(from, next, LDA, panel, kc, sum, MR, NV);
                    if (columns >= NR && first == 0 && k0 == k_begin)
                        store(to, sum, N, 0, NR, 0, MR, NV);
                    else
                        store(to, sum, N, first, columns, k0 != k_begin, MR, NV);
                }
            }
        }
    }
}
