/* Matrix product for CPU devices with instructions for pairs of bf16: C[M][N] = op(A) op(B), row-major
 * and dense; operands are rounded to bf16 (8 bits, to nearest even), products and sums are f32.
 *
 * A is [M][K], or [K][M] with TRANS_A; B is [K][N], or [N][K] with TRANS_B; of 2 bytes: operand.clh. Any
 * M, N >= 1, K >= 0. Work-groups, tiles and panels are matmul_cpu.cl's. Both operands are copied to
 * local memory in pairs of two k: B as panels of NR columns, A tile by tile, since it must be rounded.
 * An element is summed up in the same order wherever the work-groups' borders are.
 *
 * VDPBF16PS adds two products to each of 16 sums, twice what an FMA does. Compilers that were told of
 * AVX-512 only accept it in functions of that target, which must not be inlined. Subnormal operands
 * and sums may count as zero.
 * Local memory: (NP * NR + MR) * KC / 2 words. Takes no epilogue.
 */
#ifndef NP
#define NP 1 /* the most column panels of a work-group */
#endif
#ifndef KC
#define KC 512 /* a multiple of 32 */
#endif
#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#define MR    8
#define NR    32
#define PAIRS (KC / 2)

#include "operand.clh"
#include "prefetch.clh"
#include "transpose16.clh"

typedef float16 f16u __attribute__((aligned(4)));
typedef uint16 pairs16u __attribute__((aligned(2)));

#define APART __attribute__((noinline, target("avx512f,avx512bf16")))
#define DOT(sum, x, y) __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))
/* Elements of `low` and behind them those of `high`. */
#define ROUND(to, low, high) __asm__("vcvtne2ps2bf16 %2, %1, %0" : "=v"(to) : "v"(high), "v"(low))

/* The upper half is bf16; NaN stays. */
static inline uint rounded(const float v) {
    const uint u = as_uint(v);
    return (u & 0x7fffffffu) > 0x7f800000u ? u | 0x400000u : u + 0x7fffu + ((u >> 16) & 1u);
}

static inline uint16 rounded16(const float16 v) {
    const uint16 u = as_uint16(v);
    return select(u + 0x7fffu + ((u >> 16) & 1u), u | 0x400000u,
                  (u & 0x7fffffffu) > (uint16)(0x7f800000u));
}

static inline uint8 rounded8(const float8 v) {
    const uint8 u = as_uint8(v);
    return select(u + 0x7fffu + ((u >> 16) & 1u), u | 0x400000u,
                  (u & 0x7fffffffu) > (uint8)(0x7f800000u));
}

static inline uint pair(const float low, const float high) {
    return rounded(low) >> 16 | (rounded(high) & 0xffff0000u);
}

/* The pairs of 32 neighbours. */
#ifdef A_BF16
#define A_PAIRS(to, x) (to) = *(__global const pairs16u *)(x)
#else
#define A_PAIRS(to, x) ROUND(to, A_AT16(x, 0), A_AT16(x, 16))
#endif
#ifdef B_BF16
#define B_PAIRS(to, x) (to) = *(__global const pairs16u *)(x)
#else
#define B_PAIRS(to, x) ROUND(to, B_AT16(x, 0), B_AT16(x, 16))
#endif

/* Where pairs of a tile of A are: those of row i at k, k + 1. */
#if TRANS_A
#define TILE_AT(i, p)   ((p)*MR + (i))
#define A_PLACE(i, k) ((size_t)(k)*M + (i))
#else
#define TILE_AT(i, p)   ((i)*PAIRS + (p))
#define A_PLACE(i, k) ((size_t)(i)*K + (k))
#endif

/* tile = rows i0 to i0 + MR - 1 (the last row for those beyond M) at k0 to k0 + kc - 1; where kc is odd,
 * another k of zeros. */
APART void pack_a(__global const A_WORD *a, __local uint *tile, int M, int K, int i0, int k0,
                  int kc) {
    for (int i = 0; i < MR; i++) {
        const int row = min(i0 + i, M - 1);
        int k = 0;
#if TRANS_A
        if (i0 + MR <= M)
            break;
#else
        __global const A_WORD *from = a + A_PLACE(row, k0);
        for (; k + 32 <= kc; k += 32) {
            uint16 pairs;
            A_PAIRS(pairs, from + k);
            *(__local uint16 *)(tile + TILE_AT(i, k / 2)) = pairs;
        }
#endif
        for (; k < kc; k += 2)
            tile[TILE_AT(i, k / 2)] = pair(A_AT(a, A_PLACE(row, k0 + k)),
                                           k + 1 < kc ? A_AT(a, A_PLACE(row, k0 + k + 1)) : 0.0f);
    }
#if TRANS_A
    if (i0 + MR > M)
        return;
    for (int k = 0; k < kc; k += 2) {
        __global const A_WORD *from = a + A_PLACE(i0, k0 + k);
        const uint8 high = k + 1 < kc ? rounded8(A_AT8(from, M)) : (uint8)(0);
        *(__local uint8 *)(tile + TILE_AT(0, k / 2)) =
            rounded8(A_AT8(from, 0)) >> 16 | (high & 0xffff0000u);
    }
#endif
}

