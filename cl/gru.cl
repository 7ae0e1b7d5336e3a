/* GRU over time, the part that must go step by step: with q = h[t-1] w + bias, rows of 3 H in the order
 * r, z, n: r = 1 / (1 + exp(-(x_r + q_r))), z likewise, n = tanh(x_n + r q_n),
 * h[t] = (1 - z) n + z h[t-1].
 *
 * x: B x T x 3H; w: H x 3H; bias: 3H; h0: B x H, not read without has_initial (zeros); y (all h):
 * B x T x H; gates (r, z, n, q_n): B x T x 4H; all dense. See recurrent.clh; global size
 * ceil(B / SAMPLES) * LOCAL; local memory: 2 SAMPLES padded floats.
 */
#include "recurrent.clh"

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
gru(__global const float *restrict x, __global const float *restrict w,
    __global const float *restrict bias, __global const float *restrict h0,
    __global float *restrict y, __global float *restrict gates, __local float *memory, int B, int T,
    int H, int has_initial) {
    const int begin = (int)get_group_id(0) * SAMPLES, rows = min(SAMPLES, B - begin);
    const int padded = (H + 15) / 16 * 16;
    FOR_UNITS(j) {
        for (int s = 0; s < SAMPLES; s++)
            LOCAL_PUT(memory + s * padded + j, has_initial && s < rows
                                                   ? GET(h0 + (size_t)(begin + s) * H + j)
                                                   : (real)(0.0f));
    }
    for (int t = 0; t < T; t++) {
        __local const float *h = memory + (t & 1) * SAMPLES * padded;
        __local float *next = memory + (~t & 1) * SAMPLES * padded;
        barrier(CLK_LOCAL_MEM_FENCE);
        FOR_UNITS(j) {
            real sum[SAMPLES][3];
#pragma unroll
            for (int s = 0; s < SAMPLES; s++)
#pragma unroll
                for (int g = 0; g < 3; g++)
                    sum[s][g] = GET(bias + g * H + j);
            for (int k = 0; k < H; k++) {
#pragma unroll
                for (int g = 0; g < 3; g++) {
                    const real weight = GET(w + ((size_t)k * 3 + g) * H + j);
#pragma unroll
                    for (int s = 0; s < SAMPLES; s++)
                        sum[s][g] = fma((real)(h[s * padded + k]), weight, sum[s][g]);
                }
            }
#pragma unroll
            for (int s = 0; s < SAMPLES; s++) {
                if (s >= rows)
                    continue;
                const size_t row = (size_t)(begin + s) * T + t;
                __global const float *from = x + row * 3 * H + j;
                const real reset = logistic(GET(from) + sum[s][0]);
                const real keep = logistic(GET(from + H) + sum[s][1]);
                const real fresh = tanh(GET(from + 2 * H) + reset * sum[s][2]);
                const real result = (ONE - keep) * fresh + keep * LOCAL_GET(h + s * padded + j);
                __global float *gate = gates + row * 4 * H + j;
                PUT(gate, reset);
                PUT(gate + H, keep);
                PUT(gate + 2 * H, fresh);
                PUT(gate + 3 * H, sum[s][2]);
                PUT(y + row * H + j, result);
                LOCAL_PUT(next + s * padded + j, result);
            }
            for (int s = rows; s < SAMPLES; s++)
                LOCAL_PUT(next + s * padded + j, (real)(0.0f));
        }
    }
}
