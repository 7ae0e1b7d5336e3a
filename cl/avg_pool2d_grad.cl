/* Gradient of avg_pool2d.cl: dx[h][w] = sum of dy / (positions that count) over the windows that
 * hold it. dy is H x W, dx is OH x OW: range and sizes as image.clh has them. */
#include "image.clh"

/* Positions of window i along an axis of L positions in O windows. */
static inline int2 window(int i, int L, int O, int size, int stride, int padding, int adaptive) {
    const int begin = adaptive ? i * L / O : i * stride - padding;
    return (int2)(begin, adaptive ? ((i + 1) * L + O - 1) / O : begin + size);
}

/* The first and last window that may hold position p. */
static inline int2 windows(int p, int L, int O, int size, int stride, int padding, int adaptive) {
    return adaptive ? (int2)(p * O / L, min(O - 1, ((p + 1) * O + L - 1) / L - 1))
                    : (int2)(ceil_to_0(p + padding - size + 1, stride),
                             min(O - 1, (p + padding) / stride));
}

static inline int counted(int2 w, int L, int exclude) {
    return exclude ? min(w.y, L) - max(w.x, 0) : w.y - w.x;
}

__kernel void avg_pool2d_grad(__global const float *restrict dy, __global float *restrict dx,
                              IMAGE_SIZES, int R, int S, int sh, int sw, int ph, int pw,
                              int exclude, int adaptive) {
    BLOCK;
    dy += (size_t)b.plane * H * W;
    dx += (size_t)b.plane * OH * OW;
    for (int h = b.h_begin; h < b.h_end; h++) {
        const int2 rows = windows(h, OH, H, R, sh, ph, adaptive);
        for (int w = b.w_begin; w < b.w_end; w++) {
            const int2 columns = windows(w, OW, W, S, sw, pw, adaptive);
            float sum = 0.0f;
            for (int i = rows.x; i <= rows.y; i++) {
                const int high = counted(window(i, OH, H, R, sh, ph, adaptive), OH, exclude);
                for (int j = columns.x; j <= columns.y; j++)
                    sum +=
                        dy[i * W + j] /
                        (float)(high * counted(window(j, OW, W, S, sw, pw, adaptive), OW, exclude));
            }
            dx[h * OW + w] = sum;
        }
    }
}
