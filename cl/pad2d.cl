/* y[oh][ow] = x[oh - top][ow - left]; outside of x it is 0, or, with `reflect`, what lies as far
 * inside of the border. top and left may be negative, which cuts (not with `reflect`). Range and
 * sizes: image.clh. */
#include "image.clh"

__kernel void pad2d(__global const float *restrict x, __global float *restrict y, IMAGE_SIZES,
                    int top, int left, int reflect) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    for (int oh = b.h_begin; oh < b.h_end; oh++)
        for (int ow = b.w_begin; ow < b.w_end; ow++) {
            int h = oh - top, w = ow - left;
            if (reflect) {
                h = h < 0 ? -h : h >= H ? 2 * (H - 1) - h : h;
                w = w < 0 ? -w : w >= W ? 2 * (W - 1) - w : w;
            }
            y[oh * OW + ow] = h >= 0 && h < H && w >= 0 && w < W ? x[h * W + w] : 0.0f;
        }
}
