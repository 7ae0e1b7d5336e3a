/* y[oh][ow] = the largest x[oh * sh - ph + r * dh][ow * sw - pw + s * dw] inside, -infinity when
 * none is. A NaN is larger than all. Range and sizes: image.clh.
 *
 * max_pool2d: any windows. max_pool2d_pairs, for CPUs: pool_pairs.clh, blocks of whole rows. */
#include "pool_pairs.clh"

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

/* The larger of the largest before and v. */
#define LARGER(before, v) select(before, v, ((v) > (before)) | isnan(v))

#define WINDOWS(N, M)                                                                              \
    const float##M upper = *(__global const f##M##u *)(row + 2 * ow);                              \
    const float##M lower = *(__global const f##M##u *)(row + W + 2 * ow);                          \
    const float##N a = EVEN##M(upper), b = ODD##M(upper), c = EVEN##M(lower), d = ODD##M(lower);   \
    const float##N ab = LARGER(a, b), abc = LARGER(ab, c);                                         \
    *(__global f##N##u *)(y + oh * OW + ow) = LARGER(abc, d)

__kernel void max_pool2d_pairs(__global const float *restrict x, __global float *restrict y,
                               IMAGE_SIZES) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    for (int oh = b.h_begin; oh < b.h_end; oh++) {
        __global const float *row = x + 2 * oh * W;
        PAIRS(OW, { WINDOWS(8, 16); }, { WINDOWS(4, 8); }, {
            const float ab = LARGER(row[2 * ow], row[2 * ow + 1]);
            const float abc = LARGER(ab, row[W + 2 * ow]);
            y[oh * OW + ow] = LARGER(abc, row[W + 2 * ow + 1]);
        })
    }
}
