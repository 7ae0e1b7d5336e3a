/* y[r][c] = 1 where c is index[r], else 0; NaN for all c when index[r] is not in 0 .. classes - 1.
 *
 * one_hot_items: GPUs, a work-item per element, any local size.
 * one_hot_rows: CPUs, a work-item per `block` rows. */
__kernel void one_hot_items(__global const int *restrict index, __global float *restrict y,
                            int rows, int classes) {
    const int id = (int)get_global_id(0);
    const int r = id / classes, c = id - r * classes;
    if (r >= rows)
        return;
    const int at = index[r];
    y[id] = at < 0 || at >= classes ? NAN : c == at ? 1.0f : 0.0f;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
one_hot_rows(__global const int *restrict index, __global float *restrict y, int rows, int classes,
             int block) {
    const int first = (int)get_global_id(0) * block, last = min(rows, first + block);
    for (int r = first; r < last; r++) {
        const int at = index[r];
        const bool inside = at >= 0 && at < classes;
        __global float *row = y + (size_t)r * classes;
        for (int c = 0; c < classes; c++)
            row[c] = inside ? 0.0f : NAN;
        if (inside)
            row[at] = 1.0f;
    }
}
