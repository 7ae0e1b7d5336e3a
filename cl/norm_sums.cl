/* Gradients of the scale and the shift of a normalisation, for each channel c:
 *   shift[c] = sum over r and s of dy[r][c][s]
 *   scale[c] = sum over r and s of dy[r][c][s] (x[r][c][s] - mean) rstd
 *
 * dy, x: R x channels x inner, dense. mean and rstd are those of channel c (-DPER_CHANNEL: channels
 * each) or of group c / (channels / groups) of row r (R x groups each). R is cut in `parts` of
 * ceil(R / parts); scale and shift (parts x channels) get a sum per part.
 *
 * norm_sums_columns  CPUs, inner == 1, one group: a work-item per 16 channels; global
 *                    (ceil(channels / 16), parts)
 * norm_sums_planes   CPUs: a work-item per value; global (channels, parts)
 * norm_sums_items    GPUs, inner == 1: a work-item per value; global (channels, parts)
 * norm_sums_group    GPUs: a work-group of LOCAL work-items per value; global
 *                    (channels * LOCAL, parts)
 */
#include "rows.clh"

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

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void norm_sums_columns(ARGUMENTS) {
    const int c = (int)get_global_id(0) * 16, part = (int)get_global_id(1), count = channels - c;
    PART(part);
    float16 a = (float16)(0.0f), b = (float16)(0.0f);
#ifdef PER_CHANNEL
    const float16 centre = load16(mean + c, count, 0.0f), factor = load16(rstd + c, count, 0.0f);
#endif
    for (int r = begin; r < end; r++) {
        const float16 d = load16(dy + r * channels + c, count, 0.0f);
        const float16 v = load16(x + r * channels + c, count, 0.0f);
#ifdef PER_CHANNEL
        a += d * (v - centre);
#else
        a += d * ((v - (float16)(mean[r])) * (float16)(rstd[r]));
#endif
        b += d;
    }
#ifdef PER_CHANNEL
    a *= factor;
#endif
    store16(scale + part * channels + c, count, a);
    store16(shift + part * channels + c, count, b);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void norm_sums_planes(ARGUMENTS) {
    const int c = (int)get_global_id(0), part = (int)get_global_id(1);
    PART(part);
    float total_a = 0.0f, total_b = 0.0f;
    for (int r = begin; r < end; r++) {
        const size_t at = ((size_t)r * channels + c) * inner;
        const float16 centre = (float16)(mean[STATISTIC(r, c)]);
        float16 a = (float16)(0.0f), b = (float16)(0.0f);
        for (int s = 0; s < inner; s += 16) {
            const float16 d = load16(dy + at + s, inner - s, 0.0f);
            a += d * (load16(x + at + s, inner - s, 0.0f) - centre);
            b += d;
        }
        total_a += sum16(a) * rstd[STATISTIC(r, c)];
        total_b += sum16(b);
    }
    scale[part * channels + c] = total_a;
    shift[part * channels + c] = total_b;
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
