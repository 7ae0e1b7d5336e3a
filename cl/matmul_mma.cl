/* Matrix product on the tensor units of NVIDIA GPUs from compute capability 8.0 on:
 * C[M][N] = op(A) op(B), row-major and dense, f32 in memory and in sums.
 *
 * Operands, tiles, strips, ranges and `splits` are matmul.cl's. A work-group of (BN / TN, BM / TM)
 * work-items computes a tile of BM x BN; 32 neighbours, a warp, have TM * TN x 32 of it, as blocks of
 * 16 x 8, which one instruction multiplies (PTX: mma.sync, which OpenCL C reaches by asm only). BK is
 * 16. How exact that is, MMA says:
 *   3   operands are sums of two numbers of 11 bits, of whose four products the smallest is left out;
 *       each step's eight terms are added to the sum by an ordinary addition. An operand that is
 *       infinite, or rounds to it, gives NaN; errors are a few units of f32.
 *   1   operands are rounded to tf32, 11 bits.
 *   16  operands are rounded to bf16, 8 bits, at twice the speed.
 *
 * Strips lie in local memory as in global memory, in float4s: rows of one operand row or of one k,
 * with gaps such that 32 neighbours who read a block meet 32 banks.
 * Local memory: 2 * (BM + BN) * (BK + 8) floats at most. Takes a prologue to A or B
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
#ifndef MMA
#define MMA 3
#endif
#define LX    (BN / TN)
#define LY    (BM / TM)
#define ITEMS (LX * LY)
#include "epilogue.clh"
#include "matmul_strip.clh"

#define WM     (TM * TN)
#define WN     32
#define BLOCKS (WM / 16) /* of A in a warp's part */
#define PANELS (WN / 8)  /* of B */
#define K_STEP   (MMA == 16 ? 16 : 8)

#ifndef MMA_STATE /* a test puts plain C in the place of the instructions */
#define MMA_STATE
/* d += a * b. d, of 16 x 8: rows lane / 4 and 8 more, columns lane % 4 * 2 and the next, row by row.
 * a, of 16 x 8 (16 x 16 for bf16), and b, of 8 x 8 (16 x 8): see load_a and load_b. */
#define MMA_TF32(d, a, b)                                                                          \
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "                             \
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                 \
                 : "+f"((d)[0]), "+f"((d)[1]), "+f"((d)[2]), "+f"((d)[3])                          \
                 : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"((b)[0]), "r"((b)[1]))
#define MMA_BF16(d, a, b)                                                                          \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "                            \
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                 \
                 : "+f"((d)[0]), "+f"((d)[1]), "+f"((d)[2]), "+f"((d)[3])                          \
                 : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"((b)[0]), "r"((b)[1]))
static inline uint to_tf32(const float x) {
    uint bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}
static inline uint to_bf16_pair(const float low, const float high) {
    uint bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}
#endif

/* Floats from one row of a strip in local memory to the next. */
#if MMA == 16
#define INNER_ROW       (BK + 8)
#define OTHER_ROW(tile) ((tile) + 4)
#else
#define INNER_ROW       (BK + 4)
#define OTHER_ROW(tile) ((tile) + 8)
#endif
#define STRIP(tile, inner) ((inner) ? (tile)*INNER_ROW : BK * OTHER_ROW(tile))
/* Where a strip has the element of row i and inner index k. */
#define AT(i, k, tile, inner) ((inner) ? (i)*INNER_ROW + (k) : (k)*OTHER_ROW(tile) + (i))

static inline void store_strip(__local float4 *strip, const float4 *next, const int id,
                               const int inner, const int tile) {
#pragma unroll
    for (int q = 0; q < QUADS(tile); q++) {
        const int i = quad_row(id + q * ITEMS, inner, tile);
        const int k = quad_inner(id + q * ITEMS, inner, tile);
        strip[AT(i, k, tile, inner) / 4] = next[q];
    }
}

/* What a work-item holds of a block of A: rows lane / 4 and 8 more; tf32: k = lane % 4 and 4 more;
 * bf16: k = 2 (lane % 4) and the next, and 8 more. big + small is the operand where MMA is 3. */
static inline void load_pair(__local const float *strip, const int i, const int k, const int tile,
                             const int inner, uint *big, uint *small) {
    const float x = strip[AT(i, k, tile, inner)];
#if MMA == 16
    *big = to_bf16_pair(x, strip[AT(i, k + 1, tile, inner)]);
#else
    *big = to_tf32(x);
#endif
    *small = MMA == 3 ? to_tf32(x - as_float(*big)) : 0;
}

