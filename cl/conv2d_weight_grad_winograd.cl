/* Gradient of a convolution with 3 x 3 taps, stride 1, by its weights, by tiles of TILE x TILE of
 * dy, for CPU devices: dw[k][c][r][s] sums dy[n][k][h][w] * x[n][c][h - ph + r][w - pw + s], in an order
 * that does not depend on timing. A tile of dy is the filter here: F(3x3, 4x4) or
 * F(3x3, 2x2).
 *
 * weight_winograd: a work-item (local size 1) takes the rows of tiles of one slice, over the ends of
 * images, and of those one part of tiles_w tiles: global (slices, parts). It transforms `spans` rows
 * at a time in local memory and adds their products to its sums, in register tiles of CT channels c
 * x 16 channels k.
 * partial: [slice][part][ALL_POINTS points][block of 16 c][block of 16 k][c][k].
 * With tiles = spans * tiles_w and pitch = TILE * tiles_w + 2: v, d: POINTS * COLUMN_STEP(blocks of
 * C, of K, tiles) floats; mid: POINTS * 16 * pitch floats; buffer, dy_buffer: (TILE * min(spans,
 * tile rows of an image) + 2) * 16 * pitch floats.
 *
 * winograd_join: dw from the sum over `slices` of partial, first to last; a work-item per (c, block
 * of 16 k), any local size. */
#include "winograd.clh"

#ifndef CT
#define CT 16
#endif

/* One axis of the transform of TILE values of dy to points. */
static inline void dy_points(const float16 *d, float16 *t) {
#if TILE == 2
    t[0] = d[0];
    t[1] = d[0] + d[1];
    t[2] = d[0] - d[1];
    t[3] = d[1];
#else
    const float16 e1 = fma(V(P11), d[2], d[0]), e2 = fma(V(P22), d[2], d[0]);
    const float16 o1 = fma(V(P11), d[3], d[1]), o2 = fma(V(P22), d[3], d[1]);
    t[0] = d[0];
    t[1] = fma(V(P1), o1, e1);
    t[2] = fma(V(-P1), o1, e1);
    t[3] = fma(V(P2), o2, e2);
    t[4] = fma(V(-P2), o2, e2);
    t[5] = d[3];
#endif
}

/* The tiles of a span of dy from the buffer to points, as input_tiles. */
static inline void dy_tiles(__local const float *buffer, __local float *to, int tiles_h,
                            int tiles_w, int pitch, int step) {
    for (int row = 0; row < tiles_h; row++)
        for (int tile = 0; tile < tiles_w; tile++, to += COLUMN) {
            float16 mid[POINTS][TILE];
#pragma unroll
            for (int s = 0; s < TILE; s++) {
                float16 d[TILE], t[POINTS];
#pragma unroll
                for (int r = 0; r < TILE; r++)
                    d[r] = *(__local const f16u *)(buffer + 16 * ((TILE * row + r) * pitch +
                                                                  TILE * tile + s));
                dy_points(d, t);
#pragma unroll
                for (int r = 0; r < POINTS; r++)
                    mid[r][s] = t[r];
            }
#pragma unroll
            for (int r = 0; r < POINTS; r++) {
                float16 t[POINTS];
                dy_points(mid[r], t);
#pragma unroll
                for (int s = 0; s < POINTS; s++)
                    LOCAL_AT(to + s * step + 16 * r) = t[s];
            }
        }
}

