/* Convolution with 3 x 3 taps, stride 1, by tiles of TILE x TILE outputs, for CPU devices: y[k][h][w] =
 * bias[k] + the sum over c, r, s of w[k][c][r][s] * x[c][h - ph + r][w - pw + s]. x is
 * (images, C, H, W), y is (images, K, OH, OW).
 *
 * winograd_weights: to points, [block of 16 k][column of points][c][POINTS points][16 k], zero beyond K.
 * w's element (k, c, tap) is at k * k_step + c * c_step + tap, or with the taps backwards (flip), as
 * a data gradient has them. A work-item per (c, block of k): global (C, blocks), any local size.
 *
 * winograd: a work-item (local size 1) takes `spans` rows of tiles, over the ends of images, of
 * tiles_w tiles: global (ceil(images * tile rows / spans), ceil(tile columns / tiles_w)). It
 * transforms them in local memory, multiplies, in register tiles of POINTS points x TT tiles x
 * 16 channels k, and transforms back.
 * With tiles = spans * tiles_w, rounded up to TT, and pitch = TILE * tiles_w + 2:
 * v: POINTS * COLUMN_STEP(blocks of C, tiles) floats; m: TILE * POINTS * 16 * tiles; mid: POINTS *
 * 16 * pitch; buffer: (TILE * min(spans, tile rows of an image) + 2) * 16 * pitch. Takes an
 * epilogue. */
#include "epilogue.clh"
#include "winograd.clh"

#ifndef TT
#define TT 4
#endif

/* One axis of the transform of 3 taps to points. */
static inline void weight_points(const float16 *g, float16 *t) {
#if TILE == 2
    const float16 e = g[0] + g[2];
    t[0] = g[0];
    t[1] = V(0.5f) * (e + g[1]);
    t[2] = V(0.5f) * (e - g[1]);
    t[3] = g[2];
#else
    const float16 e1 = fma(V(P11), g[2], g[0]), e2 = fma(V(P22), g[2], g[0]);
    const float n1 = 1.0f / (2.0f * P11 * (P11 - P22)), n2 = 1.0f / (2.0f * P22 * (P22 - P11));
    t[0] = g[0] * V(1.0f / (P11 * P22));
    t[1] = fma(V(P1), g[1], e1) * V(n1);
    t[2] = fma(V(-P1), g[1], e1) * V(n1);
    t[3] = fma(V(P2), g[1], e2) * V(n2);
    t[4] = fma(V(-P2), g[1], e2) * V(n2);
    t[5] = g[2];
#endif
}

__kernel void winograd_weights(__global const float *restrict w, __global float *restrict points,
                               int C, int K, int k_step, int c_step, int flip) {
    const int c = (int)get_global_id(0), block = (int)get_global_id(1);
    const int blocks = ceil_div(K, 16);
    if (c >= C || block >= blocks)
        return;
    float16 g[3][3], mid[POINTS][3];
    for (int tap = 0; tap < 9; tap++) {
        float lane[16];
        for (int i = 0; i < 16; i++) {
            const int k = 16 * block + i;
            lane[i] = k < K ? w[k * k_step + c * c_step + (flip ? 8 - tap : tap)] : 0.0f;
        }
        g[tap / 3][tap % 3] = AT(lane);
    }
    for (int s = 0; s < 3; s++) {
        const float16 column[3] = {g[0][s], g[1][s], g[2][s]};
        float16 t[POINTS];
        weight_points(column, t);
        for (int r = 0; r < POINTS; r++)
            mid[r][s] = t[r];
    }
    for (int r = 0; r < POINTS; r++) {
        float16 t[POINTS];
        weight_points(mid[r], t);
        for (int s = 0; s < POINTS; s++)
            GLOBAL_AT(points + 16 * ((((size_t)block * POINTS + s) * C + c) * POINTS + r)) = t[s];
    }
}

