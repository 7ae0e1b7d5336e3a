/* dx, rows of `length`, with dy in its places and 0 elsewhere. Row r is (o, j) = (r / k, r % k). It has
 * row (j - begin) / step of dy's `count` per o, when step divides that and there is such a row; dy's
 * rows have dy_length elements and begin at column `shift`.
 *
 * slice_grad_items: GPUs, a work-item per element of dx, any local size.
 * slice_grad_rows: CPUs, a work-item per `block` rows. */

/* dy's row for row r of dx, or -1. */
static inline int source_row(int r, int k, int begin, int step, int count) {
    const int o = r / k, j = r - o * k - begin;
    const int at = j / step;
    return j >= 0 && j == at * step && at < count ? o * count + at : -1;
}

__kernel void slice_grad_items(__global const float *restrict dy, __global float *restrict dx,
                               int rows, int length, int k, int begin, int step, int count,
                               int shift, int dy_length) {
    const int id = (int)get_global_id(0);
    const int r = id / length, c = id - r * length - shift;
    if (r >= rows)
        return;
    const int from = source_row(r, k, begin, step, count);
    dx[id] = from >= 0 && c >= 0 && c < dy_length ? dy[from * dy_length + c] : 0.0f;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
slice_grad_rows(__global const float *restrict dy, __global float *restrict dx, int rows,
                int length, int k, int begin, int step, int count, int shift, int dy_length,
                int block) {
    const int first = (int)get_global_id(0) * block, last = min(rows, first + block);
    for (int r = first; r < last; r++) {
        const int from = source_row(r, k, begin, step, count);
        const int filled = from >= 0 ? dy_length : 0, before = from >= 0 ? shift : length;
        __global float *to = dx + r * length;
        __global const float *source = dy + max(from, 0) * dy_length;
        for (int c = 0; c < before; c++)
            to[c] = 0.0f;
        for (int c = 0; c < filled; c++)
            to[before + c] = source[c];
        for (int c = before + filled; c < length; c++)
            to[c] = 0.0f;
    }
}
