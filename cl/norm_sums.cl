/* Gradients of the scale and the shift of a normalisation, for each channel c:
 *   shift[c] = sum over r and s of dy[r][c][s]
 *   scale[c] = sum over r and s of dy[r][c][s] (x[r][c][s] - mean) rstd
 *
 * dy, x: R x channels x inner, dense. mean and rstd are those of channel c (-DPER_CHANNEL: channels
 * each) or of group c / (channels / groups) of row r (R x groups each). R is cut in `parts` of
 * ceil(R / parts); scale and shift (parts x channels) get a sum per part.
 *
 * norm_sums_columns  CPUs, inner == 1, one group: a work-item per 64 channels, so that it reads whole
 *                    stretches of a row; global (ceil(channels / 64), parts)
 * norm_sums_planes   CPUs: a work-item per value; global (channels, parts)
 * norm_sums_items    GPUs, inner == 1: a work-item per value; global (channels, parts)
 * norm_sums_group    GPUs: a work-group of LOCAL work-items per value; global
 *                    (channels * LOCAL, parts)
 */
#include "prefetch.clh"
#include "rows.clh"

#define ROWS_AHEAD 16 /* that norm_sums_columns asks for early: they are far apart */

#ifdef PER_CHANNEL
#define STATISTIC(r, c) (c)
#else
#define STATISTIC(r, c) ((r)*groups + (c) / (channels / groups))
#endif

#define ARGUMENTS                                                                                  \
    __global const float *restrict dy, __global const float *restrict x,                           \
        __global const float *restrict mean, __global const float *restrict rstd,                  \
        __global float *restrict scale, __global float *restrict shift, int R, int channels,       \
        int inner, int groups, int parts

#define PART(part)                                                                                 \
    const int length = (R + parts - 1) / parts;                                                    \
    const int begin = min(R, (part)*length), end = min(R, begin + length)

#ifdef PER_CHANNEL
#define DEVIATION(v, k) ((v)-centre[k])
#else
#define DEVIATION(v, k) (((v) - (float16)(mean[r])) * (float16)(rstd[r]))
#endif

/* 64 channels from c. */
static inline void sums_of_64(__global const float *dy, __global const float *x,
                              __global const float *mean, __global const float *rstd,
                              __global float *scale, __global float *shift, int begin, int end,
                              int channels) {
    float16 a[4], b[4];
#ifdef PER_CHANNEL
    float16 centre[4];
    _Pragma("unroll") for (int k = 0; k < 4; k++) centre[k] = ((__global const f16u *)mean)[k];
#endif
    _Pragma("unroll") for (int k = 0; k < 4; k++) a[k] = b[k] = (float16)(0.0f);
    for (int r = begin; r < end; r++) {
        __global const f16u *d = (__global const f16u *)(dy + r * channels);
        __global const f16u *v = (__global const f16u *)(x + r * channels);
        _Pragma("unroll") for (int k = 0; k < 4; k++) {
            PREFETCH(dy + (size_t)(r + ROWS_AHEAD) * channels + 16 * k);
            PREFETCH(x + (size_t)(r + ROWS_AHEAD) * channels + 16 * k);
            a[k] += d[k] * DEVIATION(v[k], k);
            b[k] += d[k];
        }
    }
    _Pragma("unroll") for (int k = 0; k < 4; k++) {
#ifdef PER_CHANNEL
        a[k] *= ((__global const f16u *)rstd)[k];
#endif
        ((__global f16u *)scale)[k] = a[k];
        ((__global f16u *)shift)[k] = b[k];
    }
}

