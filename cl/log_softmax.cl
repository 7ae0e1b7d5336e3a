/* y[r][c] = x[r][c] - log(sum over the row of exp(x[r][.])), the row's maximum taken off before.
 *
 * x and y: rows x columns, dense. log_softmax_row: a work-item per row, for CPUs and short rows.
 * log_softmax_group: a work-group of LOCAL work-items per row.
 */
#include "softmax.clh"

__kernel void log_softmax_row(__global const float *restrict x, __global float *restrict y,
                              int rows, int columns) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    y += (size_t)r * columns;
    const float top = row_top(x, columns), rest = log(row_exp_sum(x, columns, top));
    int c = 0;
    for (; c + 16 <= columns; c += 16)
        *(__global f16u *)(y + c) = AT(x + c) - (float16)(top) - (float16)(rest);
    if (c < columns)
        store16(y + c, columns - c,
                load16(x + c, columns - c, 0.0f) - (float16)(top) - (float16)(rest));
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
log_softmax_group(__global const float *restrict x, __global float *restrict y, int rows,
                  int columns) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    y += (size_t)r * columns;
    const float top = group_top(x, columns, scratch);
    const float rest = log(group_exp_sum(x, columns, top, scratch));
    for (int c = id; c < columns; c += LOCAL)
        y[c] = x[c] - top - rest;
}
