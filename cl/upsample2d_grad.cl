/* Gradient of upsample2d.cl: dx[h][w] sums dy by the shares that its positions took of x[h][w]. dy
 * is H x W, dx is OH x OW: range and sizes as image.clh has them. */
#include "upsample.clh"

/* What position i of O, the enlarged axis, took of position p of L. */
static inline float share(int i, int p, int L, int O, int bilinear) {
    const between b = between_of(i, L, O, bilinear);
    return (b.first == p ? 1.0f - b.share : 0.0f) + (b.second == p ? b.share : 0.0f);
}

/* The first and last position of O that may take from position p of L. */
static inline int2 takers(int p, int L, int O, int bilinear) {
    if (!bilinear)
        return (int2)(ceil_to_0(p * O, L), min(O - 1, ceil_to_0((p + 1) * O, L) - 1));
    const int begin = ((2 * p - 1) * O - L) / (2 * L), end = ((2 * p + 3) * O - L) / (2 * L) + 1;
    return (int2)(p == 0 ? 0 : max(0, begin), p == L - 1 ? O - 1 : min(O - 1, end));
}

__kernel void upsample2d_grad(__global const float *restrict dy, __global float *restrict dx,
                              IMAGE_SIZES, int bilinear) {
    BLOCK;
    dy += (size_t)b.plane * H * W;
    dx += (size_t)b.plane * OH * OW;
    for (int h = b.h_begin; h < b.h_end; h++) {
        const int2 rows = takers(h, OH, H, bilinear);
        for (int w = b.w_begin; w < b.w_end; w++) {
            const int2 columns = takers(w, OW, W, bilinear);
            float sum = 0.0f;
            for (int i = rows.x; i <= rows.y; i++) {
                float row = 0.0f;
                for (int j = columns.x; j <= columns.y; j++)
                    row += dy[i * W + j] * (bilinear ? share(j, w, OW, W, 1) : 1.0f);
                sum += row * (bilinear ? share(i, h, OH, H, 1) : 1.0f);
            }
            dx[h * OW + w] = sum;
        }
    }
}