/* At most 16. */
static inline void sums_of_16(__global const float *dy, __global const float *x,
                              __global const float *mean, __global const float *rstd,
                              __global float *scale, __global float *shift, int begin, int end,
                              int channels, int count) {
    float16 a = (float16)(0.0f), b = (float16)(0.0f);
#ifdef PER_CHANNEL
    const float16 centre[1] = {load16(mean, count, 0.0f)};
#endif
    for (int r = begin; r < end; r++) {
        const float16 d = load16(dy + r * channels, count, 0.0f);
        a += d * DEVIATION(load16(x + r * channels, count, 0.0f), 0);
        b += d;
    }
#ifdef PER_CHANNEL
    a *= load16(rstd, count, 0.0f);
#endif
    store16(scale, count, a);
    store16(shift, count, b);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void norm_sums_columns(ARGUMENTS) {
    const int part = (int)get_global_id(1);
    PART(part);
    const int step = channels - (int)get_global_id(0) * 64 >= 64 ? 64 : 16;
    const int c_end = min(channels, ((int)get_global_id(0) + 1) * 64);
    for (int c = (int)get_global_id(0) * 64; c < c_end; c += step) {
#ifdef PER_CHANNEL
        __global const float *m = mean + c, *f = rstd + c;
#else
        __global const float *m = mean, *f = rstd;
#endif
        const int to = part * channels + c;
        if (step == 64)
            sums_of_64(dy + c, x + c, m, f, scale + to, shift + to, begin, end, channels);
        else
            sums_of_16(dy + c, x + c, m, f, scale + to, shift + to, begin, end, channels,
                       channels - c);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void norm_sums_planes(ARGUMENTS) {
    const int c = (int)get_global_id(0), part = (int)get_global_id(1);
    PART(part);
    float16 total_a = (float16)(0.0f), total_b = (float16)(0.0f);
    for (int r = begin; r < end; r++) {
        const size_t at = ((size_t)r * channels + c) * inner;
        const float16 centre = (float16)(mean[STATISTIC(r, c)]);
        float16 a = (float16)(0.0f), b = a, a2 = a, b2 = a;
        int s = 0;
        for (; s + 32 <= inner; s += 32) {
            const float16 d = *(__global const f16u *)(dy + at + s);
            const float16 d2 = *(__global const f16u *)(dy + at + s + 16);
            a += d * (*(__global const f16u *)(x + at + s) - centre);
            a2 += d2 * (*(__global const f16u *)(x + at + s + 16) - centre);
            b += d;
            b2 += d2;
        }
        for (; s < inner; s += 16) {
            const float16 d = load16(dy + at + s, inner - s, 0.0f);
            a += d * (load16(x + at + s, inner - s, 0.0f) - centre);
            b += d;
        }
        total_a += (a + a2) * (float16)(rstd[STATISTIC(r, c)]);
        total_b += b + b2;
    }
    scale[part * channels + c] = sum16(total_a);
    shift[part * channels + c] = sum16(total_b);
}

__kernel void norm_sums_items(ARGUMENTS) {
    const int c = (int)get_global_id(0), part = (int)get_global_id(1);
    if (c >= channels || part >= parts)
        return;
    PART(part);
    float a = 0.0f, b = 0.0f;
    for (int r = begin; r < end; r++) {
        const float d = dy[r * channels + c];
        a += d * ((x[r * channels + c] - mean[STATISTIC(r, c)]) * rstd[STATISTIC(r, c)]);
        b += d;
    }
    scale[part * channels + c] = a;
    shift[part * channels + c] = b;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void norm_sums_group(ARGUMENTS) {
    __local float scratch[LOCAL];
    const int c = (int)get_group_id(0), part = (int)get_group_id(1), id = (int)get_local_id(0);
    PART(part);
    float a = 0.0f, b = 0.0f;
    for (int i = id; i < (end - begin) * inner; i += LOCAL) {
        const int r = begin + i / inner;
        const size_t at = ((size_t)r * channels + c) * inner + i % inner;
        a += dy[at] * ((x[at] - mean[STATISTIC(r, c)]) * rstd[STATISTIC(r, c)]);
        b += dy[at];
    }
    a = group_sum(a, scratch);
    b = group_sum(b, scratch);
    if (id == 0) {
        scale[part * channels + c] = a;
        shift[part * channels + c] = b;
    }
}
