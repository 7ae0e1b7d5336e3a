/* The gradient of norm.cl by x, and the statistics of each row for the gradients of gamma and beta:
 *   g = dy [gamma], n = (x - mean) rstd, dx = rstd (g - average of g - n average of g n)
 * with averages over the row; with -DRMS the mean is 0 and the average of g is left out.
 *
 * dy, x, dx: rows x channels x inner, dense; gamma as for norm.cl; mean, rstd: rows.
 *
 * norm_grad_features  CPUs and short rows, inner == 1: a work-item per row
 * norm_grad_planes    CPUs and short rows: a work-item per row
 * norm_grad_group     GPUs: a work-group of LOCAL work-items per row
 */
#include "norm.clh"

#ifdef GAMMA
#define GAMMA_ARG   __global const float *restrict gamma,
#define SCALE(c)    gamma[c]
#define SCALE16(c)  load16(gamma + (c), channels - (c), 0.0f)
#define MOVE_GAMMA  gamma += r % groups * channels
#else
#define GAMMA_ARG
#define SCALE(c)    1.0f
#define SCALE16(c)  (float16)(1.0f)
#define MOVE_GAMMA  (void)0
#endif

#define ARGUMENTS                                                                                  \
    __global const float *restrict dy, __global const float *restrict x,                           \
        GAMMA_ARG __global float *restrict dx, __global float *restrict mean_out,                  \
        __global float *restrict rstd_out, int rows, int channels, int inner, int groups,          \
        float eps

/* The row's part of every operand. */
#define MOVE                                                                                       \
    const int length = channels * inner;                                                           \
    dy += (size_t)r * length;                                                                      \
    x += (size_t)r * length;                                                                       \
    dx += (size_t)r * length;                                                                      \
    MOVE_GAMMA

#ifdef RMS
#define AVERAGE(sum) 0.0f
#else
#define AVERAGE(sum) ((sum) / (float)length)
#endif

__kernel void norm_grad_features(ARGUMENTS) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    MOVE;
    const float2 s = row_statistics(x, length, eps);
    const float16 mean = (float16)(s.x), rstd = (float16)(s.y);
    float16 a = (float16)(0.0f), b = (float16)(0.0f);
    for (int c = 0; c < channels; c += 16) {
        const float16 g = load16(dy + c, channels - c, 0.0f) * SCALE16(c);
        a += g;
        b += g * (load16(x + c, channels - c, 0.0f) - mean);
    }
    const float16 of_g = (float16)(AVERAGE(sum16(a)));
    const float16 of_n = (float16)(sum16(b) * s.y / (float)length * s.y);
    for (int c = 0; c < channels; c += 16) {
        const float16 g = load16(dy + c, channels - c, 0.0f) * SCALE16(c);
        const float16 d = load16(x + c, channels - c, 0.0f) - mean;
        store16(dx + c, channels - c, rstd * (g - of_g - d * of_n));
    }
    mean_out[r] = s.x;
    rstd_out[r] = s.y;
}

__kernel void norm_grad_planes(ARGUMENTS) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    MOVE;
    const float2 s = row_statistics(x, length, eps);
    const float16 mean = (float16)(s.x);
    float sum_a = 0.0f, sum_b = 0.0f;
    for (int c = 0; c < channels; c++) {
        float16 a = (float16)(0.0f), b = (float16)(0.0f);
        for (int i = 0; i < inner; i += 16) {
            const float16 g = load16(dy + c * inner + i, inner - i, 0.0f);
            a += g;
            b += g * (load16(x + c * inner + i, inner - i, 0.0f) - mean);
        }
        sum_a += sum16(a) * SCALE(c);
        sum_b += sum16(b) * SCALE(c);
    }
    const float16 of_g = (float16)(AVERAGE(sum_a) * s.y);
    const float16 of_n = (float16)(sum_b * s.y / (float)length * s.y * s.y);
    for (int c = 0; c < channels; c++) {
        const float16 scale = (float16)(SCALE(c) * s.y);
        for (int i = 0; i < inner; i += 16) {
            const float16 g = load16(dy + c * inner + i, inner - i, 0.0f);
            const float16 d = load16(x + c * inner + i, inner - i, 0.0f) - mean;
            store16(dx + c * inner + i, inner - i, g * scale - of_g - d * of_n);
        }
    }
    mean_out[r] = s.x;
    rstd_out[r] = s.y;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void norm_grad_group(ARGUMENTS) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    MOVE;
    const float2 s = group_statistics(x, length, eps, scratch);
    float a = 0.0f, b = 0.0f;
    for (int i = id; i < length; i += LOCAL) {
        const float g = dy[i] * SCALE(i / inner);
        a += g;
        b += g * (x[i] - s.x);
    }
    const float of_g = AVERAGE(group_sum(a, scratch));
    const float of_n = group_sum(b, scratch) * s.y / (float)length * s.y;
    for (int i = id; i < length; i += LOCAL)
        dx[i] = s.y * (dy[i] * SCALE(i / inner) - of_g - (x[i] - s.x) * of_n);
    if (id == 0) {
        mean_out[r] = s.x;
        rstd_out[r] = s.y;
    }
}
