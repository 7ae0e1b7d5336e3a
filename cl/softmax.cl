/* y[r][c] = exp(x[r][c]) / sum over the row of exp(x[r][.]), the row's maximum taken off before.
 *
 * x and y: rows x columns, dense. softmax_row: a work-item per row, for CPUs and short rows.
 * softmax_group: a work-group of LOCAL work-items per row. A row comes from memory once; later
 * sweeps find it in the cache.
 */
#include "softmax.clh"

__kernel void softmax_row(__global const float *restrict x, __global float *restrict y, int rows,
                          int columns) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    y += (size_t)r * columns;
    const float16 factor = (float16)(1.0f / row_exp(x, y, columns, row_top(x, columns)));
    int c = 0;
    for (; c + 16 <= columns; c += 16)
        *(__global f16u *)(y + c) = AT(y + c) * factor;
    if (c < columns)
        store16(y + c, columns - c, load16(y + c, columns - c, 0.0f) * factor);
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
softmax_group(__global const float *restrict x, __global float *restrict y, int rows, int columns) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    y += (size_t)r * columns;
    const float top = group_top(x, columns, scratch);
    const float factor = 1.0f / group_exp_sum(x, columns, top, scratch);
    for (int c = id; c < columns; c += LOCAL)
        y[c] = exp(x[c] - top) * factor;
}
