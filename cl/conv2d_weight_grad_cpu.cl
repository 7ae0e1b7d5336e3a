/* Gradient of a convolution by its weights, for CPU devices and few channels: dw[k][c][r][s] sums
 * dy[n][k][oh][ow] * x[n][c][oh * sh - ph + r * dh][ow * sw - pw + s * dw] over n, oh, ow, in an
 * order that does not depend on timing.
 *
 * weight_cpu: a work-item (local size 1) takes the images of one slice and, of the channels of dy,
 * one of `parts` runs of blocks of KT; global (slices, groups * parts). Up to `batch` images by
 * `rows` output rows at a time are copied to local memory as in conv_cpu.clh, dy in the same
 * positions with zeros between rows, so that the sum over positions needs no edges. A register tile
 * is KT channels of dy by CT columns (c, r, s), 16 at most, of 16 partial sums each.
 * partial: per slice [group][block of KT channels][block of CT columns][channel][column], each block
 * of both filled up to 16.
 * strip: batch * (C * qh * qw * plane + 32 + reach_w + channels * dy_plane) floats, channels being
 * those of a part (runtime/op/conv2d_weight_grad.c).
 *
 * weight_join: dw[i] = sum over the slices, first to last; a work-item per element, any local size.
 */
#include "conv_rows.clh"

#ifndef KT
#define KT 4
#endif
#ifndef CT
#define CT 4
#endif

/* Lane i of the result of sixteen of these is the sum of the lanes of vector i. */
#define FOLD8(a, b)                                                                                \
    ((float16)(a.s0, a.s1, a.s2, a.s3, a.s4, a.s5, a.s6, a.s7, b.s0, b.s1, b.s2, b.s3, b.s4, b.s5, \
               b.s6, b.s7) +                                                                       \
     (float16)(a.s8, a.s9, a.sa, a.sb, a.sc, a.sd, a.se, a.sf, b.s8, b.s9, b.sa, b.sb, b.sc, b.sd, \
               b.se, b.sf))
#define FOLD4(a, b)                                                                                \
    ((float16)(a.s0, a.s1, a.s2, a.s3, a.s8, a.s9, a.sa, a.sb, b.s0, b.s1, b.s2, b.s3, b.s8, b.s9, \
               b.sa, b.sb) +                                                                       \
     (float16)(a.s4, a.s5, a.s6, a.s7, a.sc, a.sd, a.se, a.sf, b.s4, b.s5, b.s6, b.s7, b.sc, b.sd, \
               b.se, b.sf))
#define FOLD2(a, b)                                                                                \
    ((float16)(a.s0, a.s1, a.s4, a.s5, a.s8, a.s9, a.sc, a.sd, b.s0, b.s1, b.s4, b.s5, b.s8, b.s9, \
               b.sc, b.sd) +                                                                       \
     (float16)(a.s2, a.s3, a.s6, a.s7, a.sa, a.sb, a.se, a.sf, b.s2, b.s3, b.s6, b.s7, b.sa, b.sb, \
               b.se, b.sf))
