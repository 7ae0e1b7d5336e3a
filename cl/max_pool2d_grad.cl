/* dx[h][w] = sum of dy over the windows whose largest element is x[h][w], the first of equals, and
 * the last of NaNs, as PyTorch has it. x and dx are H x W planes, dy has DH x DW windows as in
 * max_pool2d.cl. Sums are in order of the windows.
 *
 * max_pool2d_grad: any part of a plane per work-item; range and sizes: image.clh (OH = H, OW = W).
 * max_pool2d_grad_whole, for GPUs: one window that is the plane of `size` elements, a work-group of
 * WHOLE_LOCAL work-items per plane.
 * max_pool2d_grad_planes, for CPUs: a work-item per plane visits each window once; any local size.
 * max_pool2d_grad_pairs, max_pool2d_grad_lines, for CPUs: the same for the windows of pool_pairs.clh and
 * pool_lines.clh.
 */
#include "pool_lines.clh"
#include "pool_pairs.clh"

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

/* Compares v, at position i of a window, with the largest before it. */
#define COMPARE(N, v, i)                                                                           \
    {                                                                                              \
        const int##N later = (v > largest) | isnan(v);                                             \
        largest = select(largest, v, later);                                                       \
        at = select(at, (int##N)(i), later);                                                       \
    }
#define PUT(N, i) select((float##N)(0.0f), g, at == (int##N)(i))

#define WINDOWS(N, M)                                                                              \
    const float##M upper = *(__global const f##M##u *)(x + from + 2 * ow);                         \
    const float##M lower = *(__global const f##M##u *)(x + from + W + 2 * ow);                     \
    const float##N b = ODD##M(upper), c = EVEN##M(lower), d = ODD##M(lower);                       \
    const float##N g = *(__global const f##N##u *)(dy + ow);                                       \
    float##N largest = EVEN##M(upper);                                                             \
    int##N at = (int##N)(0);                                                                       \
    COMPARE(N, b, 1)                                                                               \
    COMPARE(N, c, 2)                                                                               \
    COMPARE(N, d, 3)                                                                               \
    const float##N ga = PUT(N, 0), gb = PUT(N, 1), gc = PUT(N, 2), gd = PUT(N, 3);                 \
    *(__global f##M##u *)(dx + from + 2 * ow) = ZIP##N(ga, gb);                                    \
    *(__global f##M##u *)(dx + from + W + 2 * ow) = ZIP##N(gc, gd)

__kernel void max_pool2d_grad_pairs(__global const float *restrict x,
                                    __global const float *restrict dy, __global float *restrict dx,
                                    IMAGE_SIZES) {
    const int plane = (int)get_global_id(0), DW = W / 2;
    if (plane >= items)
        return;
    x += (size_t)plane * H * W;
    dx += (size_t)plane * H * W;
    dy += (size_t)plane * (H / 2) * DW;
    for (int h = 0; h + 2 <= H; h += 2, dy += DW) {
        const int from = h * W;
        PAIRS(DW, { WINDOWS(8, 16); }, { WINDOWS(4, 8); }, {
            const int i = from + 2 * ow;
            const int at = position(x, H, W, h, 2 * ow, 2, 2, 1, 1);
            dx[i] = at == i ? dy[ow] : 0.0f;
            dx[i + 1] = at == i + 1 ? dy[ow] : 0.0f;
            dx[i + W] = at == i + W ? dy[ow] : 0.0f;
            dx[i + W + 1] = at == i + W + 1 ? dy[ow] : 0.0f;
        })
        if (2 * DW < W)
            dx[from + W - 1] = dx[from + 2 * W - 1] = 0.0f;
    }
    for (int i = H / 2 * 2 * W; i < H * W; i++)
        dx[i] = 0.0f;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
max_pool2d_grad_lines(__global const float *restrict x, __global const float *restrict dy,
                      __global float *restrict dx, IMAGE_SIZES, int R, int S, int sh, int sw,
                      int ph, int pw, int dh, int dw, int DH, int DW, int windows) {
    const int plane = (int)get_global_id(0);
    x += (size_t)plane * H * W;
    dx += (size_t)plane * H * W;
    dy += (size_t)plane * DH * DW;
    float line[LINE], phases[LINE], largest[LINE];
    int at[LINE];
    VECTOR_LOOP for (int i = 0; i < H * W; i++) dx[i] = 0.0f;
    for (int oh = 0; oh < DH; oh++)
        for (int ow = 0; ow < DW; ow += windows) {
            const int count = min(windows, DW - ow), h0 = oh * sh - ph, w0 = ow * sw - pw;
            const int length = (count - 1 + (S - 1) * dw / sw + 1) * sw;
            const int begin = max(0, -w0), end = min(length, W - w0);
            const int r_begin = ceil_to_0(-h0, dh);
            __global const float *given = dy + oh * DW + ow;
            VECTOR_LOOP for (int i = 0; i < length; i++) line[i] = 0.0f;
            VECTOR_LOOP for (int i = 0; i < count; i++) {
                largest[i] = -INFINITY;
                at[i] = -1;
            }
            for (int r = r_begin; r < R && h0 + r * dh < H; r++) {
                __global const float *row = x + (h0 + r * dh) * W + w0;
                VECTOR_LOOP for (int i = begin; i < end; i++) line[i] = row[i];
                line_to_phases(line, phases, length, sw);
                for (int s = 0; s < S; s++) {
                    const float *from = PHASE(phases, s * dw, sw);
                    const int w = w0 + s * dw, position = r * S + s;
                    VECTOR_LOOP for (int i = 0; i < count; i++) {
                        const float v = from[i];
                        const bool inside = (uint)(w + i * sw) < (uint)W;
                        const bool later = inside & ((at[i] < 0) | (v > largest[i]) | (v != v));
                        largest[i] = later ? v : largest[i];
                        at[i] = later ? position : at[i];
                    }
                }
            }
            for (int r = r_begin; r < R && h0 + r * dh < H; r++) {
                __global float *row = dx + (h0 + r * dh) * W + w0;
                clear_phases(phases, length, sw);
                for (int s = 0; s < S; s++) {
                    float *part = PHASE(phases, s * dw, sw);
                    const int position = r * S + s;
                    VECTOR_LOOP for (int i = 0; i < count; i++) part[i] +=
                        at[i] == position ? given[i] : 0.0f;
                }
                phases_to_line(phases, line, length, sw);
                VECTOR_LOOP for (int i = begin; i < end; i++) row[i] += line[i];
            }
        }
}

#define WHOLE_LOCAL 64 /* tutti_pool_lower_whole has it, too */

/* True when the element w at j is taken rather than v at i; -1 is none. */
static inline bool is_taken(float v, int i, float w, int j) {
    if (i < 0 || j < 0)
        return i < 0;
    if (isnan(v) || isnan(w))
        return isnan(w) && (!isnan(v) || j > i);
    return w > v || (w == v && j < i);
}

__kernel __attribute__((reqd_work_group_size(WHOLE_LOCAL, 1, 1))) void
max_pool2d_grad_whole(__global const float *restrict x, __global const float *restrict dy,
                      __global float *restrict dx, int size) {
    __local float largest[WHOLE_LOCAL];
    __local int places[WHOLE_LOCAL];
    const int id = (int)get_local_id(0), plane = (int)get_group_id(0);
    x += (size_t)plane * size;
    dx += (size_t)plane * size;
    float high = 0.0f;
    int place = -1;
    for (int i = id; i < size; i += WHOLE_LOCAL)
        if (is_taken(high, place, x[i], i)) {
            high = x[i];
            place = i;
        }
    largest[id] = high;
    places[id] = place;
    for (int span = WHOLE_LOCAL / 2; span > 0; span /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (id < span &&
            is_taken(largest[id], places[id], largest[id + span], places[id + span])) {
            largest[id] = largest[id + span];
            places[id] = places[id + span];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = id; i < size; i += WHOLE_LOCAL)
        dx[i] = i == places[0] ? dy[plane] : 0.0f;
}
