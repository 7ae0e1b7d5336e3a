/* Gradient of pad2d.cl with `reflect`: dx[h][w] sums dy over its own position and its reflections.
 * dy is H x W, dx is OH x OW: range and sizes as image.clh has them. */
#include "image.clh"

/* Where position p of L is found in L + before + after, reflection k: 0 itself, 1 before, 2 behind;
 * negative when nowhere. */
static inline int place(int p, int k, int L, int before, int after) {
    if (k == 0)
        return before + p;
    if (k == 1)
        return p > 0 ? before - p : -1;
    return p < L - 1 && L - 1 - p <= after ? before + 2 * (L - 1) - p : -1;
}

__kernel void pad2d_grad(__global const float *restrict dy, __global float *restrict dx,
                         IMAGE_SIZES, int top, int left, int bottom, int right) {
    BLOCK;
    dy += (size_t)b.plane * H * W;
    dx += (size_t)b.plane * OH * OW;
    for (int h = b.h_begin; h < b.h_end; h++)
        for (int w = b.w_begin; w < b.w_end; w++) {
            float sum = 0.0f;
            for (int i = 0; i < 3; i++) {
                const int row = place(h, i, OH, top, bottom);
                for (int j = 0; j < 3 && row >= 0; j++) {
                    const int column = place(w, j, OW, left, right);
                    sum += column >= 0 ? dy[row * W + column] : 0.0f;
                }
            }
            dx[h * OW + w] = sum;
        }
}
