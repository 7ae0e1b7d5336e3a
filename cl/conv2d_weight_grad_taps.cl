/* Gradient of a convolution by its weights, for CPU devices and 8 or more channels: dw[k][c][r][s]
 * sums dy[n][k][oh][ow] * x[n][c][oh * sh - ph + r * dh][ow * sw - pw + s * dw] over n, oh, ow, in
 * an order that does not depend on timing.
 *
 * weight_taps: a work-item (local size 1) takes the images of one slice and, of the channels of dy,
 * one of `parts` runs of blocks of 16 * KV; global (slices, groups * parts). Up to `batch` images by
 * `rows` output rows at a time are copied to local memory: x zero padded, dy with 16 channels to a
 * vector. A register tile is CT columns (c, r, s) by 16 * KV channels of dy.
 * partial: per slice [group][block of 16 channels][column, rounded up to CT][16 channels].
 * strip: batch * (C * rows_x * pitch + channels of a part, rounded up, * rows * OW) floats,
 * rows_x = (rows - 1) * sh + (R - 1) * dh + 1, pitch = (OW - 1) * sw + (S - 1) * dw + 1.
 *
 * taps_join: dw = sum over the slices, first to last; a work-item per (column, block of 16
 * channels): global (columns, groups * blocks), any local size. */
#include "conv_rows.clh"
#include "transpose16.clh"

#ifndef CT
#define CT 9
#endif
#ifndef KV
#define KV 2
#endif

/* `count` floats of each of `channels` (at most 16) planes to vectors of 16 channels. */
static inline void pack_channels(__global const float *from, __local float *to, int channels,
                                 int plane, int count) {
    if (count < 16) {
        for (int i = 0; i < count; i++)
            for (int k = 0; k < 16; k++)
                to[16 * i + k] = k < channels ? from[k * plane + i] : 0.0f;
        return;
    }
    for (int next = 0; next < count; next += 16) {
        const int i = min(next, count - 16);
        __local float *place = to + 16 * i;
        float16 v[16];
        if (channels == 16) {
#pragma unroll
            for (int k = 0; k < 16; k++)
                v[k] = *(__global const f16u *)(from + k * plane + i);
        } else {
#pragma unroll
            for (int k = 0; k < 16; k++)
                v[k] =
                    k < channels ? *(__global const f16u *)(from + k * plane + i) : (float16)(0.0f);
        }
        TRANSPOSE16(v);
#pragma unroll
        for (int j = 0; j < 16; j++)
            *(__local f16u *)(place + 16 * j) = v[j];
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
weight_taps(__global const A_WORD *restrict x, __global const float *restrict dy,
            __global float *restrict partial, __local float *restrict strip, CONV_SIZES, int slices,
            int parts, int batch, int rows) {
    const int slice = (int)get_global_id(0);
    const int g = (int)get_global_id(1) / parts, part = (int)get_global_id(1) % parts;
    const int blocks = ceil_div(K, 16), per_part = ceil_div(ceil_div(blocks, KV), parts) * KV;
    const int block_begin = min(blocks, part * per_part);
    const int block_end = min(blocks, block_begin + per_part);
    const int columns = C * R * S, places = ceil_div(columns, CT) * CT;
    const int per_slice = ceil_div(images, slices);
    const int image_begin = min(images, slice * per_slice);
    const int image_end = min(images, image_begin + per_slice);

    const int rows_x = (rows - 1) * sh + (R - 1) * dh + 1;
    const int pitch = (OW - 1) * sw + (S - 1) * dw + 1, plane = rows_x * pitch;
    const int x_floats = C * plane, block_floats = 16 * rows * OW;
    const int dy_floats = per_part * block_floats;
    __local float *dy_strip = strip + batch * x_floats;

    partial += ((size_t)slice * groups + g) * blocks * places * 16;
    for (int t = block_begin * places; t < block_end * places; t++)
        *(__global f16u *)(partial + 16 * (size_t)t) = (float16)(0.0f);
    zero_edges(strip, batch * C, plane, plane, W, -pw, 1, pitch);

    for (int image0 = image_begin; image0 < image_end; image0 += batch)
        for (int row0 = 0; row0 < OH; row0 += rows) {
            const int n_images = min(batch, image_end - image0), n_rows = min(rows, OH - row0);
            for (int i = 0; i < n_images; i++) {
                const size_t at = (size_t)(image0 + i) * groups + g;
                pack_planes(x + at * C * H * W, strip + i * x_floats, C, H, W, row0 * sh - ph, -pw,
                            1, 1, 1, 1, (n_rows - 1) * sh + (R - 1) * dh + 1, pitch, plane);
                for (int b = block_begin; b < block_end; b++)
                    pack_channels(dy + ((at * K + 16 * b) * OH + row0) * OW,
                                  dy_strip + i * dy_floats + (b - block_begin) * block_floats,
                                  min(16, K - 16 * b), OH * OW, n_rows * OW);
            }
            for (int b = block_begin; b < block_end; b += KV)
                for (int column0 = 0; column0 < columns; column0 += CT) {
                    int at[CT];
#pragma unroll
                    for (int t = 0; t < CT; t++) {
                        const int column = min(column0 + t, columns - 1);
                        at[t] = column / (R * S) * plane + column / S % R * dh * pitch +
                                column % S * dw;
                    }
                    float16 sum[CT][KV];
#pragma unroll
                    for (int t = 0; t < CT; t++)
#pragma unroll
                        for (int v = 0; v < KV; v++)
                            sum[t][v] = (float16)(0.0f);
                    for (int i = 0; i < n_images; i++) {
                        __local const float *d =
                            dy_strip + i * dy_floats + (b - block_begin) * block_floats;
                        for (int row = 0; row < n_rows; row++) {
                            __local const float *in = strip + i * x_floats + row * sh * pitch;
                            for (int ow = 0; ow < OW; ow++, in += sw, d += 16) {
                                float16 dk[KV];
#pragma unroll
                                for (int v = 0; v < KV; v++)
                                    dk[v] = *(__local const f16u *)(d + v * block_floats);
#pragma unroll
                                for (int t = 0; t < CT; t++) {
                                    const float16 value = (float16)(in[at[t]]);
#pragma unroll
                                    for (int v = 0; v < KV; v++)
                                        sum[t][v] = fma(value, dk[v], sum[t][v]);
                                }
                            }
                        }
                    }
#pragma unroll
                    for (int v = 0; v < KV; v++)
                        if (b + v < block_end)
#pragma unroll
                            for (int t = 0; t < CT; t++)
                                *(__global f16u *)(partial + 16 * ((size_t)(b + v) * places +
                                                                   column0 + t)) += sum[t][v];
                }
        }
}

__kernel void taps_join(__global const float *restrict partial, __global float *restrict dw,
                        int columns, int groups, int K, int slices) {
    const int column = (int)get_global_id(0), blocks = ceil_div(K, 16);
    const int g = (int)get_global_id(1) / blocks, block = (int)get_global_id(1) % blocks;
    if (column >= columns || g >= groups)
        return;
    const int places = ceil_div(columns, CT) * CT;
    partial += 16 * ((size_t)(g * blocks + block) * places + column);
    float16 sum = *(__global const f16u *)partial;
    for (int s = 1; s < slices; s++)
        sum += *(__global const f16u *)(partial + 16 * (size_t)s * groups * blocks * places);
    float lane[16];
    *(f16u *)lane = sum;
    dw += (size_t)(g * K + 16 * block) * columns + column;
    for (int k = 0; k < 16 && 16 * block + k < K; k++)
        dw[k * columns] = lane[k];
}
