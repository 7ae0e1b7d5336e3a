/* y[oh][ow] = the largest x[oh * sh - ph + r * dh][ow * sw - pw + s * dw] inside, -infinity when
 * none is. A NaN is larger than all. Range and sizes: image.clh.
 *
 * max_pool2d: any windows. max_pool2d_whole, for GPUs: one window that is the plane of `size`
 * elements, a work-group of WHOLE_LOCAL work-items per plane. For CPUs, blocks of whole rows:
 * max_pool2d_pairs: pool_pairs.clh; max_pool2d_lines: pool_lines.clh. */
#include "pool_lines.clh"
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

/* The larger of the largest before and v. */
static inline float larger(float before, float v) {
    return ((v > before) | (v != v)) ? v : before;
}

/* Over the rows of the windows first, then along the line that is left. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
max_pool2d_lines(__global const float *restrict x, __global float *restrict y, IMAGE_SIZES, int R,
                 int S, int sh, int sw, int ph, int pw, int dh, int dw, int windows) {
    BLOCK;
    x += (size_t)b.plane * H * W;
    y += (size_t)b.plane * OH * OW;
    float line[LINE], phases[LINE];
    for (int oh = b.h_begin; oh < b.h_end; oh++)
        for (int ow = 0; ow < OW; ow += windows) {
            const int count = min(windows, OW - ow), h0 = oh * sh - ph, w0 = ow * sw - pw;
            const int length = (count - 1 + (S - 1) * dw / sw + 1) * sw;
            const int begin = max(0, -w0), end = min(length, W - w0);
            VECTOR_LOOP for (int i = 0; i < length; i++) line[i] = -INFINITY;
            for (int r = ceil_to_0(-h0, dh); r < R && h0 + r * dh < H; r++) {
                __global const float *row = x + (h0 + r * dh) * W + w0;
                VECTOR_LOOP for (int i = begin; i < end; i++) line[i] = larger(line[i], row[i]);
            }
            line_to_phases(line, phases, length, sw);
            __global float *to = y + oh * OW + ow;
            const float *first = PHASE(phases, 0, sw);
            VECTOR_LOOP for (int i = 0; i < count; i++) to[i] = first[i];
            for (int s = 1; s < S; s++) {
                const float *from = PHASE(phases, s * dw, sw);
                VECTOR_LOOP for (int i = 0; i < count; i++) to[i] = larger(to[i], from[i]);
            }
        }
}

#define WHOLE_LOCAL 64 /* tutti_pool_lower_whole has it, too */

__kernel __attribute__((reqd_work_group_size(WHOLE_LOCAL, 1, 1))) void
max_pool2d_whole(__global const float *restrict x, __global float *restrict y, int size) {
    __local float scratch[WHOLE_LOCAL];
    const int id = (int)get_local_id(0);
    x += get_group_id(0) * (size_t)size;
    float largest = -INFINITY;
    for (int i = id; i < size; i += WHOLE_LOCAL)
        largest = larger(largest, x[i]);
    scratch[id] = largest;
    for (int span = WHOLE_LOCAL / 2; span > 0; span /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (id < span)
            scratch[id] = larger(scratch[id], scratch[id + span]);
    }
    if (id == 0)
        y[get_group_id(0)] = scratch[0];
}
