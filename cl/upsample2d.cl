/* Enlarges (or shrinks) planes of H x W to OH x OW. Nearest: y[i] = x[floor(i * L / O)] along each
 * axis of L to O positions. Bilinear: positions are centres, (i + 0.5) * L / O - 0.5, cut at the
 * borders; all of it in whole numbers until the last division. Range and sizes: image.clh. */
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
