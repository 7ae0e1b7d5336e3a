/* y[oh][ow] = mean of a window of x. Windows begin at oh * sh - ph and have R x S positions; those
 * outside count as zeros, or, with `exclude`, not at all. With `adaptive`, window i of O over a
 * size of L is floor(i * L / O) to ceil((i + 1) * L / O). Range and sizes: image.clh.
 *
 * avg_pool2d: any windows. For CPUs, blocks of whole rows: avg_pool2d_pairs: pool_pairs.clh;
 * avg_pool2d_lines: pool_lines.clh, not adaptive. */
#include "pool_lines.clh"
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

/* Over the rows of the windows first, then along the line that is left. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
avg_pool2d_lines(__global const float *restrict x, __global float *restrict y, IMAGE_SIZES, int R,
                 int S, int sh, int sw, int ph, int pw, int exclude, int windows) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    float line[LINE], phases[LINE];
    for (int oh = b.h_begin; oh < b.h_end; oh++)
        for (int ow = 0; ow < OW; ow += windows) {
            const int count = min(windows, OW - ow), h0 = oh * sh - ph, w0 = ow * sw - pw;
            const int length = (count - 1 + (S - 1) / sw + 1) * sw;
            const int begin = max(0, -w0), end = min(length, W - w0);
            const int h_begin = max(h0, 0), h_end = min(h0 + R, H);
            VECTOR_LOOP for (int i = 0; i < length; i++) line[i] = 0.0f;
            for (int h = h_begin; h < h_end; h++) {
                __global const float *row = x + h * W + w0;
                VECTOR_LOOP for (int i = begin; i < end; i++) line[i] += row[i];
            }
            line_to_phases(line, phases, length, sw);
            __global float *to = y + oh * OW + ow;
            const float *first = PHASE(phases, 0, sw);
            VECTOR_LOOP for (int i = 0; i < count; i++) to[i] = first[i];
            for (int s = 1; s < S; s++) {
                const float *from = PHASE(phases, s, sw);
                VECTOR_LOOP for (int i = 0; i < count; i++) to[i] += from[i];
            }
            const float all = 1.0f / (float)(R * S);
            VECTOR_LOOP for (int i = 0; i < count; i++) {
                const int w = w0 + i * sw;
                const int inside = (h_end - h_begin) * (min(w + S, W) - max(w, 0));
                to[i] = exclude ? to[i] / (float)inside : to[i] * all;
            }
        }
}
