/* value[r][j], index[r][j]: the j-th largest of row r of x and its column, j < k <= columns. Of equals
 * the first column comes first; a NaN counts as larger than all numbers. x: rows x columns, dense.
 *
 * top_k_row: a work-item per row, which keeps a sorted list in the results; any local size.
 * top_k_group: GPUs, a work-group of LOCAL work-items per row, k sweeps over it. */
#ifndef LOCAL
#define LOCAL 64
#endif

/* True when v goes before w, wherever they are. */
static inline bool exceeds(float v, float w) {
    return v > w || (v != v && w == w);
}

__kernel void top_k_row(__global const float *restrict x, __global float *restrict value,
                        __global int *restrict index, int rows, int columns, int k) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += r * columns;
    value += r * k;
    index += r * k;
    int count = 0;
    for (int c = 0; c < columns; c++) {
        const float candidate = x[c];
        if (count == k && !exceeds(candidate, value[k - 1]))
            continue;
        int j = count < k ? count++ : k - 1;
        for (; j > 0 && exceeds(candidate, value[j - 1]); j--) {
            value[j] = value[j - 1];
            index[j] = index[j - 1];
        }
        value[j] = candidate;
        index[j] = c;
    }
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
top_k_group(__global const float *restrict x, __global float *restrict value,
            __global int *restrict index, int rows, int columns, int k) {
    __local float highs[LOCAL];
    __local int places[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += r * columns;
    float before = 0.0f;
    int taken = -1;
    for (int j = 0; j < k; j++) {
        /* The first of the largest behind the one taken last. */
        float high = 0.0f;
        int place = columns;
        for (int c = id; c < columns; c += LOCAL) {
            const float candidate = x[c];
            const bool behind = taken < 0 || exceeds(before, candidate) ||
                                (!exceeds(candidate, before) && c > taken);
            if (behind && (place == columns || exceeds(candidate, high))) {
                high = candidate;
                place = c;
            }
        }
        highs[id] = high;
        places[id] = place;
        for (int span = LOCAL / 2; span > 0; span /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (id < span) {
                const float other = highs[id + span];
                const int there = places[id + span];
                if (there < columns &&
                    (places[id] == columns || exceeds(other, highs[id]) ||
                     (!exceeds(highs[id], other) && there < places[id]))) {
                    highs[id] = other;
                    places[id] = there;
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        before = highs[0];
        taken = places[0];
        if (id == 0) {
            value[r * k + j] = before;
            index[r * k + j] = taken;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
