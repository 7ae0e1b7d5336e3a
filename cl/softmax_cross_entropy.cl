/* loss[r] = log(sum over c of exp(x[r][c])) - x[r][label[r]], the row's maximum taken off before;
 * NaN when the label is not in 0..columns-1.
 *
 * x: rows x columns, dense; label, loss: rows. softmax_cross_entropy_row: a work-item per row, for
 * CPUs and short rows. softmax_cross_entropy_group: a work-group of LOCAL work-items per row. A row
 * comes from memory once; the second sweep finds it in the cache.
 */
#include "softmax.clh"

__kernel void softmax_cross_entropy_row(__global const float *restrict x,
                                        __global const int *restrict labels,
                                        __global float *restrict loss, int rows, int columns) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    const float top = row_top(x, columns), sum = row_exp_sum(x, columns, top);
    const int label = labels[r];
    loss[r] = label >= 0 && label < columns ? log(sum) + (top - x[label]) : NAN;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
softmax_cross_entropy_group(__global const float *restrict x, __global const int *restrict labels,
                            __global float *restrict loss, int rows, int columns) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    const float top = group_top(x, columns, scratch);
    const float sum = group_exp_sum(x, columns, top, scratch);
    if (id == 0) {
        const int label = labels[r];
        loss[r] = label >= 0 && label < columns ? log(sum) + (top - x[label]) : NAN;
    }
}
