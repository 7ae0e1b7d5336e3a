/* Gradient of gru.cl, step by step from the last: dx is that of x, dq that of h[t-1] w + bias, dh0 that
 * of the initial state.
 *
 * w: 3H x H, gru.cl's transposed; gates, dgates: B x T x 4H; y, dy: B x T x H; dx, dq: B x T x 3H; h0,
 * dh0: B x H; all dense. h0, dy, dgates are not read unless their flag is set. See recurrent.clh; global
 * size ceil(B / SAMPLES) * LOCAL; local memory: 4 SAMPLES padded floats.
 */
#include "recurrent.clh"

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
gru_grad(__global const float *restrict w, __global const float *restrict gates,
         __global const float *restrict y, __global const float *restrict h0,
         __global const float *restrict dy, __global const float *restrict dgates,
         __global float *restrict dx, __global float *restrict dq, __global float *restrict dh0,
         __local float *memory, int B, int T, int H, int has_h0, int has_dy, int has_dgates) {
    const int begin = (int)get_group_id(0) * SAMPLES, rows = min(SAMPLES, B - begin);
    const int padded = (H + 15) / 16 * 16;
    /* Of h, from the steps behind; and of q at this step. */
    __local float *dh = memory, *dpre = dh + SAMPLES * padded;
    FOR_UNITS(j) {
        for (int s = 0; s < SAMPLES; s++) {
            LOCAL_PUT(dh + s * padded + j, (real)(0.0f));
            for (int g = 0; g < 3; g++)
                LOCAL_PUT(dpre + (s * 3 + g) * padded + j, (real)(0.0f));
        }
    }
    for (int t = T - 1; t >= 0; t--) {
        FOR_UNITS(j) {
            for (int s = 0; s < rows; s++) {
                const size_t row = (size_t)(begin + s) * T + t;
                __global const float *gate = gates + row * 4 * H + j;
                const real reset = GET(gate), keep = GET(gate + H), fresh = GET(gate + 2 * H);
                const real inner = GET(gate + 3 * H);
                real before = (real)(0.0f);
                if (t > 0)
                    before = GET(y + (row - 1) * H + j);
                else if (has_h0)
                    before = GET(h0 + (size_t)(begin + s) * H + j);
                real d = LOCAL_GET(dh + s * padded + j);
                if (has_dy)
                    d += GET(dy + row * H + j);
                real dreset = (real)(0.0f), dinner = (real)(0.0f);
                real dkeep = d * (before - fresh), dfresh = d * (ONE - keep);
                if (has_dgates) {
                    __global const float *from = dgates + row * 4 * H + j;
                    dreset = GET(from);
                    dkeep += GET(from + H);
                    dfresh += GET(from + 2 * H);
                    dinner = GET(from + 3 * H);
                }
                dfresh *= ONE - fresh * fresh;
                dreset = (dreset + dfresh * inner) * reset * (ONE - reset);
                dkeep *= keep * (ONE - keep);
                dinner += dfresh * reset;
                __global float *to = dx + row * 3 * H + j;
                PUT(to, dreset);
                PUT(to + H, dkeep);
                PUT(to + 2 * H, dfresh);
                to = dq + row * 3 * H + j;
                PUT(to, dreset);
                PUT(to + H, dkeep);
                PUT(to + 2 * H, dinner);
                LOCAL_PUT(dpre + (s * 3 + 0) * padded + j, dreset);
                LOCAL_PUT(dpre + (s * 3 + 1) * padded + j, dkeep);
                LOCAL_PUT(dpre + (s * 3 + 2) * padded + j, dinner);
                LOCAL_PUT(dh + s * padded + j, d * keep);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        FOR_UNITS(j) {
            real sum[SAMPLES][3];
#pragma unroll
            for (int s = 0; s < SAMPLES; s++)
#pragma unroll
                for (int g = 0; g < 3; g++)
                    sum[s][g] = (real)(0.0f);
            for (int k = 0; k < H; k++) {
#pragma unroll
                for (int g = 0; g < 3; g++) {
                    const real weight = GET(w + ((size_t)g * H + k) * H + j);
#pragma unroll
                    for (int s = 0; s < SAMPLES; s++)
                        sum[s][g] = fma((real)(dpre[(s * 3 + g) * padded + k]), weight, sum[s][g]);
                }
            }
#pragma unroll
            for (int s = 0; s < SAMPLES; s++)
                LOCAL_PUT(dh + s * padded + j,
                          LOCAL_GET(dh + s * padded + j) + (sum[s][0] + sum[s][1] + sum[s][2]));
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    FOR_UNITS(j) {
        for (int s = 0; s < rows; s++)
            PUT(dh0 + (size_t)(begin + s) * H + j, LOCAL_GET(dh + s * padded + j));
    }
}
