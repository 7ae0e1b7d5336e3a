/* LSTM over time, the part that must go step by step: with p = x[b][t] + h[t-1] w, a row of 4 H in the
 * order i, f, g, o: i, f, o = 1 / (1 + exp(-p)), g = tanh(p), c[t] = f c[t-1] + i g,
 * h[t] = o tanh(c[t]).
 *
 * x: B x T x 4H; w: H x 4H; h0, c0: B x H, not read without has_initial (zeros); y (all h), c:
 * B x T x H; gates (i, f, g, o): B x T x 4H; all dense. See recurrent.clh; global size
 * ceil(B / SAMPLES) * LOCAL; local memory: 2 SAMPLES padded floats.
 */
#include "recurrent.clh"

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
lstm(__global const float *restrict x, __global const float *restrict w,
     __global const float *restrict h0, __global const float *restrict c0,
     __global float *restrict y, __global float *restrict c, __global float *restrict gates,
     __local float *memory, int B, int T, int H, int has_initial) {
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
            real sum[SAMPLES][4];
#pragma unroll
            for (int s = 0; s < SAMPLES; s++) {
                const size_t at = ((size_t)(begin + min(s, rows - 1)) * T + t) * 4 * H + j;
#pragma unroll
                for (int g = 0; g < 4; g++)
                    sum[s][g] = GET(x + at + g * H);
            }
            for (int k = 0; k < H; k++) {
#pragma unroll
                for (int g = 0; g < 4; g++) {
                    const real weight = GET(w + ((size_t)k * 4 + g) * H + j);
#pragma unroll
                    for (int s = 0; s < SAMPLES; s++)
                        sum[s][g] = fma((real)(h[s * padded + k]), weight, sum[s][g]);
                }
            }
#pragma unroll
            for (int s = 0; s < SAMPLES; s++) {
                if (s >= rows)
                    continue;
                const size_t at = ((size_t)(begin + s) * T + t) * H + j;
                const real in = logistic(sum[s][0]), forget = logistic(sum[s][1]);
                const real cell = tanh(sum[s][2]), out = logistic(sum[s][3]);
                real state = in * cell;
                if (t > 0)
                    state += forget * GET(c + at - H);
                else if (has_initial)
                    state += forget * GET(c0 + (size_t)(begin + s) * H + j);
                const real result = out * tanh(state);
                __global float *gate = gates + ((size_t)(begin + s) * T + t) * 4 * H + j;
                PUT(gate, in);
                PUT(gate + H, forget);
                PUT(gate + 2 * H, cell);
                PUT(gate + 3 * H, out);
                PUT(c + at, state);
                PUT(y + at, result);
                LOCAL_PUT(next + s * padded + j, result);
            }
            for (int s = rows; s < SAMPLES; s++)
                LOCAL_PUT(next + s * padded + j, (real)(0.0f));
        }
    }
}
