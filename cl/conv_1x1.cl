/* Convolution with one tap and no padding as a matrix product, for CPU devices: y[n][k][oh][ow] =
 * bias[k] + the sum over c of w(k, c) * x[n][c][oh * sh][ow * sw]. x is (images, groups * C, H, W), y
 * is (images, groups * K, OH, OW), w is (groups, K, C), or with TRANSPOSED 1, as a data gradient has
 * it, (groups, C, K).
 *
 * A work-item (local size 1) takes `each` panels of 16 * PV pixels of one group; the pixels of all
 * images are one list, so that small images fill panels, too: global (ceil(images * OH * OW / (16 *
 * PV * each)), groups). It copies the panel of x to local memory and multiplies in register tiles of
 * KT channels x PV vectors. panel: 16 * PV * C floats. Takes an epilogue. */
#include "conv_rows.clh"
#include "epilogue.clh"

#ifndef KT
#define KT 8
#endif
#ifndef PV
#define PV 2
#endif
#ifndef TRANSPOSED
#define TRANSPOSED 0
#endif
#define PANEL (16 * PV)

/* `count` pixels from pixel p of the list on, which lie in one image, of all channels. */
static inline void pack_panel(__global const A_WORD *x, __local float *panel, int p, int count,
                              int groups, int C, int H, int W, int OH, int OW, int sh, int sw) {
    const int image = p / (OH * OW), pixel = p % (OH * OW);
    x += (size_t)image * groups * C * H * W;
    if (sh == 1 && sw == 1) {
        x += pixel;
        if (count == PANEL) {
            for (int c = 0; c < C; c++)
#pragma unroll
                for (int v = 0; v < PV; v++)
                    *(__local f16u *)(panel + c * PANEL + 16 * v) =
                        A_AT16(x, (size_t)c * H * W + 16 * v);
            return;
        }
        for (int c = 0; c < C; c++)
            copy_floats(x + (size_t)c * H * W, 0, panel + c * PANEL, count);
        return;
    }
    for (int at = 0, row = pixel / OW, column = pixel % OW; at < count; row++) {
        const int n = min(count - at, OW - column);
        __global const A_WORD *from = x + (size_t)row * sh * W + column * sw;
        __local float *to = panel + at;
        for (int c = 0; c < C; c++, from += H * W, to += PANEL) {
            if (sw == 2)
                copy_pairs(from, to, to, 0, 2 * n - 1);
            else
                for (int i = 0; i < n; i++)
                    to[i] = A_AT(from, i * sw);
        }
        at += n;
        column = 0;
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_1x1(__global const A_WORD *restrict x, __global const float *restrict w,
         __global const float *restrict bias, __global float *restrict y,
         __local float *restrict panel, int images, int groups, int C, int K, int H, int W, int OH,
         int OW, int sh, int sw, int has_bias, int each EPILOGUE_PARAMETERS) {
    const int g = (int)get_global_id(1), plane = OH * OW;
    const int begin = (int)get_global_id(0) * each * PANEL;
    const int end = min(images * plane, begin + each * PANEL);
    x += (size_t)g * C * H * W;
    w += (size_t)g * C * K;
    bias += has_bias ? g * K : 0;

    for (int p0 = begin; p0 < end; p0 += PANEL) {
        const int count = min(PANEL, end - p0);
        const int whole = count == PANEL && p0 % plane + PANEL <= plane;
        if (count < PANEL)
            for (int c = 0; c < C; c++)
                zero(panel + c * PANEL, PANEL);
        for (int p = p0; p < p0 + count;) {
            const int n = min(p0 + count - p, plane - p % plane);
            pack_panel(x, panel + p - p0, p, n, groups, C, H, W, OH, OW, sh, sw);
            p += n;
        }
        for (int k0 = 0; k0 < K; k0 += KT) {
            float16 sum[KT][PV];
            __global const float *from[KT];
#pragma unroll
            for (int k = 0; k < KT; k++) {
                const int row = min(k0 + k, K - 1);
                const float start = has_bias ? bias[row] : 0.0f;
                from[k] = w + (TRANSPOSED ? row : row * C);
#pragma unroll
                for (int v = 0; v < PV; v++)
                    sum[k][v] = (float16)(start);
            }
            for (int c = 0; c < C; c++) {
                float16 in[PV];
#pragma unroll
                for (int v = 0; v < PV; v++)
                    in[v] = *(__local const f16u *)(panel + c * PANEL + 16 * v);
#pragma unroll
                for (int k = 0; k < KT; k++) {
                    const float16 wk = (float16)(from[k][TRANSPOSED ? c * K : c]);
#pragma unroll
                    for (int v = 0; v < PV; v++)
                        sum[k][v] = fma(wk, in[v], sum[k][v]);
                }
            }
            if (whole) {
                __global float *to =
                    y + ((size_t)(p0 / plane * groups + g) * K + k0) * plane + p0 % plane;
#pragma unroll
                for (int k = 0; k < KT; k++)
                    if (k0 + k < K)
#pragma unroll
                        for (int v = 0; v < PV; v++)
                            *(__global f16u *)(to + (size_t)k * plane + 16 * v) = sum[k][v];
                continue;
            }
            float lane[KT * PANEL];
#pragma unroll
            for (int k = 0; k < KT; k++)
#pragma unroll
                for (int v = 0; v < PV; v++)
                    *(f16u *)(lane + k * PANEL + 16 * v) = sum[k][v];
            for (int p = p0; p < p0 + count;) {
                const int n = min(p0 + count - p, plane - p % plane);
                __global float *to =
                    y + ((size_t)(p / plane * groups + g) * K + k0) * plane + p % plane;
                for (int k = 0; k < KT && k0 + k < K; k++)
                    for (int i = 0; i < n; i++)
                        to[(size_t)k * plane + i] = lane[k * PANEL + p - p0 + i];
                p += n;
            }
        }
    }
    for (int p = begin; p < end;) {
        const int n = min(end - p, plane - p % plane);
        for (int k = 0; k < K; k++)
            EPILOGUE(y, ((size_t)(p / plane * groups + g) * K + k) * plane + p % plane, n);
        p += n;
    }
}
