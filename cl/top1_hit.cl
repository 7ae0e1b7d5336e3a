/* hit[r] = 1 when the first of the largest elements of row r of x is at label[r], else 0.
 *
 * x: rows x columns, dense; label, hit: rows. top1_hit_row: a work-item per row, for CPUs and short
 * rows. top1_hit_group: a work-group of LOCAL work-items per row.
 */
#include "rows.clh"

__kernel void top1_hit_row(__global const float *restrict x, __global const int *restrict labels,
                           __global float *restrict hit, int rows, int columns) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    float high = x[0];
    int at = 0;
    for (int c = 1; c < columns; c++)
        if (x[c] > high) {
            high = x[c];
            at = c;
        }
    hit[r] = at == labels[r] ? 1.0f : 0.0f;
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
top1_hit_group(__global const float *restrict x, __global const int *restrict labels,
               __global float *restrict hit, int rows, int columns) {
    __local float highs[LOCAL];
    __local int places[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    float high = -INFINITY;
    int at = columns;
    for (int c = id; c < columns; c += LOCAL)
        if (at == columns || x[c] > high) {
            high = x[c];
            at = c;
        }
    highs[id] = high;
    places[id] = at;
    for (int span = LOCAL / 2; span > 0; span /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (id < span) {
            const float other = highs[id + span];
            const int place = places[id + span];
            if (place < columns &&
                (other > highs[id] || (other == highs[id] && place < places[id]))) {
                highs[id] = other;
                places[id] = place;
            }
        }
    }
    if (id == 0)
        hit[r] = places[0] == labels[r] ? 1.0f : 0.0f;
}
