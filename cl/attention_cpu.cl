/* Attention for CPUs; what it computes is said in attention.clh.
 *
 * A work-item per work-group computes `block` queries, a multiple of MR, of a head; global size
 * (ceil(Tq / block), B H). Local memory: 2 block padded + 2 COLUMNS padded + MR COLUMNS + 2 block
 * floats, padded being the width rounded up to NR.
 */
#include "attention_cpu.clh"

/* Scores of a row to exp(score - maximum): the new maximum and sum, and by what the old sums are
 * multiplied. `visible` columns count. */
static inline float soften(__local float *s, __global const float *mask, int masked, int mask_j,
                           int visible, int columns, float scale, __local float *highest,
                           __local float *total) {
    float16 high = (float16)(-INFINITY);
    for (int c = 0; c < columns; c += 16) {
        float16 x = local16(s + c) * (float16)(scale);
        if (masked && c < visible)
            x += mask16(mask + c * mask_j, mask_j, visible - c);
        x = select((float16)(-INFINITY), x, (int16)(c) + LANES < (int16)(visible));
        put16(s + c, x);
        high = fmax(high, x);
    }
    const float before = *highest, now = fmax(before, max16(high));
    const float16 base = (float16)(now == -INFINITY ? 0.0f : now);
    float16 sum = (float16)(0.0f);
    for (int c = 0; c < columns; c += 16) {
        const float16 p = exp16_f32(local16(s + c) - base);
        put16(s + c, p);
        sum += p;
    }
    const float factor = exp(before - base.s0);
    *highest = now;
    *total = *total * factor + sum16(sum);
    return factor;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_cpu(__global const float *restrict q, __global const float *restrict k,
              __global const float *restrict v, __global const float *restrict mask,
              __global float *restrict y, __global float *restrict lse, __local float *memory,
              int block, ATTENTION_ARGS) {
    const int begin = (int)get_global_id(0) * block, bh = (int)get_global_id(1);
    const int b = bh / heads, h = bh % heads;
    const int padded = (width + NR - 1) / NR * NR, step = heads * width;
    const int rows = min(block, queries - begin);
    __local float *query = memory, *sums = query + block * padded;
    __local float *key = sums + block * padded, *value = key + COLUMNS * padded;
    __local float *s = value + COLUMNS * padded;
    __local float *highest = s + MR * COLUMNS, *total = highest + block;

    q += ((size_t)b * queries + begin) * step + h * width;
    y += ((size_t)b * queries + begin) * step + h * width;
    k += (size_t)b * keys * step + h * width;
    v += (size_t)b * keys * step + h * width;
    lse += (size_t)bh * queries + begin;
    mask += b * mask_b + h * mask_h;

    copy_rows(q, query, step, rows, block, width, padded);
    clear(sums, block * padded);
    expect_rows(y, step, rows, width);
    for (int i = 0; i < block; i++) {
        highest[i] = -INFINITY;
        total[i] = 0.0f;
    }

    const int end = causal ? min(keys, begin + rows) : keys;
    for (int j = 0; j < end; j += COLUMNS) {
        const int count = min(COLUMNS, end - j);
        copy_rows(k + (size_t)j * step, value, step, count, COLUMNS, width, padded);
        turn(value, key, padded);
        copy_rows(v + (size_t)j * step, value, step, count, COLUMNS, width, padded);
        for (int r0 = 0; r0 < rows; r0 += MR) {
            /* Columns that the tile's last row sees. */
            const int columns = causal ? min(count, begin + r0 + MR - j) : count;
            if (columns <= 0)
                continue;
            tile_product(query + r0 * padded, key, s, 0, columns, width, padded);
            float factor[MR];
            for (int r = 0; r < MR; r++) {
                const int i = begin + min(r0 + r, rows - 1);
                const int visible = causal ? min(count, i + 1 - j) : count;
                factor[r] = soften(s + r * COLUMNS, mask + i * mask_i + j * mask_j, masked, mask_j,
                                   visible, columns, scale, highest + r0 + r, total + r0 + r);
            }
            tile_add(s, value, sums + r0 * padded, factor, 0, columns, padded);
        }
    }

    for (int r = 0; r < rows; r++) {
        const float sum = total[r];
        store_row(y + (size_t)r * step, sums + r * padded, width, sum == 0.0f ? 0.0f : 1.0f / sum);
        lse[r] = sum == 0.0f ? -INFINITY : highest[r] + log(sum);
    }
}