/* One axis of the transform of points to outputs. */
static inline void output_values(const float16 *m, float16 *y) {
#if TILE == 2
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
#else
    const float16 u = m[1] + m[2], v = m[1] - m[2], s = m[3] + m[4], t = m[3] - m[4];
    y[0] = m[0] + u + s;
    y[1] = fma(V(P1), v, V(P2) * t);
    y[2] = fma(V(P11), u, V(P22) * s);
    y[3] = fma(V(P1 * P11), v, fma(V(P2 * P22), t, m[5]));
#endif
}

/* The products of all tiles for a block of k, with the first axis of the transform to outputs:
 * mid[tile][row of TILE][column of POINTS][16]. */
static inline void multiply(__local const float *v, __global const float *u, __local float *mid,
                            int C, int tiles_here, int tiles, int v_step) {
    for (int s = 0; s < POINTS; s++)
        for (int t0 = 0; t0 < tiles_here; t0 += TT) {
            float16 sum[TT][POINTS];
#pragma unroll
            for (int t = 0; t < TT; t++)
#pragma unroll
                for (int r = 0; r < POINTS; r++)
                    sum[t][r] = V(0.0f);
            __global const float *w = u + (size_t)COLUMN * s * C;
            __local const float *in = v + s * v_step + COLUMN * t0;
            for (int c0 = 0; c0 < C; c0 += 16, in += COLUMN * tiles) {
                const int count = min(16, C - c0);
                for (int c = 0; c < count; c++, w += COLUMN)
#pragma unroll
                    for (int r = 0; r < POINTS; r++) {
                        const float16 wk = *(__global const f16u *)(w + 16 * r);
#pragma unroll
                        for (int t = 0; t < TT; t++)
                            sum[t][r] = fma(V(in[COLUMN * t + 16 * r + c]), wk, sum[t][r]);
                    }
            }
#pragma unroll
            for (int t = 0; t < TT; t++) {
                float16 out[TILE];
                output_values(sum[t], out);
#pragma unroll
                for (int r = 0; r < TILE; r++)
                    LOCAL_AT(mid + 16 * (TILE * POINTS * (t0 + t) + POINTS * r + s)) = out[r];
            }
        }
}

/* The other axis: tiles of a span to buffer [row][column of `pitch`][16]. */
static inline void output_tiles(__local const float *mid, __local float *buffer, float16 bias,
                                int tiles_h, int tiles_w, int pitch) {
    for (int row = 0; row < TILE * tiles_h; row++)
        for (int tile = 0; tile < tiles_w; tile++) {
            float16 in[POINTS], out[TILE];
#pragma unroll
            for (int s = 0; s < POINTS; s++)
                in[s] = *(__local const f16u *)(mid + 16 * (TILE * POINTS *
                                                                (row / TILE * tiles_w + tile) +
                                                            POINTS * (row % TILE) + s));
            output_values(in, out);
#pragma unroll
            for (int s = 0; s < TILE; s++)
                LOCAL_AT(buffer + 16 * (row * pitch + TILE * tile + s)) = out[s] + bias;
        }
}

/* Rows row0 .. row_end - 1, columns column0 .. column_end - 1 of `channels` planes of y from the
 * buffer, whose first place is (row0, column0). */
