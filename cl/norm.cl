/* y = (x - mean) rstd [gamma] [+ beta] with the mean and 1 / sqrt(variance + eps) of each row.
 *
 * x, y: rows x channels x inner, dense; gamma (-DGAMMA) and beta (-DBETA): groups x channels, row r
 * takes those of r % groups. -DRMS: no mean, root mean square instead of the deviation.
 *
 * norm_features  CPUs and short rows, inner == 1: a work-item per row
 * norm_planes    CPUs and short rows: a work-item per row
 * norm_group     GPUs: a work-group of LOCAL work-items per row
 */
#include "norm.clh"

#ifdef GAMMA
#define GAMMA_ARG   __global const float *restrict gamma,
#define SCALE(c)    gamma[c]
#define SCALE16(c)  load16(gamma + (c), channels - (c), 0.0f)
#else
#define GAMMA_ARG
#define SCALE(c)    1.0f
#define SCALE16(c)  (float16)(1.0f)
#endif
#ifdef BETA
#define BETA_ARG    __global const float *restrict beta,
#define SHIFT(c)    beta[c]
#define SHIFT16(c)  load16(beta + (c), channels - (c), 0.0f)
#else
#define BETA_ARG
#define SHIFT(c)    0.0f
#define SHIFT16(c)  (float16)(0.0f)
#endif

#define ARGUMENTS                                                                                  \
    __global const float *restrict x, GAMMA_ARG BETA_ARG __global float *restrict y, int rows,     \
        int channels, int inner, int groups, float eps

/* The row's part of every operand. */
#ifdef GAMMA
#define MOVE_GAMMA gamma += r % groups * channels
#else
#define MOVE_GAMMA (void)0
#endif
#ifdef BETA
#define MOVE_BETA beta += r % groups * channels
#else
#define MOVE_BETA (void)0
#endif
#define MOVE                                                                                       \
    const int length = channels * inner;                                                           \
    x += (size_t)r * length;                                                                       \
    y += (size_t)r * length;                                                                       \
    MOVE_GAMMA;                                                                                    \
    MOVE_BETA

__kernel void norm_features(ARGUMENTS) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    MOVE;
    const float2 s = row_statistics(x, length, eps);
    const float16 mean = (float16)(s.x), rstd = (float16)(s.y);
    for (int c = 0; c < channels; c += 16)
        store16(y + c, channels - c,
                (load16(x + c, channels - c, 0.0f) - mean) * rstd * SCALE16(c) + SHIFT16(c));
}

__kernel void norm_planes(ARGUMENTS) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    MOVE;
    const float2 s = row_statistics(x, length, eps);
    const float16 mean = (float16)(s.x);
    for (int c = 0; c < channels; c++) {
        const float16 scale = (float16)(s.y * SCALE(c)), shift = (float16)(SHIFT(c));
        for (int i = 0; i < inner; i += 16)
            store16(y + c * inner + i, inner - i,
                    (load16(x + c * inner + i, inner - i, 0.0f) - mean) * scale + shift);
    }
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void norm_group(ARGUMENTS) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    MOVE;
    const float2 s = group_statistics(x, length, eps, scratch);
    for (int i = id; i < length; i += LOCAL)
        y[i] = (x[i] - s.x) * s.y * SCALE(i / inner) + SHIFT(i / inner);
}
