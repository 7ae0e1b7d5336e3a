/* Depthwise convolution, where each channel has taps of its own, for GPUs. All sizes but the number
 * of images are build options: x is (images, GROUPS, H, W), y is (images, GROUPS, OH, OW), w is
 * (GROUPS, R, S); stride SH x SW, padding PH x PW, dilation DH x DW.
 *
 * depthwise: y, an element per work-item, any local size; with TRANSPOSED 1 y is the large tensor,
 * as in conv_transpose2d. Takes an epilogue.
 * depthwise_weight: gradient of w by y's gradient. A work-group of 256 sums the images of one slice
 * for one channel: global (256 * GROUPS, slices). partial: per slice (GROUPS, R, S).
 * depthwise_join: dw[i] = partial[s * count + i] over the slices, first to last; any local size. */
#include "epilogue.clh"

#ifndef GROUPS
#define GROUPS 2
#define H      8
#define W      8
#define OH     8
#define OW     8
#define R      3
#define S      3
#define SH     1
#define SW     1
#define PH     1
#define PW     1
#define DH     1
#define DW     1
#endif
#ifndef TRANSPOSED
#define TRANSPOSED 0
#endif

#define LOCAL 256

__kernel void depthwise(__global const float *restrict x, __global const float *restrict w,
                        __global const float *restrict bias, __global float *restrict y, int count,
                        int has_bias EPILOGUE_PARAMETERS) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const int ow = i % OW, oh = i / OW % OH, plane = i / (OW * OH), g = plane % GROUPS;
    x += (size_t)plane * (H * W);
    w += g * (R * S);
    float sum = has_bias ? bias[g] : 0.0f;
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int s = 0; s < S; s++) {
#if TRANSPOSED
            const int up = oh + PH - r * DH, left = ow + PW - s * DW;
            const int h = up / SH, v = left / SW;
            const int reached = up >= 0 && left >= 0 && up % SH == 0 && left % SW == 0;
#else
            const int h = oh * SH - PH + r * DH, v = ow * SW - PW + s * DW;
            const int reached = h >= 0 && v >= 0;
#endif
            if (reached && h < H && v < W)
                sum = fma(w[r * S + s], x[h * W + v], sum);
        }
    y[i] = sum;
    EPILOGUE(y, i, 1);
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
depthwise_weight(__global const float *restrict x, __global const float *restrict dy,
                 __global float *restrict partial, int images, int slices) {
    __local float sums[LOCAL];
    const int g = (int)get_group_id(0), slice = (int)get_group_id(1), id = (int)get_local_id(0);
    const int per_slice = (images + slices - 1) / slices;
    const int begin = min(images, slice * per_slice), end = min(images, begin + per_slice);
    float sum[R * S];
#pragma unroll
    for (int t = 0; t < R * S; t++)
        sum[t] = 0.0f;
    for (int i = id; i < (end - begin) * (OH * OW); i += LOCAL) {
        const size_t plane = (size_t)(begin + i / (OH * OW)) * GROUPS + g;
        const int ow = i % OW, oh = i / OW % OH;
        const float d = dy[plane * (OH * OW) + oh * OW + ow];
        __global const float *from = x + plane * (H * W);
#pragma unroll
        for (int r = 0; r < R; r++)
#pragma unroll
            for (int s = 0; s < S; s++) {
                const int h = oh * SH - PH + r * DH, v = ow * SW - PW + s * DW;
                if (h >= 0 && v >= 0 && h < H && v < W)
                    sum[r * S + s] = fma(d, from[h * W + v], sum[r * S + s]);
            }
    }
#pragma unroll
    for (int t = 0; t < R * S; t++) {
        sums[id] = sum[t];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = LOCAL / 2; step > 0; step /= 2) {
            if (id < step)
                sums[id] += sums[id + step];
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (id == 0)
            partial[((size_t)slice * GROUPS + g) * (R * S) + t] = sums[0];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

__kernel void depthwise_join(__global const float *restrict partial, __global float *restrict dw,
                             int count, int slices) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    float sum = partial[i];
    for (int s = 1; s < slices; s++)
        sum += partial[(size_t)s * count + i];
    dw[i] = sum;
}
