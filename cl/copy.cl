/* Copies rows of `length` 32-bit elements. Row r is (o, j) = (r / k, r % k); it goes from from_base +
 * o * from_outer + j * from_k to to_base + o * to_outer + j * to_k.
 *
 * copy_items: GPUs, a work-item per element, any local size.
 * copy_rows: CPUs, a work-item per CHUNK elements of `block` rows; global size
 * (ceil(length / CHUNK), ceil(rows / block)). */
#ifndef CHUNK
#define CHUNK 4096
#endif

__kernel void copy_items(__global const uint *restrict from, __global uint *restrict to, int rows,
                         int length, int k, int from_outer, int from_k, int from_base, int to_outer,
                         int to_k, int to_base) {
    const int id = (int)get_global_id(0);
    const int r = id / length, c = id - r * length;
    if (r >= rows)
        return;
    const int o = r / k, j = r - o * k;
    to[to_base + o * to_outer + j * to_k + c] = from[from_base + o * from_outer + j * from_k + c];
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
copy_rows(__global const uint *restrict from, __global uint *restrict to, int rows, int length,
          int k, int from_outer, int from_k, int from_base, int to_outer, int to_k, int to_base,
          int block) {
    const int begin = (int)get_global_id(0) * CHUNK, end = min(length, begin + CHUNK);
    const int first = (int)get_global_id(1) * block, last = min(rows, first + block);
    int o = first / k, j = first - o * k;
    for (int r = first; r < last; r++) {
        __global const uint *source = from + from_base + o * from_outer + j * from_k;
        __global uint *target = to + to_base + o * to_outer + j * to_k;
        for (int c = begin; c < end; c++)
            target[c] = source[c];
        if (++j == k) {
            j = 0;
            o++;
        }
    }
}