static inline void load_a(__local const float *strip, const int i, const int k, const int lane,
                          uint big[4], uint small[4]) {
#pragma unroll
    for (int r = 0; r < 4; r++)
        load_pair(strip, i + lane / 4 + r % 2 * 8, k + lane % 4 * (K_STEP / 8) + r / 2 * (K_STEP / 2),
                  BM, !TRANS_A, &big[r], &small[r]);
}

/* The same of B: column lane / 4. */
static inline void load_b(__local const float *strip, const int j, const int k, const int lane,
                          uint big[2], uint small[2]) {
#pragma unroll
    for (int r = 0; r < 2; r++)
        load_pair(strip, j + lane / 4, k + lane % 4 * (K_STEP / 8) + r * (K_STEP / 2), BN, TRANS_B,
                  &big[r], &small[r]);
}

__kernel __attribute__((reqd_work_group_size(LX, LY, 1))) void
matmul_mma(__global const A_WORD *restrict a, __global const B_WORD *restrict b,
           __global float *restrict c, int M, int N, int K,
           int splits LEAD_PARAMETERS EPILOGUE_PARAMETERS PROLOGUE_PARAMETERS) {
    __local float4 strip_a[2][STRIP(BM, !TRANS_A) / 4];
    __local float4 strip_b[2][STRIP(BN, TRANS_B) / 4];
    MMA_STATE
    const int id = (int)get_local_id(1) * LX + (int)get_local_id(0);
    const int warp = id / 32, lane = id % 32;
    const int own_i = warp / (BN / WN) * WM, own_j = warp % (BN / WN) * WN;
    int group = (int)get_group_id(0);
    LEAD(group, (N + BN - 1) / BN)
    const int i0 = (int)get_group_id(1) * BM, j0 = group * BN;
    const int part = (int)get_global_id(2), length = part_length(K, splits);
    const int k_begin = min(K, part * length), k_end = min(K, k_begin + length);

    float sum[BLOCKS][PANELS][4];
#pragma unroll
    for (int i = 0; i < BLOCKS; i++)
#pragma unroll
        for (int j = 0; j < PANELS; j++)
            sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0.0f;

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
        __local const float *from_a = (__local const float *)strip_a[now];
        __local const float *from_b = (__local const float *)strip_b[now];
#pragma unroll 1
        for (int k = 0; k < BK; k += K_STEP) { /* unrolled, 255 registers would not do */
            uint big_a[BLOCKS][4], small_a[BLOCKS][4], big_b[PANELS][2], small_b[PANELS][2];
#pragma unroll
            for (int i = 0; i < BLOCKS; i++)
                load_a(from_a, own_i + 16 * i, k, lane, big_a[i], small_a[i]);
#pragma unroll
            for (int j = 0; j < PANELS; j++)
                load_b(from_b, own_j + 8 * j, k, lane, big_b[j], small_b[j]);
#pragma unroll
            for (int i = 0; i < BLOCKS; i++)
#pragma unroll
                for (int j = 0; j < PANELS; j++) {
#if MMA == 3
                    /* The units cut what they add to a sum, always towards zero: over a long K that
                     * would show. */
                    float terms[4] = {0.0f, 0.0f, 0.0f, 0.0f};
                    MMA_TF32(terms, small_a[i], big_b[j]);
                    MMA_TF32(terms, big_a[i], small_b[j]);
                    MMA_TF32(terms, big_a[i], big_b[j]);
                    for (int r = 0; r < 4; r++)
                        sum[i][j][r] += terms[r];
#elif MMA == 1
                    MMA_TF32(sum[i][j], big_a[i], big_b[j]);
#else
                    MMA_BF16(sum[i][j], big_a[i], big_b[j]);
#endif
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
    for (int i = 0; i < BLOCKS; i++)
#pragma unroll
        for (int r = 0; r < 4; r += 2) {
            const int row = i0 + own_i + 16 * i + lane / 4 + 4 * r;
#pragma unroll
            for (int j = 0; j < PANELS; j++) {
                const int column = j0 + own_j + 8 * j + lane % 4 * 2, at = row * N + column;
                const float2 pair = (float2)(sum[i][j][r], sum[i][j][r + 1]);
                if (row >= M || column >= N)
                    continue;
                if ((N & 1) == 0) {
                    *(__global float2 *)(to + at) = pair;
                } else {
                    to[at] = pair.s0;
                    if (column + 1 < N)
                        to[at + 1] = pair.s1;
                }
            }
        }
    /* Apart, so that there is one copy of the epilogue's code, not one per sum. */
    for (int e = 0; e < BLOCKS * PANELS * 2; e++) {
        const int row = i0 + own_i + e / PANELS * 8 + lane / 4;
        const int column = j0 + own_j + e % PANELS * 8 + lane % 4 * 2;
        if (row < M && column < N)
            EPILOGUE(to - LEAD_FIRST, LEAD_FIRST + row * N + column, min(2, N - column));
    }
}