/* panel[p][j] = columns j0 to j0 + NR - 1 (the last column for those beyond N) likewise. */
APART void pack_b(__global const B_WORD *b, __local uint *panel, int N, int K, int j0, int k0,
                  int kc) {
    int k = 0;
#if TRANS_B
    for (; k + 32 <= kc; k += 32)
        for (int v = 0; v < NR; v += 16) {
            float16 r[16];
#pragma unroll
            for (int j = 0; j < 16; j++) {
                uint16 pairs;
                B_PAIRS(pairs, b + (size_t)min(j0 + v + j, N - 1) * K + k0 + k);
                r[j] = as_float16(pairs);
            }
            TRANSPOSE16(r);
#pragma unroll
            for (int i = 0; i < 16; i++)
                *(__local float16 *)(panel + (k / 2 + i) * NR + v) = r[i];
        }
#define B_PLACE(k, j) ((size_t)(j)*K + (k))
#else
    for (; k + 2 <= kc && j0 + NR <= N; k += 2)
        for (int v = 0; v < NR; v += 16) {
            __global const B_WORD *from = b + (size_t)(k0 + k) * N + j0 + v;
            PREFETCH(from + (size_t)16 * N);
            PREFETCH(from + (size_t)17 * N);
            *(__local uint16 *)(panel + k / 2 * NR + v) =
                rounded16(B_AT16(from, 0)) >> 16 | (rounded16(B_AT16(from, N)) & 0xffff0000u);
        }
#define B_PLACE(k, j) ((size_t)(k)*N + (j))
#endif
    for (; k < kc; k += 2)
        for (int j = 0; j < NR; j++) {
            const int column = min(j0 + j, N - 1);
            panel[k / 2 * NR + j] = pair(B_AT(b, B_PLACE(k0 + k, column)),
                                         k + 1 < kc ? B_AT(b, B_PLACE(k0 + k + 1, column)) : 0.0f);
        }
}

/* to[i][..] = tile times panel, or that much more, in the first rows and columns. */
APART void product(__local const uint *tile, __local const uint *panel, __global float *to, int N,
                   int pairs, int rows, int columns, int add) {
    float16 sum[MR][2];
#pragma unroll
    for (int i = 0; i < MR; i++)
        sum[i][0] = sum[i][1] = (float16)(0.0f);
    for (int p = 0; p < pairs; p++) {
        const uint16 y0 = *(__local const uint16 *)(panel + p * NR);
        const uint16 y1 = *(__local const uint16 *)(panel + p * NR + 16);
#pragma unroll
        for (int i = 0; i < MR; i++) {
            const uint16 x = (uint16)(tile[TILE_AT(i, p)]);
            DOT(sum[i][0], x, y0);
            DOT(sum[i][1], x, y1);
        }
    }
    if (rows == MR && columns >= NR) {
#pragma unroll
        for (int i = 0; i < MR; i++)
#pragma unroll
            for (int v = 0; v < 2; v++) {
                __global f16u *at = (__global f16u *)(to + (size_t)i * N + 16 * v);
                *at = add ? sum[i][v] + *at : sum[i][v];
            }
        return;
    }
    float lane[MR][NR];
#pragma unroll
    for (int i = 0; i < MR; i++) {
        *(f16u *)&lane[i][0] = sum[i][0];
        *(f16u *)&lane[i][16] = sum[i][1];
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < min(columns, NR); j++)
            to[(size_t)i * N + j] = add ? lane[i][j] + to[(size_t)i * N + j] : lane[i][j];
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_cpu_bf16(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
                __global float *restrict c, int M, int N, int K, int tiles, int panels) {
    __local uint packed[NP * PAIRS * NR] __attribute__((aligned(64)));
    __local uint tile[MR * PAIRS] __attribute__((aligned(64)));
    const int i_begin = (int)get_global_id(0) * MR * tiles, i_end = min(M, i_begin + MR * tiles);
    const int j_begin = (int)get_global_id(1) * NR * panels, j_end = min(N, j_begin + NR * panels);
    /* At least one block, so that K = 0 writes zeros. */
    for (int k0 = 0; k0 == 0 || k0 < K; k0 += KC) {
        const int kc = min(KC, K - k0);
        for (int j = j_begin; j < j_end; j += NR)
            pack_b(b, packed + (j - j_begin) * PAIRS, N, K, j, k0, kc);
        for (int i = i_begin; i < i_end; i += MR) {
            pack_a(a, tile, M, K, i, k0, kc);
            for (int j = j_begin; j < j_end; j += NR)
                product(tile, packed + (j - j_begin) * PAIRS, c + (size_t)i * N + j, N,
                        (kc + 1) / 2, min(MR, i_end - i), N - j, k0 != 0);
        }
    }
}
