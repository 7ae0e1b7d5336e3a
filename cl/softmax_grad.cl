/* dx = y (dy - sum over the row of y dy): the gradient of softmax from its result y.
 *
 * y, dy and dx: rows x columns, dense. softmax_grad_row: a work-item per row, for CPUs and short
 * rows. softmax_grad_group: a work-group of LOCAL work-items per row.
 */
#include "rows.clh"

__kernel void softmax_grad_row(__global const float *restrict y, __global const float *restrict dy,
                               __global float *restrict dx, int rows, int columns) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    y += (size_t)r * columns;
    dy += (size_t)r * columns;
    dx += (size_t)r * columns;
    float16 sum = (float16)(0.0f);
    for (int c = 0; c < columns; c += 16)
        sum += load16(y + c, columns - c, 0.0f) * load16(dy + c, columns - c, 0.0f);
    const float16 mean = (float16)(sum16(sum));
    for (int c = 0; c < columns; c += 16)
        store16(dx + c, columns - c,
                load16(y + c, columns - c, 0.0f) * (load16(dy + c, columns - c, 0.0f) - mean));
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
softmax_grad_group(__global const float *restrict y, __global const float *restrict dy,
                   __global float *restrict dx, int rows, int columns) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    y += (size_t)r * columns;
    dy += (size_t)r * columns;
    dx += (size_t)r * columns;
    float sum = 0.0f;
    for (int c = id; c < columns; c += LOCAL)
        sum += y[c] * dy[c];
    sum = group_sum(sum, scratch);
    for (int c = id; c < columns; c += LOCAL)
        dx[c] = y[c] * (dy[c] - sum);
}