static inline void store_span(__local const float *buffer, __global float *y, int channels, int OH,
                              int OW, int row0, int row_end, int column0, int column_end,
                              int pitch) {
    const int runs = column_end - column0 == OW ? 1 : row_end - row0;
    for (int r = 0; r < runs; r++) {
        const run at = run_of(r, row0, row_end, column0, column_end, row0, column0, OW, pitch);
        if (at.count < 16) {
            for (int i = 0; i < at.count; i++)
                for (int k = 0; k < channels; k++)
                    y[k * OH * OW + at.from + i] =
                        buffer[16 * (at.to + i / at.width * pitch + i % at.width) + k];
            continue;
        }
        for (int i0 = 0; i0 < at.count; i0 += 16) {
            const int i = min(i0, at.count - 16);
            float16 v[16];
            int column = i % at.width, place = at.to + i / at.width * pitch + column;
            if (column + 16 <= at.width) {
#pragma unroll
                for (int j = 0; j < 16; j++)
                    v[j] = *(__local const f16u *)(buffer + 16 * (place + j));
            } else {
#pragma unroll
                for (int j = 0; j < 16; j++) {
                    v[j] = *(__local const f16u *)(buffer + 16 * place);
                    place++;
                    if (++column == at.width) {
                        column = 0;
                        place += pitch - at.width;
                    }
                }
            }
            TRANSPOSE16(v);
            __global float *to = y + at.from + i;
            if (channels == 16) {
#pragma unroll
                for (int k = 0; k < 16; k++)
                    GLOBAL_AT(to + k * OH * OW) = v[k];
            } else {
#pragma unroll
                for (int k = 0; k < 16; k++)
                    if (k < channels)
                        GLOBAL_AT(to + k * OH * OW) = v[k];
            }
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
winograd(__global const A_WORD *restrict x, __global const float *restrict points,
         __global const float *restrict bias, __global float *restrict y, __local float *restrict v,
         __local float *restrict m, __local float *restrict buffer, __local float *restrict mid,
         int images, int C, int K, int H, int W, int OH, int OW, int ph, int pw, int has_bias,
         int spans, int tiles_w EPILOGUE_PARAMETERS) {
    const int c_blocks = ceil_div(C, 16), k_blocks = ceil_div(K, 16);
    const int image_rows = ceil_div(OH, TILE);
    const int begin = (int)get_global_id(0) * spans, end = min(begin + spans, images * image_rows);
    const int column0 = (int)get_global_id(1) * TILE * tiles_w;
    const int pitch = TILE * tiles_w + 2;
    const int tiles = ceil_div(spans * tiles_w, TT) * TT;
    const int tiles_here = (end - begin) * tiles_w;
    const int v_step = COLUMN_STEP(c_blocks, tiles);

    for (int column = 0; column < POINTS; column++)
        for (int c = 0; c < c_blocks; c++)
            for (int t = POINTS * tiles_here; t < POINTS * ceil_div(tiles_here, TT) * TT; t++)
                LOCAL_AT(v + column * v_step + 16 * (POINTS * c * tiles + t)) = V(0.0f);
    for (int i = 0; i < (TILE * min(spans, image_rows) + 2) * pitch; i++)
        LOCAL_AT(buffer + 16 * i) = V(0.0f);

    for (int c = 0; c < c_blocks; c++)
        for (int at = begin; at < end;) {
            const int image = at / image_rows, row = at % image_rows;
            const int rows = min(end - at, image_rows - row);
            load_span(x + ((size_t)image * C + 16 * c) * H * W, 0, buffer, min(16, C - 16 * c), H,
                      W, TILE * row - ph, column0 - pw, TILE * rows + 2, pitch);
            input_tiles(buffer, mid, v + COLUMN * (c * tiles + (at - begin) * tiles_w), rows,
                        tiles_w, pitch, v_step);
            at += rows;
        }
    for (int k = 0; k < k_blocks; k++) {
        multiply(v, points + (size_t)ALL_POINTS * 16 * k * C, m, C, tiles_here, tiles, v_step);
        float lane[16];
        for (int i = 0; i < 16; i++)
            lane[i] = has_bias && 16 * k + i < K ? bias[16 * k + i] : 0.0f;
        for (int at = begin; at < end;) {
            const int image = at / image_rows, row = at % image_rows;
            const int rows = min(end - at, image_rows - row);
            output_tiles(m + 16 * TILE * POINTS * (at - begin) * tiles_w, buffer, AT(lane), rows,
                         tiles_w, pitch);
            const size_t plane0 = ((size_t)image * K + 16 * k) * OH * OW;
            const int channels = min(16, K - 16 * k), columns = min(TILE * tiles_w, OW - column0);
            const int row_end = min(TILE * (row + rows), OH);
            store_span(buffer, y + plane0, channels, OH, OW, TILE * row, row_end, column0,
                       column0 + columns, pitch);
            const int runs = columns == OW ? 1 : row_end - TILE * row;
            for (int i = 0; i < channels * runs; i++)
                EPILOGUE(y,
                         plane0 + (size_t)(i / runs) * OH * OW + (TILE * row + i % runs) * OW +
                             column0,
                         columns * (row_end - TILE * row) / runs);
            at += rows;
        }
    }
}
