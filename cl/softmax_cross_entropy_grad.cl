/* dx[r][c] = (softmax(x[r])[c] - [c == label[r]]) * dloss[r]; the row is NaN when the label is not
 * in 0..columns-1.
 *
 * x, dx: rows x columns, dense; label, dloss: rows. softmax_cross_entropy_grad_row: a work-item per
 * row, for CPUs and short rows. softmax_cross_entropy_grad_group: a work-group of LOCAL work-items
 * per row.
 */
#include "softmax.clh"

__kernel void softmax_cross_entropy_grad_row(__global const float *restrict x,
                                             __global const int *restrict labels,
                                             __global const float *restrict dloss,
                                             __global float *restrict dx, int rows, int columns) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    dx += (size_t)r * columns;
    const float sum = row_exp(x, dx, columns, row_top(x, columns));
    const int label = labels[r];
    const bool known = label >= 0 && label < columns;
    const float16 scale = (float16)(known ? 1.0f / sum : NAN);
    const float16 weight = (float16)(dloss[r]);
    /* The 1 comes off before dloss scales, or rounding would show where both nearly cancel. */
    const float at_label = known ? dx[label] : 0.0f;
    int c = 0;
    for (; c + 16 <= columns; c += 16)
        *(__global f16u *)(dx + c) = AT(dx + c) * scale * weight;
    if (c < columns)
        store16(dx + c, columns - c, load16(dx + c, columns - c, 0.0f) * scale * weight);
    if (known)
        dx[label] = (at_label * scale.s0 - 1.0f) * weight.s0;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void softmax_cross_entropy_grad_group(
    __global const float *restrict x, __global const int *restrict labels,
    __global const float *restrict dloss, __global float *restrict dx, int rows, int columns) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    dx += (size_t)r * columns;
    const float top = group_top(x, columns, scratch);
    const float sum = group_exp_sum(x, columns, top, scratch);
    const int label = labels[r];
    const float scale = label >= 0 && label < columns ? 1.0f / sum : NAN;
    const float weight = dloss[r];
    for (int c = id; c < columns; c += LOCAL)
        dx[c] = (exp(x[c] - top) * scale - (c == label ? 1.0f : 0.0f)) * weight;
}
