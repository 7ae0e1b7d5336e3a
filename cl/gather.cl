/* y[o][j][i] = x[o][at][i], at = index[o * step_o + j * step_j + i * step_i]; NaN when that is not in
 * 0 .. A - 1. x: outer x A x inner, y: outer x J x inner, rows = outer * J; all dense.
 *
 * gather_items: GPUs, a work-item per element of y, any local size.
 * gather_rows: CPUs, a work-item per `block` rows. */
__kernel void gather_items(__global const float *restrict x, __global const int *restrict index,
                           __global float *restrict y, int rows, int A, int J, int inner,
                           int step_o, int step_j, int step_i) {
    const int id = (int)get_global_id(0);
    const int r = id / inner, i = id - r * inner;
    if (r >= rows)
        return;
    const int o = r / J, j = r - o * J;
    const int at = index[o * step_o + j * step_j + i * step_i];
    y[id] = at >= 0 && at < A ? x[(o * A + at) * inner + i] : NAN;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gather_rows(__global const float *restrict x, __global const int *restrict index,
            __global float *restrict y, int rows, int A, int J, int inner, int step_o, int step_j,
            int step_i, int block) {
    const int first = (int)get_global_id(0) * block, last = min(rows, first + block);
    int o = first / J, j = first - o * J;
    for (int r = first; r < last; r++) {
        __global const int *from = index + o * step_o + j * step_j;
        __global const float *source = x + o * A * inner;
        __global float *to = y + r * inner;
        if (step_i == 0) {
            const int at = from[0];
            if (at >= 0 && at < A)
                for (int i = 0; i < inner; i++)
                    to[i] = source[at * inner + i];
            else
                for (int i = 0; i < inner; i++)
                    to[i] = NAN;
        } else {
            for (int i = 0; i < inner; i++) {
                const int at = from[i];
                to[i] = at >= 0 && at < A ? source[at * inner + i] : NAN;
            }
        }
        if (++j == J) {
            j = 0;
            o++;
        }
    }
}
