/* y[oh][ow] = mean of a window of x. Windows begin at oh * sh - ph and have R x S positions; those
 * outside count as zeros, or, with `exclude`, not at all. With `adaptive`, window i of O over a
 * size of L is floor(i * L / O) to ceil((i + 1) * L / O). Range and sizes: image.clh. */
#include "image.clh"

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
