/* y[oh][ow] = the largest x[oh * sh - ph + r * dh][ow * sw - pw + s * dw] inside, -infinity when
 * none is. A NaN is larger than all. Range and sizes: image.clh. */
#include "image.clh"

__kernel void max_pool2d(__global const float *restrict x, __global float *restrict y, IMAGE_SIZES,
                         int R, int S, int sh, int sw, int ph, int pw, int dh, int dw) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    for (int oh = b.h_begin; oh < b.h_end; oh++)
        for (int ow = b.w_begin; ow < b.w_end; ow++) {
            const int h0 = oh * sh - ph, w0 = ow * sw - pw;
            float largest = -INFINITY;
            for (int r = ceil_to_0(-h0, dh); r < R && h0 + r * dh < H; r++)
                for (int s = ceil_to_0(-w0, dw); s < S && w0 + s * dw < W; s++) {
                    const float value = x[(h0 + r * dh) * W + w0 + s * dw];
                    largest = value > largest || isnan(value) ? value : largest;
                }
            y[oh * OW + ow] = largest;
        }
}