#define FOLD1(a, b)                                                                                \
    ((float16)(a.s0, a.s2, a.s4, a.s6, a.s8, a.sa, a.sc, a.se, b.s0, b.s2, b.s4, b.s6, b.s8, b.sa, \
               b.sc, b.se) +                                                                       \
     (float16)(a.s1, a.s3, a.s5, a.s7, a.s9, a.sb, a.sd, a.sf, b.s1, b.s3, b.s5, b.s7, b.s9, b.sb, \
               b.sd, b.sf))

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
weight_cpu(__global const A_WORD *restrict x, __global const float *restrict dy,
           __global float *restrict partial, __local float *restrict strip, CONV_SIZES, int slices,
           int parts, int batch, int rows, int rowwise) {
    const int slice = (int)get_global_id(0);
    const int g = (int)get_global_id(1) / parts, part_index = (int)get_global_id(1) % parts;
    const int blocks = ceil_div(K, KT), column_blocks = ceil_div(C * R * S, CT);
    const int per_part = ceil_div(blocks, parts);
    const int block_begin = min(blocks, part_index * per_part);
    const int block_end = min(blocks, block_begin + per_part);
    const int k_begin = KT * block_begin, k_count = max(0, min(K, KT * block_end) - k_begin);

    const int per_slice = ceil_div(images, slices);
    const int image_begin = min(images, slice * per_slice);
    const int image_end = min(images, image_begin + per_slice);

    const int qh = R == 1 ? 1 : sh, qw = S == 1 ? 1 : sw;
    const int reach_h = (R - 1) * dh / sh, reach_w = (S - 1) * dw / sw;
    const int pitch = OW + reach_w, plane = plane_floats((rows + reach_h) * pitch);
    const int row_vectors = ceil_div(OW, 16), dy_pitch = rowwise ? 16 * row_vectors : pitch;
    const int dy_plane = 16 * ceil_div(rows * dy_pitch, 16);
    const int x_floats = C * qh * qw * plane + 32 + reach_w;
    __local float *dy_strip = strip + batch * x_floats;

    partial += ((size_t)slice * groups + g) * blocks * column_blocks * 16;
    for (int t = block_begin * column_blocks; t < block_end * column_blocks; t++)
        *(__global f16u *)(partial + 16 * (size_t)t) = (float16)(0.0f);

    /* One loop over the planes of all images: PoCL 7.1 (LLVM 21.1) runs beyond the end of an outer one. */
    const int planes = C * qh * qw, kept = kept_from((rows + reach_h) * pitch, W, -pw, sw, pitch);
    for (int p = 0; p < batch * planes; p++)
        zero(strip + p / planes * x_floats + p % planes * plane + kept, plane - kept);

    for (int image0 = image_begin; image0 < image_end; image0 += batch)
        for (int row0 = 0; row0 < OH; row0 += rows) {
            const int n_images = min(batch, image_end - image0), n_rows = min(rows, OH - row0);
            for (int i = 0; i < n_images; i++) {
                const size_t at = (size_t)(image0 + i) * groups + g;
                __local float *to = strip + i * x_floats;
                pack_planes(x + at * C * H * W, to, C, H, W, row0 * sh - ph, -pw, sh, sw, qh, qw,
                            n_rows + reach_h, pitch, plane);
                zero(to + C * qh * qw * plane, 32 + reach_w);
                to = dy_strip + i * k_count * dy_plane;
                for (int k = 0; k < k_count; k++, to += dy_plane) {
                    __global const float *from = dy + ((at * K + k_begin + k) * OH + row0) * OW;
                    zero(to, dy_plane);
                    for (int j = 0; j < n_rows; j++)
                        copy_floats(from + j * OW, 1, to + j * dy_pitch, OW);
                }
            }
            /* Runs of vectors that lie behind one another in both: a row, or the plane. */
            const int runs = rowwise ? n_rows : 1;
            const int length = rowwise ? row_vectors : ceil_div(n_rows * pitch, 16);
            for (int block = block_begin; block < block_end; block++)
                for (int column_block = 0; column_block < column_blocks; column_block++) {
                    int dy_at[KT], x_at[CT];
#pragma unroll
                    for (int i = 0; i < KT; i++)
                        dy_at[i] = (min(KT * block + i, K - 1) - k_begin) * dy_plane;
#pragma unroll
                    for (int j = 0; j < CT; j++) {
                        const int column = min(CT * column_block + j, C * R * S - 1);
                        const int s = column % S * dw, r = column / S % R * dh;
                        x_at[j] = column / (R * S) * qh * qw * plane +
                                  (r % sh * qw + s % sw) * plane + r / sh * pitch + s / sw;
                    }
                    float16 sum[16];
#pragma unroll
                    for (int t = 0; t < 16; t++)
                        sum[t] = (float16)(0.0f);
                    for (int i = 0; i < n_images; i++)
                        for (int run = 0; run < runs; run++) {
                            __local const float *xs = strip + i * x_floats + run * pitch;
                            __local const float *ds =
                                dy_strip + i * k_count * dy_plane + run * dy_pitch;
                            for (int u = 0; u < 16 * length; u += 16) {
                                float16 d[KT];
#pragma unroll
                                for (int k = 0; k < KT; k++)
                                    d[k] = *(__local const f16u *)(ds + dy_at[k] + u);
#pragma unroll
                                for (int j = 0; j < CT; j++) {
                                    const float16 in = *(__local const f16u *)(xs + x_at[j] + u);
#pragma unroll
                                    for (int k = 0; k < KT; k++)
                                        sum[CT * k + j] = fma(d[k], in, sum[CT * k + j]);
                                }
                            }
                        }
#pragma unroll
                    for (int t = 0; t < 8; t++)
                        sum[t] = FOLD8(sum[2 * t], sum[2 * t + 1]);
#pragma unroll
                    for (int t = 0; t < 4; t++)
                        sum[t] = FOLD4(sum[2 * t], sum[2 * t + 1]);
                    sum[0] = FOLD2(sum[0], sum[1]);
                    sum[1] = FOLD2(sum[2], sum[3]);
                    *(__global f16u *)(partial +
                                       16 * (size_t)(block * column_blocks + column_block)) +=
                        FOLD1(sum[0], sum[1]);
                }
        }
}

__kernel void weight_join(__global const float *restrict partial, __global float *restrict dw,
                          int count, int columns, int K, int slices) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const int column = i % columns, k = i / columns % K, g = i / columns / K;
    const int blocks = ceil_div(K, KT), column_blocks = ceil_div(columns, CT);
    const int groups = count / columns / K;
    const size_t step = (size_t)groups * blocks * column_blocks * 16;
    partial += (((size_t)g * blocks + k / KT) * column_blocks + column / CT) * 16 + k % KT * CT +
               column % CT;
    float sum = partial[0];
    for (int s = 1; s < slices; s++)
        sum += partial[s * step];
    dw[i] = sum;
}
