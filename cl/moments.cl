/* Per row of x: mean[r] and m2[r], the sum of squared deviations from that mean. Two sweeps, so that
 * a large mean costs no digits; the row comes from memory once.
 *
 * x: rows x columns, dense. moments_row: a work-item per row, for CPUs and short rows.
 * moments_group: a work-group of LOCAL work-items per row.
 */
#include "rows.clh"

__kernel void moments_row(__global const float *restrict x, __global float *restrict mean,
                          __global float *restrict m2, int rows, int columns) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    const float centre = row_sum(x, columns) / (float)columns;
    mean[r] = centre;
    m2[r] = row_squares(x, columns, centre);
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
moments_group(__global const float *restrict x, __global float *restrict mean,
              __global float *restrict m2, int rows, int columns) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    float sum = 0.0f, squares = 0.0f;
    for (int c = id; c < columns; c += LOCAL)
        sum += x[c];
    const float centre = group_sum(sum, scratch) / (float)columns;
    for (int c = id; c < columns; c += LOCAL)
        squares += (x[c] - centre) * (x[c] - centre);
    squares = group_sum(squares, scratch);
    if (id == 0) {
        mean[r] = centre;
        m2[r] = squares;
    }
}
