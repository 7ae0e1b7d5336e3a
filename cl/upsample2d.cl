/* Enlarges (or shrinks) planes of H x W to OH x OW. Nearest: y[i] = x[floor(i * L / O)] along each
 * axis of L to O positions. Bilinear: positions are centres, (i + 0.5) * L / O - 0.5, cut at the
 * borders; all of it in whole numbers until the last division. Range and sizes: image.clh.
 *
 * upsample2d: any local size. upsample2d_lines: the same for CPUs, blocks of whole rows, in vectors; places
 * are looked up once for LINE positions of all rows. */
#include "loop.clh"
#include "upsample.clh"

__kernel void upsample2d(__global const float *restrict x, __global float *restrict y, IMAGE_SIZES,
                         int bilinear) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    for (int oh = b.h_begin; oh < b.h_end; oh++) {
        const between v = between_of(oh, H, OH, bilinear);
        for (int ow = b.w_begin; ow < b.w_end; ow++) {
            const between u = between_of(ow, W, OW, bilinear);
            float value = x[v.first * W + u.first];
            if (bilinear)
                value = (1.0f - v.share) *
                            ((1.0f - u.share) * value + u.share * x[v.first * W + u.second]) +
                        v.share * ((1.0f - u.share) * x[v.second * W + u.first] +
                                   u.share * x[v.second * W + u.second]);
            y[oh * OW + ow] = value;
        }
    }
}

#define LINE 1024

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
upsample2d_lines(__global const float *restrict x, __global float *restrict y, IMAGE_SIZES,
                 int bilinear) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    int first[LINE], second[LINE];
    float share[LINE];
    for (int w0 = 0; w0 < OW; w0 += LINE) {
        const int count = min(LINE, OW - w0);
        for (int i = 0; i < count; i++) {
            const between u = between_of(w0 + i, W, OW, bilinear);
            first[i] = u.first;
            second[i] = u.second;
            share[i] = u.share;
        }
        for (int oh = b.h_begin; oh < b.h_end; oh++) {
            const between v = between_of(oh, H, OH, bilinear);
            __global const float *above = x + v.first * W, *below = x + v.second * W;
            __global float *to = y + oh * OW + w0;
            if (bilinear)
                VECTOR_LOOP for (int i = 0; i < count; i++) {
                    const float u = share[i];
                    const float high = (1.0f - u) * above[first[i]] + u * above[second[i]];
                    const float low = (1.0f - u) * below[first[i]] + u * below[second[i]];
                    to[i] = (1.0f - v.share) * high + v.share * low;
                }
            else
                VECTOR_LOOP for (int i = 0; i < count; i++) to[i] = above[first[i]];
        }
    }
}
