/* Gradient of lstm.cl, step by step from the last: dx is that of x (before the gates' functions), dh0
 * and dc0 those of the initial state.
 *
 * w: 4H x H, lstm.cl's transposed; gates, dgates, dx: B x T x 4H; c, dy, dc: B x T x H; c0, dh0, dc0:
 * B x H; all dense. c0, dy, dc, dgates are not read unless their flag is set. See recurrent.clh; global
 * size ceil(B / SAMPLES) * LOCAL; local memory: 6 SAMPLES padded floats.
 */
#include "recurrent.clh"

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
lstm_grad(__global const float *restrict w, __global const float *restrict gates,
          __global const float *restrict c, __global const float *restrict c0,
          __global const float *restrict dy, __global const float *restrict dc,
          __global const float *restrict dgates, __global float *restrict dx,
          __global float *restrict dh0, __global float *restrict dc0, __local float *memory, int B,
          int T, int H, int has_c0, int has_dy, int has_dc, int has_dgates) {
    const int begin = (int)get_group_id(0) * SAMPLES, rows = min(SAMPLES, B - begin);
    const int padded = (H + 15) / 16 * 16;
    /* Of h and c, from the steps behind; and of x at this step. */
    __local float *dh = memory, *dcell = dh + SAMPLES * padded, *dpre = dcell + SAMPLES * padded;
    FOR_UNITS(j) {
        for (int s = 0; s < SAMPLES; s++) {
            LOCAL_PUT(dh + s * padded + j, (real)(0.0f));
            LOCAL_PUT(dcell + s * padded + j, (real)(0.0f));
            for (int g = 0; g < 4; g++)
                LOCAL_PUT(dpre + (s * 4 + g) * padded + j, (real)(0.0f));
        }
    }
    for (int t = T - 1; t >= 0; t--) {
        FOR_UNITS(j) {
            for (int s = 0; s < rows; s++) {
                const size_t row = (size_t)(begin + s) * T + t, at = row * H + j;
                const size_t gate = row * 4 * H + j;
                const real in = GET(gates + gate), forget = GET(gates + gate + H);
                const real cell = GET(gates + gate + 2 * H), out = GET(gates + gate + 3 * H);
                const real state = tanh(GET(c + at));
                real before = (real)(0.0f);
                if (t > 0)
                    before = GET(c + at - H);
                else if (has_c0)
                    before = GET(c0 + (size_t)(begin + s) * H + j);
                real d = LOCAL_GET(dh + s * padded + j);
                if (has_dy)
                    d += GET(dy + at);
                real dstate = LOCAL_GET(dcell + s * padded + j) + d * out * (ONE - state * state);
                if (has_dc)
                    dstate += GET(dc + at);
                real din = dstate * cell, dforget = dstate * before, dnew = dstate * in;
                real dout = d * state;
                if (has_dgates) {
                    din += GET(dgates + gate);
                    dforget += GET(dgates + gate + H);
                    dnew += GET(dgates + gate + 2 * H);
                    dout += GET(dgates + gate + 3 * H);
                }
                din *= in * (ONE - in);
                dforget *= forget * (ONE - forget);
                dnew *= ONE - cell * cell;
                dout *= out * (ONE - out);
                PUT(dx + gate, din);
                PUT(dx + gate + H, dforget);
                PUT(dx + gate + 2 * H, dnew);
                PUT(dx + gate + 3 * H, dout);
                LOCAL_PUT(dpre + (s * 4 + 0) * padded + j, din);
                LOCAL_PUT(dpre + (s * 4 + 1) * padded + j, dforget);
                LOCAL_PUT(dpre + (s * 4 + 2) * padded + j, dnew);
                LOCAL_PUT(dpre + (s * 4 + 3) * padded + j, dout);
                LOCAL_PUT(dcell + s * padded + j, dstate * forget);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        FOR_UNITS(j) {
            real sum[SAMPLES][4];
#pragma unroll
            for (int s = 0; s < SAMPLES; s++)
#pragma unroll
                for (int g = 0; g < 4; g++)
                    sum[s][g] = (real)(0.0f);
            for (int k = 0; k < H; k++) {
#pragma unroll
                for (int g = 0; g < 4; g++) {
                    const real weight = GET(w + ((size_t)g * H + k) * H + j);
#pragma unroll
                    for (int s = 0; s < SAMPLES; s++)
                        sum[s][g] = fma((real)(dpre[(s * 4 + g) * padded + k]), weight, sum[s][g]);
                }
            }
#pragma unroll
            for (int s = 0; s < SAMPLES; s++)
                LOCAL_PUT(dh + s * padded + j, (sum[s][0] + sum[s][1]) + (sum[s][2] + sum[s][3]));
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    FOR_UNITS(j) {
        for (int s = 0; s < rows; s++) {
            PUT(dh0 + (size_t)(begin + s) * H + j, LOCAL_GET(dh + s * padded + j));
            PUT(dc0 + (size_t)(begin + s) * H + j, LOCAL_GET(dcell + s * padded + j));
        }
    }
}
