/* Rotary position embedding, the halves of each head's width being the pairs' coordinates:
 * y[b][t][h][i]        = x[b][t][h][i] c - x[b][t][h][i + half] s
 * y[b][t][h][i + half] = x[b][t][h][i + half] c + x[b][t][h][i] s
 * with c, s = cos, sin(t ratio^i), i below half; s is negated when `inverse`.
 *
 * x and y: B x T x H x 2 half, dense. ratio = (ratio_high 2^32 + ratio_low) / 2^64.
 * Angles are counted in turns, in 64 bits behind the point: products wrap around by themselves, and
 * the angle of a position far out is as exact as that of the first.
 *
 * rotary_rows    CPUs: a work-item per 16 pairs of a position, over all samples and heads; global
 *                (ceil(half / 16), T)
 * rotary_items   GPUs: a work-item per pair, position and sample, over all heads; global (half, T, B)
 */
#include "rows.clh"

#define RADIAN 0x28BE60DB9391054AUL /* 2^64 / (2 pi) */

/* t ratio^i in half turns, -1 to 1. */
static inline float half_turns(int t, int i, int ratio_high, int ratio_low) {
    ulong turn = RADIAN, power = (ulong)(uint)ratio_high << 32 | (uint)ratio_low;
    for (uint bits = (uint)i; bits != 0; bits >>= 1) {
        if ((bits & 1) != 0)
            turn = mul_hi(turn, power);
        power = mul_hi(power, power);
    }
    return (float)(int)(turn * (ulong)t >> 32) * 0x1p-31f;
}

__kernel void rotary_rows(__global const float *restrict x, __global float *restrict y, int B,
                          int T, int H, int half_width, int ratio_high, int ratio_low,
                          int inverse) {
    const int i = (int)get_global_id(0) * 16, t = (int)get_global_id(1);
    const int count = min(16, half_width - i);
    if (count <= 0 || t >= T)
        return;
    float lane[16];
    for (int k = 0; k < 16; k++)
        lane[k] = half_turns(t, i + k, ratio_high, ratio_low);
    const float16 angle = *(f16u *)lane;
    const float16 c = cospi(angle), s = inverse ? -sinpi(angle) : sinpi(angle);
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++) {
            const size_t at = (((size_t)b * T + t) * H + h) * 2 * half_width + i;
            const float16 u = load16(x + at, count, 0.0f);
            const float16 v = load16(x + at + half_width, count, 0.0f);
            store16(y + at, count, u * c - v * s);
            store16(y + at + half_width, count, v * c + u * s);
        }
}

__kernel void rotary_items(__global const float *restrict x, __global float *restrict y, int B,
                           int T, int H, int half_width, int ratio_high, int ratio_low,
                           int inverse) {
    const int i = (int)get_global_id(0), t = (int)get_global_id(1), b = (int)get_global_id(2);
    if (i >= half_width || t >= T || b >= B)
        return;
    const float angle = half_turns(t, i, ratio_high, ratio_low);
    const float c = cospi(angle), s = inverse ? -sinpi(angle) : sinpi(angle);
    for (int h = 0; h < H; h++) {
        const size_t at = (((size_t)b * T + t) * H + h) * 2 * half_width + i;
        const float u = x[at], v = x[at + half_width];
        y[at] = u * c - v * s;
        y[at + half_width] = v * c + u * s;
    }
}
