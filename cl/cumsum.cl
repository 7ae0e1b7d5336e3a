/* y[o][r][i] = sum of x[o][q][i] over q <= r, or over q >= r with reverse. x, y: outer x R x inner,
 * dense.
 *
 * cumsum_items: a work-item per (o, i), items of them; any local size.
 * cumsum_columns: CPUs, a work-item per 16 neighbours i; global size (ceil(inner / 16), outer).
 * cumsum_row: CPUs, inner == 1, a work-item per row; 16 elements at a time are summed as they are.
 * cumsum_group: GPUs, inner == 1, a work-group of LOCAL work-items per row.
 *
 * A sum over many elements carries what rounding took from it (Kahan's sum in Neumaier's form, as
 * branch-free two-sum by Knuth), as errors would add up over the row. */
#include "rows.clh"

/* The sum with what was lost. Infinite ones and NaN lost nothing, but lost has become NaN. */
#define WHOLE(sum, lost) (isfinite(sum) ? (sum) + (lost) : (sum))

#define ADD(type, sum, lost, value)                                                                \
    do {                                                                                           \
        const type added = (sum) + (value);                                                        \
        const type rest = added - (sum);                                                           \
        lost += ((sum) - (added - rest)) + ((value)-rest);                                         \
        sum = added;                                                                               \
    } while (0)

__kernel void cumsum_items(__global const float *restrict x, __global float *restrict y, int items,
                           int R, int inner, int reverse) {
    const int id = (int)get_global_id(0);
    if (id >= items)
        return;
    const int o = id / inner, step = reverse ? -inner : inner;
    int at = (o * R + (reverse ? R - 1 : 0)) * inner + (id - o * inner);
    float sum = 0.0f, lost = 0.0f;
    for (int r = 0; r < R; r++, at += step) {
        const float value = x[at];
        ADD(float, sum, lost, value);
        y[at] = WHOLE(sum, lost);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
cumsum_columns(__global const float *restrict x, __global float *restrict y, int outer, int R,
               int inner, int reverse) {
    const int i = (int)get_global_id(0) * 16, o = (int)get_global_id(1), count = inner - i;
    const int step = reverse ? -inner : inner;
    int at = (o * R + (reverse ? R - 1 : 0)) * inner + i;
    float16 sum = (float16)(0.0f), lost = (float16)(0.0f);
    for (int r = 0; r < R; r++, at += step) {
        const float16 value = load16(x + at, count, 0.0f);
        ADD(float16, sum, lost, value);
        store16(y + at, count, WHOLE(sum, lost));
    }
}

/* Each lane plus the n lanes before it, or behind it with `reverse`, by doubling. Lane by lane, as
 * oclgrind's check for uninitialised values has it. */
static inline float16 sums_to(float16 v) {
    v += (float16)(0.0f, v.s0, v.s1, v.s2, v.s3, v.s4, v.s5, v.s6, v.s7, v.s8, v.s9, v.sa, v.sb,
                   v.sc, v.sd, v.se);
    v += (float16)(0.0f, 0.0f, v.s0, v.s1, v.s2, v.s3, v.s4, v.s5, v.s6, v.s7, v.s8, v.s9, v.sa,
                   v.sb, v.sc, v.sd);
    v += (float16)(0.0f, 0.0f, 0.0f, 0.0f, v.s0, v.s1, v.s2, v.s3, v.s4, v.s5, v.s6, v.s7, v.s8,
                   v.s9, v.sa, v.sb);
    v += (float16)(0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, v.s0, v.s1, v.s2, v.s3, v.s4,
                   v.s5, v.s6, v.s7);
    return v;
}

static inline float16 turned(float16 v) {
    return (float16)(v.sf, v.se, v.sd, v.sc, v.sb, v.sa, v.s9, v.s8, v.s7, v.s6, v.s5, v.s4, v.s3,
                     v.s2, v.s1, v.s0);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
cumsum_row(__global const float *restrict x, __global float *restrict y, int items, int R,
           int inner, int reverse) {
    const size_t row = (size_t)get_global_id(0) * R;
    float sum = 0.0f, lost = 0.0f;
    for (int r = 0; r < R; r += 16) {
        const int count = min(16, R - r);
        const size_t at = row + (reverse ? R - r - count : r);
        const float rest = isfinite(sum) ? lost : 0.0f;
        float16 v = load16(x + at, count, 0.0f);
        if (reverse)
            v = turned(v);
        /* Of a part, what was turned has its elements in the last lanes. */
        v = sums_to(v);
        const float value = v.sf;
        v = (float16)(sum) + v + (float16)(rest);
        store16(y + at, count, reverse ? turned(v) : v);
        ADD(float, sum, lost, value);
    }
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
cumsum_group(__global const float *restrict x, __global float *restrict y, int items, int R,
             int inner, int reverse) {
    __local float scan[LOCAL];
    const int id = (int)get_local_id(0), row = (int)get_group_id(0) * R;
    float sum = 0.0f, lost = 0.0f;
    for (int r0 = 0; r0 < R; r0 += LOCAL) {
        const int r = r0 + id, at = row + (reverse ? R - 1 - r : r);
        scan[id] = r < R ? x[at] : 0.0f;
        for (int span = 1; span < LOCAL; span *= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            const float value = id >= span ? scan[id - span] : 0.0f;
            barrier(CLK_LOCAL_MEM_FENCE);
            scan[id] += value;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (r < R)
            y[at] = WHOLE(sum + scan[id], lost);
        const float value = scan[LOCAL - 1];
        ADD(float, sum, lost, value);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
