/* Gradient of cross_entropy by the logits; with p = softmax(x[r]), weights w (all 1 without
 * -DWEIGHTED), W their sum, smoothing s and label y:
 *
 *   dx[r][c] = (p[c] ((1 - s) w[y] + s / columns W) - s / columns w[c] - (1 - s) w[y] [c == y])
 *              * dloss[r]
 *
 * The row is 0 when `ignore` is 1 and y is ignore_index, NaN when y is not in 0..columns-1.
 *
 * x, dx: rows x columns, dense; labels, dloss: rows; weights: columns. cross_entropy_grad_row: a
 * work-item per row, for CPUs and short rows. cross_entropy_grad_group: a work-group of LOCAL
 * work-items per row.
 */
#include "softmax.clh"

#ifdef WEIGHTED
#define WEIGHT(c) weights[c]
#else
#define WEIGHT(c) 1.0f
#endif

__kernel void cross_entropy_grad_row(__global const float *restrict x,
                                     __global const int *restrict labels,
                                     __global const float *restrict dloss,
#ifdef WEIGHTED
                                     __global const float *restrict weights,
#endif
                                     __global float *restrict dx, int rows, int columns,
                                     float smoothing, int ignore, int ignore_index) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    dx += (size_t)r * columns;
    const int label = labels[r];
    if (ignore != 0 && label == ignore_index) {
        for (int c = 0; c < columns; c += 16)
            store16(dx + c, columns - c, (float16)(0.0f));
        return;
    }
    const float sum = row_exp(x, dx, columns, row_top(x, columns));
#ifdef WEIGHTED
    float16 all = (float16)(0.0f);
    for (int c = 0; c < columns; c += 16)
        all += load16(weights + c, columns - c, 0.0f);
    const float total = sum16(all);
#else
    const float total = (float)columns;
#endif
    const bool known = label >= 0 && label < columns;
    const float soft = smoothing / (float)columns;
    const float sharp = (1.0f - smoothing) * (known ? WEIGHT(label) : 0.0f);
    const float inverse = known ? 1.0f / sum : NAN;
    const float16 scale = (float16)(inverse), weight = (float16)(dloss[r]);
    const float16 whole = (float16)(sharp + soft * total);
    /* The 1 comes off before dloss scales, or rounding would show where both nearly cancel. */
    const float at_label = known ? dx[label] * inverse : 0.0f;
    for (int c = 0; c < columns; c += 16) {
        float16 part = load16(dx + c, columns - c, 0.0f) * scale * whole;
#ifdef WEIGHTED
        part -= (float16)(soft)*load16(weights + c, columns - c, 0.0f);
#else
        part -= (float16)(soft);
#endif
        store16(dx + c, columns - c, part * weight);
    }
    if (known)
        dx[label] =
            (sharp * (at_label - 1.0f) + soft * (total * at_label - WEIGHT(label))) * dloss[r];
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
cross_entropy_grad_group(__global const float *restrict x, __global const int *restrict labels,
                         __global const float *restrict dloss,
#ifdef WEIGHTED
                         __global const float *restrict weights,
#endif
                         __global float *restrict dx, int rows, int columns, float smoothing,
                         int ignore, int ignore_index) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    dx += (size_t)r * columns;
    const float top = group_top(x, columns, scratch);
    const float sum = group_exp_sum(x, columns, top, scratch);
    float total = 0.0f;
    for (int c = id; c < columns; c += LOCAL)
        total += WEIGHT(c);
    total = group_sum(total, scratch);
    const int label = labels[r];
    const bool known = label >= 0 && label < columns;
    const bool ignored = ignore != 0 && label == ignore_index;
    const float soft = smoothing / (float)columns;
    const float sharp = (1.0f - smoothing) * (known ? WEIGHT(label) : 0.0f);
    const float scale = known ? 1.0f / sum : NAN, weight = dloss[r];
    for (int c = id; c < columns; c += LOCAL) {
        const float p = exp(x[c] - top) * scale;
        const float part =
            sharp * (p - (c == label ? 1.0f : 0.0f)) + soft * (p * total - WEIGHT(c));
        dx[c] = ignored ? 0.0f : part * weight;
    }
}
