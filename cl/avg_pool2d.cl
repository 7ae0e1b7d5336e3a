/* y[oh][ow] = mean of a window of x. Windows begin at oh * sh - ph and have R x S positions; those
 * outside count as zeros, or, with `exclude`, not at all. With `adaptive`, window i of O over a
 * size of L is floor(i * L / O) to ceil((i + 1) * L / O). Range and sizes: image.clh.
 *
 * avg_pool2d: any windows. avg_pool2d_pairs, for CPUs: pool_pairs.clh, blocks of whole rows. */
#include "pool_pairs.clh"

__kernel void avg_pool2d(__global const float *restrict x, __global float *restrict y, IMAGE_SIZES,
                         int R, int S, int sh, int sw, int ph, int pw, int exclude, int adaptive) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    for (int oh = b.h_begin; oh < b.h_end; oh++)
        for (int ow = b.w_begin; ow < b.w_end; ow++) {
            const int h0 = adaptive ? oh * H / OH : oh * sh - ph;
            const int w0 = adaptive ? ow * W / OW : ow * sw - pw;
            const int h1 = adaptive ? ((oh + 1) * H + OH - 1) / OH : h0 + R;
            const int w1 = adaptive ? ((ow + 1) * W + OW - 1) / OW : w0 + S;
            const int h_begin = max(h0, 0), h_end = min(h1, H);
            const int w_begin = max(w0, 0), w_end = min(w1, W);
            float sum = 0.0f;
            for (int h = h_begin; h < h_end; h++)
                for (int w = w_begin; w < w_end; w++)
                    sum += x[h * W + w];
            const int count =
                exclude ? (h_end - h_begin) * (w_end - w_begin) : (h1 - h0) * (w1 - w0);
            y[oh * OW + ow] = sum / (float)count;
        }
}

#define WINDOWS(N, M)                                                                              \
    const float##M upper = *(__global const f##M##u *)(row + 2 * ow);                              \
    const float##M lower = *(__global const f##M##u *)(row + W + 2 * ow);                          \
    *(__global f##N##u *)(y + oh * OW + ow) =                                                      \
        (EVEN##M(upper) + ODD##M(upper) + EVEN##M(lower) + ODD##M(lower)) * (float##N)(0.25f)

__kernel void avg_pool2d_pairs(__global const float *restrict x, __global float *restrict y,
                               IMAGE_SIZES) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    for (int oh = b.h_begin; oh < b.h_end; oh++) {
        __global const float *row = x + 2 * oh * W;
        PAIRS(OW, { WINDOWS(8, 16); }, { WINDOWS(4, 8); }, {
            y[oh * OW + ow] =
                (row[2 * ow] + row[2 * ow + 1] + row[W + 2 * ow] + row[W + 2 * ow + 1]) * 0.25f;
        })
    }
}
