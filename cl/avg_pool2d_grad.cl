/* Gradient of avg_pool2d.cl: dx[h][w] = sum of dy / (positions that count) over the windows that
 * hold it. dy is H x W, dx is OH x OW: range and sizes as image.clh has them.
 *
 * avg_pool2d_grad: any windows. For CPUs: avg_pool2d_grad_pairs: those of pool_pairs.clh, a work-item
 * per plane; avg_pool2d_grad_lines: those of pool_lines.clh, blocks of whole rows, not adaptive. */
#include "pool_lines.clh"
#include "pool_pairs.clh"

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

#define WINDOWS(N, M)                                                                              \
    const float##N g = *(__global const f##N##u *)(dy + ow) * (float##N)(0.25f);                   \
    const float##M row = ZIP##N(g, g);                                                             \
    *(__global f##M##u *)(dx + from + 2 * ow) = row;                                               \
    *(__global f##M##u *)(dx + from + OW + 2 * ow) = row

__kernel void avg_pool2d_grad_pairs(__global const float *restrict dy, __global float *restrict dx,
                                    IMAGE_SIZES) {
    const int plane = (int)get_global_id(0);
    if (plane >= items)
        return;
    dy += (size_t)plane * H * W;
    dx += (size_t)plane * OH * OW;
    for (int h = 0; h < H; h++, dy += W) {
        const int from = 2 * h * OW;
        PAIRS(W, { WINDOWS(8, 16); }, { WINDOWS(4, 8); }, {
            const int i = from + 2 * ow;
            dx[i] = dx[i + 1] = dx[i + OW] = dx[i + OW + 1] = dy[ow] * 0.25f;
        })
        if (2 * W < OW)
            dx[from + OW - 1] = dx[from + 2 * OW - 1] = 0.0f;
    }
    for (int i = 2 * H * OW; i < OH * OW; i++)
        dx[i] = 0.0f;
}

/* Over the windows of a row first, then along the line; the border that windows have in common with the
 * next stretch of them is added by both. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
avg_pool2d_grad_lines(__global const float *restrict dy, __global float *restrict dx, IMAGE_SIZES,
                      int R, int S, int sh, int sw, int ph, int pw, int exclude, int most) {
    BLOCK;
    dy += (size_t)b.plane * H * W;
    dx += (size_t)b.plane * OH * OW;
    float sums[LINE], phases[LINE], line[LINE];
    for (int h = b.h_begin; h < b.h_end; h++) {
        const int2 rows = windows(h, OH, H, R, sh, ph, 0);
        __global float *to = dx + h * OW;
        VECTOR_LOOP for (int w = 0; w < OW; w++) to[w] = 0.0f;
        for (int j = 0; j < W; j += most) {
            const int count = min(most, W - j), w0 = j * sw - pw;
            const int length = (count - 1 + (S - 1) / sw + 1) * sw;
            VECTOR_LOOP for (int i = 0; i < count; i++) sums[i] = 0.0f;
            clear_phases(phases, length, sw);
            for (int i = rows.x; i <= rows.y; i++) {
                const int high = counted(window(i, OH, H, R, sh, ph, 0), OH, exclude);
                const float part = 1.0f / (float)(exclude ? high : R * S);
                __global const float *from = dy + i * W + j;
                VECTOR_LOOP for (int k = 0; k < count; k++) sums[k] += from[k] * part;
            }
            if (exclude)
                VECTOR_LOOP for (int k = 0; k < count; k++) {
                    const int w = w0 + k * sw;
                    sums[k] /= (float)(min(w + S, OW) - max(w, 0));
                }
            for (int s = 0; s < S; s++) {
                float *part = PHASE(phases, s, sw);
                VECTOR_LOOP for (int k = 0; k < count; k++) part[k] += sums[k];
            }
            phases_to_line(phases, line, length, sw);
            const int begin = max(0, -w0), end = min(length, OW - w0);
            VECTOR_LOOP for (int i = begin; i < end; i++) to[w0 + i] += line[i];
        }
    }
}
