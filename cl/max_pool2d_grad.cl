/* dx[h][w] = sum of dy over the windows whose largest element is x[h][w], the first of equals, and
 * the last of NaNs, as PyTorch has it. x and dx are H x W planes, dy has DH x DW windows as in
 * max_pool2d.cl. Sums are in order of the windows.
 *
 * max_pool2d_grad: any part of a plane per work-item; range and sizes: image.clh (OH = H, OW = W).
 * max_pool2d_grad_planes, for CPUs: a work-item per plane visits each window once; any local size.
 */
#include "image.clh"

/* Position of the largest element of the window at h0, w0, or -1. */
static inline int position(__global const float *x, int H, int W, int h0, int w0, int R, int S,
                           int dh, int dw) {
    int at = -1;
    float largest = -INFINITY;
    for (int r = ceil_to_0(-h0, dh); r < R && h0 + r * dh < H; r++)
        for (int s = ceil_to_0(-w0, dw); s < S && w0 + s * dw < W; s++) {
            const int i = (h0 + r * dh) * W + w0 + s * dw;
            if (at < 0 || x[i] > largest || isnan(x[i])) {
                at = i;
                largest = x[i];
            }
        }
    return at;
}

__kernel void max_pool2d_grad(__global const float *restrict x, __global const float *restrict dy,
                              __global float *restrict dx, IMAGE_SIZES, int R, int S, int sh,
                              int sw, int ph, int pw, int dh, int dw, int DH, int DW) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    dx += (size_t)b.plane * H * W;
    dy += (size_t)b.plane * DH * DW;
    for (int h = b.h_begin; h < b.h_end; h++)
        for (int w = b.w_begin; w < b.w_end; w++) {
            float sum = 0.0f;
            for (int oh = ceil_to_0(h + ph - (R - 1) * dh, sh); oh < DH && oh * sh - ph <= h; oh++)
                for (int ow = ceil_to_0(w + pw - (S - 1) * dw, sw); ow < DW && ow * sw - pw <= w;
                     ow++)
                    if (position(x, H, W, oh * sh - ph, ow * sw - pw, R, S, dh, dw) == h * W + w)
                        sum += dy[oh * DW + ow];
            dx[h * W + w] = sum;
        }
}

__kernel void max_pool2d_grad_planes(__global const float *restrict x,
                                     __global const float *restrict dy, __global float *restrict dx,
                                     IMAGE_SIZES, int R, int S, int sh, int sw, int ph, int pw,
                                     int dh, int dw, int DH, int DW) {
    const int plane = (int)get_global_id(0);
    if (plane >= items)
        return;
    x += (size_t)plane * H * W;
    dx += (size_t)plane * H * W;
    dy += (size_t)plane * DH * DW;
    for (int i = 0; i < H * W; i++)
        dx[i] = 0.0f;
    for (int oh = 0; oh < DH; oh++)
        for (int ow = 0; ow < DW; ow++) {
            const int at = position(x, H, W, oh * sh - ph, ow * sw - pw, R, S, dh, dw);
            if (at >= 0)
                dx[at] += dy[oh * DW + ow];
        }
}