/* The products of one point: sums[c][16 k] (+)= v[tile][.][c] * d[tile][.][16 k]. */
static inline void add_products(__local const float *v, __local const float *d,
                                __global float *sums, int tiles, int is_first) {
    for (int c0 = 0; c0 < 16; c0 += CT) {
        float16 sum[CT];
#pragma unroll
        for (int c = 0; c < CT; c++)
            sum[c] = V(0.0f);
        for (int t = 0; t < tiles; t++) {
            const float16 dk = *(__local const f16u *)(d + COLUMN * t);
#pragma unroll
            for (int c = 0; c < CT; c++)
                sum[c] = fma(V(v[COLUMN * t + c0 + c]), dk, sum[c]);
        }
        /* Few sums of few terms round less than one sum of all. */
#pragma unroll
        for (int c = 0; c < CT; c++) {
            __global float *to = sums + 16 * (c0 + c);
            GLOBAL_AT(to) = is_first ? sum[c] : sum[c] + GLOBAL_AT(to);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
weight_winograd(__global const A_WORD *restrict x, __global const float *restrict dy,
                __global float *restrict partial, __local float *restrict v,
                __local float *restrict d, __local float *restrict buffer,
                __local float *restrict dy_buffer, __local float *restrict mid, int images, int C,
                int K, int H, int W, int OH, int OW, int ph, int pw, int slices, int spans,
                int tiles_w) {
    const int c_blocks = ceil_div(C, 16), k_blocks = ceil_div(K, 16);
    const int image_rows = ceil_div(OH, TILE);
    const int slice = (int)get_global_id(0), part = (int)get_global_id(1);
    const int column0 = part * TILE * tiles_w, pitch = TILE * tiles_w + 2, tiles = spans * tiles_w;
    const int v_step = COLUMN_STEP(c_blocks, tiles), d_step = COLUMN_STEP(k_blocks, tiles);
    const int per_slice = ceil_div(ceil_div(images * image_rows, spans), slices) * spans;
    const int begin = min(slice * per_slice, images * image_rows);
    const int end = min(begin + per_slice, images * image_rows);
    const int sums = 256 * c_blocks * k_blocks;
    partial += (size_t)(slice * (int)get_global_size(1) + part) * ALL_POINTS * sums;

    if (begin == end)
        for (int i = 0; i < ALL_POINTS * sums; i += 16)
            GLOBAL_AT(partial + i) = V(0.0f);
    for (int i = 0; i < (TILE * min(spans, image_rows) + 2) * pitch; i++) {
        LOCAL_AT(buffer + 16 * i) = V(0.0f);
        LOCAL_AT(dy_buffer + 16 * i) = V(0.0f);
    }
    for (int first = begin; first < end; first += spans) {
        const int last = min(first + spans, end);
        for (int c = 0; c < c_blocks; c++)
            for (int at = first; at < last;) {
                const int image = at / image_rows, row = at % image_rows;
                const int rows = min(last - at, image_rows - row);
                load_span(x + ((size_t)image * C + 16 * c) * H * W, 0, buffer, min(16, C - 16 * c),
                          H, W, TILE * row - ph, column0 - pw, TILE * rows + 2, pitch);
                input_tiles(buffer, mid, v + COLUMN * (c * tiles + (at - first) * tiles_w), rows,
                            tiles_w, pitch, v_step);
                at += rows;
            }
        for (int k = 0; k < k_blocks; k++)
            for (int at = first; at < last;) {
                const int image = at / image_rows, row = at % image_rows;
                const int rows = min(last - at, image_rows - row);
                load_span(dy + ((size_t)image * K + 16 * k) * OH * OW, 1, dy_buffer,
                          min(16, K - 16 * k), OH, OW, TILE * row, column0, TILE * rows, pitch);
                dy_tiles(dy_buffer, d + COLUMN * (k * tiles + (at - first) * tiles_w), rows,
                         tiles_w, pitch, d_step);
                at += rows;
            }
        for (int point = 0; point < ALL_POINTS; point++)
            for (int c = 0; c < c_blocks; c++)
                for (int k = 0; k < k_blocks; k++)
                    add_products(
                        v + point % POINTS * v_step + COLUMN * c * tiles + 16 * (point / POINTS),
                        d + point % POINTS * d_step + COLUMN * k * tiles + 16 * (point / POINTS),
                        partial + (size_t)point * sums + 256 * (c * k_blocks + k),
                        (last - first) * tiles_w, first == begin);
    }
}

/* One axis of the transform of points to 3 taps. */
static inline void tap_values(const float16 *m, float16 *y) {
#if TILE == 2
    const float16 u = V(0.5f) * (m[1] + m[2]);
    y[0] = m[0] + u;
    y[1] = V(0.5f) * (m[1] - m[2]);
    y[2] = m[3] + u;
#else
    const float n0 = 1.0f / (P11 * P22);
    const float n1 = 1.0f / (2.0f * P11 * (P11 - P22)), n2 = 1.0f / (2.0f * P22 * (P22 - P11));
    const float16 u = (m[1] + m[2]) * V(n1), v = (m[1] - m[2]) * V(n1);
    const float16 s = (m[3] + m[4]) * V(n2), t = (m[3] - m[4]) * V(n2);
    y[0] = fma(V(n0), m[0], u + s);
    y[1] = fma(V(P1), v, V(P2) * t);
    y[2] = fma(V(P11), u, fma(V(P22), s, m[5]));
#endif
}

__kernel void winograd_join(__global const float *restrict partial, __global float *restrict dw,
                            int C, int K, int slices) {
    const int c = (int)get_global_id(0), block = (int)get_global_id(1);
    const int c_blocks = ceil_div(C, 16), k_blocks = ceil_div(K, 16);
    if (c >= C || block >= k_blocks)
        return;
    const int sums = 256 * c_blocks * k_blocks;
    partial += 256 * (c / 16 * k_blocks + block) + 16 * (c % 16);
    float16 mid[3][POINTS];
    for (int s = 0; s < POINTS; s++) {
        float16 m[POINTS], y[3];
        for (int r = 0; r < POINTS; r++) {
            __global const float *from = partial + (size_t)(POINTS * r + s) * sums;
            m[r] = *(__global const f16u *)from;
            for (int i = 1; i < slices; i++)
                m[r] += *(__global const f16u *)(from + (size_t)i * ALL_POINTS * sums);
        }
        tap_values(m, y);
        for (int r = 0; r < 3; r++)
            mid[r][s] = y[r];
    }
    for (int r = 0; r < 3; r++) {
        float16 y[3];
        tap_values(mid[r], y);
        for (int s = 0; s < 3; s++) {
            float lane[16];
            *(f16u *)lane = y[s];
            for (int i = 0; i < 16 && 16 * block + i < K; i++)
                dw[((16 * block + i) * C + c) * 9 + 3 * r + s] = lane[i];
        }
    }
}
