/* at[o][i] = the first r where x[o][r][i] is largest; the first NaN's where there is one.
 * x: outer x R x inner, dense; items = outer * inner; R >= 1.
 *
 * argmax_items: a work-item per result, any local size.
 * argmax_row: CPUs, inner == 1, a work-item per result.
 * argmax_columns: CPUs, a work-item per up to COLUMNS_MOST neighbours i; global (any, outer).
 * argmax_group: GPUs, inner == 1, a work-group of LOCAL work-items per result. */
#include "loop.clh"
#include "prefetch.clh"
#include "rows.clh"

#define COLUMNS_MOST 256 /* of a work-item of argmax_columns; argmax.c has it, too */
#define ROWS_AHEAD   8   /* that are asked for early: they are far apart */

/* True when v goes before w, a NaN before all others. */
static inline bool exceeds(float v, float w) {
    return v > w || (v != v && w == w);
}

static inline float larger(float a, float b) {
    return a > b || a != a ? a : b;
}

__kernel void argmax_items(__global const float *restrict x, __global int *restrict at, int items,
                           int R, int inner) {
    const int id = (int)get_global_id(0);
    if (id >= items)
        return;
    const int o = id / inner;
    x += o * R * inner + (id - o * inner);
    float high = x[0];
    int place = 0;
    for (int r = 1; r < R; r++) {
        const float value = x[r * inner];
        if (exceeds(value, high)) {
            high = value;
            place = r;
        }
    }
    at[id] = place;
}

/* The maximum first, in vectors; then where it is. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
argmax_row(__global const float *restrict x, __global int *restrict at, int items, int R,
           int inner) {
    const int id = (int)get_global_id(0);
    x += id * R;
    float16 high = (float16)(-INFINITY);
    for (int r = 0; r < R; r += 16) {
        const float16 value = load16(x + r, R - r, -INFINITY);
        high = value > high || value != value ? value : high;
    }
    const float top = OVER16(larger, high);
    int place = 0;
    while (x[place] != top && (top == top || x[place] == x[place]))
        place++;
    at[id] = place;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
argmax_columns(__global const float *restrict x, __global int *restrict at, int items, int R,
               int inner) {
    const int items_wide = (int)get_global_size(0);
    const int width = ((inner + items_wide - 1) / items_wide + 15) / 16 * 16;
    const int i = (int)get_global_id(0) * width, o = (int)get_global_id(1);
    const int count = min(width, inner - i);
    x += (size_t)o * R * inner + i;
    at += (size_t)o * inner + i;
    float high[COLUMNS_MOST];
    int place[COLUMNS_MOST];
    VECTOR_LOOP for (int c = 0; c < count; c++) {
        high[c] = x[c];
        place[c] = 0;
    }
    for (int r = 1; r < R; r++) {
        __global const float *row = x + (size_t)r * inner;
        for (int c = 0; c < count; c += 16)
            PREFETCH(row + (size_t)ROWS_AHEAD * inner + c);
        VECTOR_LOOP for (int c = 0; c < count; c++) {
            const float v = row[c];
            const bool later = (v > high[c]) | ((v != v) & (high[c] == high[c]));
            high[c] = later ? v : high[c];
            place[c] = later ? r : place[c];
        }
    }
    VECTOR_LOOP for (int c = 0; c < count; c++) at[c] = place[c];
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
argmax_group(__global const float *restrict x, __global int *restrict at, int items, int R,
             int inner) {
    __local float highs[LOCAL];
    __local int places[LOCAL];
    const int row = (int)get_group_id(0), id = (int)get_local_id(0);
    x += row * R;
    float high = -INFINITY;
    int place = R;
    for (int r = id; r < R; r += LOCAL)
        if (place == R || exceeds(x[r], high)) {
            high = x[r];
            place = r;
        }
    highs[id] = high;
    places[id] = place;
    for (int span = LOCAL / 2; span > 0; span /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (id < span) {
            const float other = highs[id + span];
            const int there = places[id + span];
            if (there < R && (places[id] == R || exceeds(other, highs[id]) ||
                              (!exceeds(highs[id], other) && there < places[id]))) {
                highs[id] = other;
                places[id] = there;
            }
        }
    }
    if (id == 0)
        at[row] = places[0];
}
