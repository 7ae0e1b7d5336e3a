/* Gradient of attention for CPUs (see attention.clh): the scores are computed again, from lse.
 *
 * delta(i) = dy(i) . y(i) (- dlse(i) when has_dlse); ds(i, j) = p(i, j) (dy(i) . v(j) - delta(i));
 * dq(i) = scale sum over j of ds(i, j) k(j), dk(j) = scale sum over i of ds(i, j) q(i),
 * dv(j) = sum over i of p(i, j) dy(i).
 * attention_dq_cpu runs first, since it also writes delta. Each sum belongs to one work-item, which
 * adds in a fixed order: equal inputs give equal bits.
 *
 * A work-item per work-group computes `block` queries (dq) or keys (dk, dv), a multiple of MR, of a
 * head; global size (ceil(Tq / block) or ceil(Tk / block), B H). Local memory, in floats:
 * dq:     3 block padded + 3 COLUMNS padded + 2 MR COLUMNS + 2 block
 * dk, dv: 4 block padded + 4 COLUMNS padded + 2 MR COLUMNS + 2 COLUMNS
 */
#include "attention_cpu.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_dq_cpu(__global const float *restrict q, __global const float *restrict k,
                 __global const float *restrict v, __global const float *restrict mask,
                 __global const float *restrict y, __global const float *restrict lse,
                 __global const float *restrict dy, __global const float *restrict dlse,
                 int has_dlse, __global float *restrict delta, __global float *restrict dq,
                 __local float *memory, int block, ATTENTION_ARGS) {
    const int begin = (int)get_global_id(0) * block, bh = (int)get_global_id(1);
    const int b = bh / heads, h = bh % heads;
    const int padded = (width + NR - 1) / NR * NR, step = heads * width;
    const int rows = min(block, queries - begin);
    __local float *query = memory, *dresult = query + block * padded;
    __local float *sums = dresult + block * padded;
    __local float *key = sums + block * padded, *turned_key = key + COLUMNS * padded;
    __local float *turned_value = turned_key + COLUMNS * padded;
    __local float *s = turned_value + COLUMNS * padded, *ds = s + MR * COLUMNS;
    __local float *row_lse = ds + MR * COLUMNS, *row_delta = row_lse + block;
    float one[MR];
    for (int r = 0; r < MR; r++)
        one[r] = 1.0f;

    const size_t first = ((size_t)b * queries + begin) * step + h * width;
    k += (size_t)b * keys * step + h * width;
    v += (size_t)b * keys * step + h * width;
    mask += b * mask_b + h * mask_h;
    copy_rows(q + first, query, step, rows, block, width, padded);
    copy_rows(dy + first, dresult, step, rows, block, width, padded);
    clear(sums, block * padded);
    expect_rows(dq + first, step, rows, width);
    for (int r = 0; r < rows; r++) {
        const size_t at = (size_t)bh * queries + begin + r;
        float16 sum = (float16)(0.0f);
        for (int d = 0; d < width; d += 16)
            sum += local16(dresult + r * padded + d) *
                   load16(y + first + (size_t)r * step + d, width - d, 0.0f);
        row_lse[r] = lse[at];
        row_delta[r] = sum16(sum) - (has_dlse ? dlse[at] : 0.0f);
        delta[at] = row_delta[r];
    }

    const int end = causal ? min(keys, begin + rows) : keys;
    for (int j = 0; j < end; j += COLUMNS) {
        const int count = min(COLUMNS, end - j);
        copy_rows(v + (size_t)j * step, key, step, count, COLUMNS, width, padded);
        turn(key, turned_value, padded);
        copy_rows(k + (size_t)j * step, key, step, count, COLUMNS, width, padded);
        turn(key, turned_key, padded);
        for (int r0 = 0; r0 < rows; r0 += MR) {
            const int columns = causal ? min(count, begin + r0 + MR - j) : count;
            if (columns <= 0)
                continue;
            tile_product(query + r0 * padded, turned_key, s, 0, columns, width, padded);
            tile_product(dresult + r0 * padded, turned_value, ds, 0, columns, width, padded);
            for (int r = 0; r < MR; r++) {
                const int row = min(r0 + r, rows - 1), i = begin + row;
                const int visible = causal ? min(count, i + 1 - j) : count;
                const float16 base = (float16)(row_lse[row]);
                for (int c = 0; c < columns; c += 16) {
                    float16 x = local16(s + r * COLUMNS + c) * (float16)(scale);
                    if (masked && c < visible)
                        x += mask16(mask + i * mask_i + (j + c) * mask_j, mask_j, visible - c);
                    x = exp16_f32(x - base) *
                        (local16(ds + r * COLUMNS + c) - (float16)(row_delta[row]));
                    x = select((float16)(0.0f), x, (int16)(c) + LANES < (int16)(visible));
                    x = select(x, (float16)(0.0f), base == (float16)(-INFINITY));
                    put16(ds + r * COLUMNS + c, x);
                }
            }
            tile_add(ds, key, sums + r0 * padded, one, 0, columns, padded);
        }
    }
    for (int r = 0; r < rows; r++)
        store_row(dq + first + (size_t)r * step, sums + r * padded, width, scale);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_dkv_cpu(__global const float *restrict q, __global const float *restrict k,
                  __global const float *restrict v, __global const float *restrict mask,
                  __global const float *restrict lse, __global const float *restrict dy,
                  __global const float *restrict delta, __global float *restrict dk,
                  __global float *restrict dv, __local float *memory, int block, ATTENTION_ARGS) {
    const int begin = (int)get_global_id(0) * block, bh = (int)get_global_id(1);
    const int b = bh / heads, h = bh % heads;
    const int padded = (width + NR - 1) / NR * NR, step = heads * width;
    const int rows = min(block, keys - begin);
    __local float *key = memory, *value = key + block * padded;
    __local float *sum_k = value + block * padded, *sum_v = sum_k + block * padded;
    __local float *query = sum_v + block * padded, *turned_query = query + COLUMNS * padded;
    __local float *dresult = turned_query + COLUMNS * padded;
    __local float *turned_dresult = dresult + COLUMNS * padded;
    __local float *p = turned_dresult + COLUMNS * padded, *ds = p + MR * COLUMNS;
    __local float *column_lse = ds + MR * COLUMNS, *column_delta = column_lse + COLUMNS;
    float one[MR];
    for (int r = 0; r < MR; r++)
        one[r] = 1.0f;

    const size_t first = ((size_t)b * keys + begin) * step + h * width;
    q += (size_t)b * queries * step + h * width;
    dy += (size_t)b * queries * step + h * width;
    lse += (size_t)bh * queries;
    delta += (size_t)bh * queries;
    mask += b * mask_b + h * mask_h;
    copy_rows(k + first, key, step, rows, block, width, padded);
    copy_rows(v + first, value, step, rows, block, width, padded);
    clear(sum_k, 2 * block * padded);
    expect_rows(dk + first, step, rows, width);
    expect_rows(dv + first, step, rows, width);

    /* Queries from the first that sees a key of this block. */
    for (int i = causal ? begin / COLUMNS * COLUMNS : 0; i < queries; i += COLUMNS) {
        const int count = min(COLUMNS, queries - i);
        copy_rows(q + (size_t)i * step, query, step, count, COLUMNS, width, padded);
        turn(query, turned_query, padded);
        copy_rows(dy + (size_t)i * step, dresult, step, count, COLUMNS, width, padded);
        turn(dresult, turned_dresult, padded);
        for (int c = 0; c < COLUMNS; c++) {
            /* exp(score - infinity) is 0: for queries that do not exist, or see nothing. */
            const float x = c < count ? lse[i + c] : INFINITY;
            column_lse[c] = x == -INFINITY ? INFINITY : x;
            column_delta[c] = c < count ? delta[i + c] : 0.0f;
        }
        for (int r0 = 0; r0 < rows; r0 += MR) {
            if (causal && begin + r0 > i + count - 1)
                continue;
            /* The first query that sees a key of the tile, or one before. */
            const int sees = causal ? max(0, begin + r0 - i) / 16 * 16 : 0;
            tile_product(key + r0 * padded, turned_query, p, sees, count, width, padded);
            tile_product(value + r0 * padded, turned_dresult, ds, sees, count, width, padded);
            for (int r = 0; r < MR; r++) {
                const int j = begin + min(r0 + r, rows - 1);
                for (int c = sees; c < count; c += 16) {
                    float16 x = local16(p + r * COLUMNS + c) * (float16)(scale);
                    if (masked)
                        x += mask16(mask + (i + c) * mask_i + j * mask_j, mask_i, count - c);
                    x = exp16_f32(x - local16(column_lse + c));
                    if (causal)
                        x = select((float16)(0.0f), x, (int16)(i + c) + LANES >= (int16)(j));
                    put16(p + r * COLUMNS + c, x);
                    put16(ds + r * COLUMNS + c,
                          x * (local16(ds + r * COLUMNS + c) - local16(column_delta + c)));
                }
            }
            tile_add(p, dresult, sum_v + r0 * padded, one, sees, count, padded);
            tile_add(ds, query, sum_k + r0 * padded, one, sees, count, padded);
        }
    }
    for (int r = 0; r < rows; r++) {
        store_row(dk + first + (size_t)r * step, sum_k + r * padded, width, scale);
        store_row(dv + first + (size_t)r * step, sum_v + r * padded, width, 1.0f);
    }
}

/* All three gradients of a head in one work-group, where there are many heads and the rows fit: the
 * scores and their exponentials are computed once instead of twice.
 *
 * Global size (B H). Blocks of COLUMNS queries by COLUMNS keys. Local memory, in floats, Tq rounded up
 * to COLUMNS: (8 COLUMNS + Tq) padded + 2 COLUMNS COLUMNS + 2 Tq.
 */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_grad_cpu(__global const float *restrict q, __global const float *restrict k,
                   __global const float *restrict v, __global const float *restrict mask,
                   __global const float *restrict y, __global const float *restrict lse,
                   __global const float *restrict dy, __global const float *restrict dlse,
                   int has_dlse, __global float *restrict dq, __global float *restrict dk,
                   __global float *restrict dv, __local float *memory, ATTENTION_ARGS) {
    const int bh = (int)get_global_id(0), b = bh / heads, h = bh % heads;
    const int padded = (width + NR - 1) / NR * NR, step = heads * width;
    const int block = COLUMNS * padded, all = (queries + COLUMNS - 1) / COLUMNS * COLUMNS;
    __local float *key = memory, *turned_key = key + block;
    __local float *value = turned_key + block, *turned_value = value + block;
    __local float *query = turned_value + block, *dresult = query + block;
    __local float *sum_k = dresult + block, *sum_v = sum_k + block;
    __local float *sum_q = sum_v + block;
    __local float *p = sum_q + all * padded, *ds = p + COLUMNS * COLUMNS;
    __local float *row_lse = ds + COLUMNS * COLUMNS, *row_delta = row_lse + all;
    float one[MR];
    for (int r = 0; r < MR; r++)
        one[r] = 1.0f;

    q += (size_t)b * queries * step + h * width;
    y += (size_t)b * queries * step + h * width;
    dy += (size_t)b * queries * step + h * width;
    dq += (size_t)b * queries * step + h * width;
    k += (size_t)b * keys * step + h * width;
    v += (size_t)b * keys * step + h * width;
    dk += (size_t)b * keys * step + h * width;
    dv += (size_t)b * keys * step + h * width;
    mask += b * mask_b + h * mask_h;
    for (int i = 0; i < all; i++) {
        /* exp(score - infinity) is 0: for queries that do not exist, or see nothing. */
        row_lse[i] = INFINITY;
        row_delta[i] = 0.0f;
        if (i >= queries)
            continue;
        float16 sum = (float16)(0.0f);
        for (int d = 0; d < width; d += 16)
            sum += load16(dy + (size_t)i * step + d, width - d, 0.0f) *
                   load16(y + (size_t)i * step + d, width - d, 0.0f);
        const size_t at = (size_t)bh * queries + i;
        row_lse[i] = lse[at] == -INFINITY ? INFINITY : lse[at];
        row_delta[i] = sum16(sum) - (has_dlse ? dlse[at] : 0.0f);
    }
    clear(sum_q, all * padded);

    for (int j = 0; j < keys; j += COLUMNS) {
        const int count = min(COLUMNS, keys - j);
        copy_rows(k + (size_t)j * step, key, step, count, COLUMNS, width, padded);
        turn(key, turned_key, padded);
        copy_rows(v + (size_t)j * step, value, step, count, COLUMNS, width, padded);
        turn(value, turned_value, padded);
        clear(sum_k, 2 * block);
        expect_rows(dk + (size_t)j * step, step, count, width);
        expect_rows(dv + (size_t)j * step, step, count, width);
        /* Queries from the first that sees a key of this block. */
        for (int i = causal ? j : 0; i < queries; i += COLUMNS) {
            const int rows = min(COLUMNS, queries - i);
            copy_rows(q + (size_t)i * step, query, step, rows, COLUMNS, width, padded);
            copy_rows(dy + (size_t)i * step, dresult, step, rows, COLUMNS, width, padded);
            for (int r0 = 0; r0 < rows; r0 += MR) {
                const int columns = causal ? min(count, i + r0 + MR - j) : count;
                __local float *tile = p + r0 * COLUMNS, *dtile = ds + r0 * COLUMNS;
                tile_product(query + r0 * padded, turned_key, tile, 0, columns, width, padded);
                tile_product(dresult + r0 * padded, turned_value, dtile, 0, columns, width, padded);
                for (int r = 0; r < MR; r++) {
                    const int row = min(i + r0 + r, queries - 1);
                    const int visible = causal ? min(count, row + 1 - j) : count;
                    const float16 base = (float16)(row_lse[i + r0 + r]);
                    const float16 delta = (float16)(row_delta[i + r0 + r]);
                    for (int c = 0; c < columns; c += 16) {
                        float16 x = local16(tile + r * COLUMNS + c) * (float16)(scale);
                        if (masked && c < visible)
                            x += mask16(mask + row * mask_i + (j + c) * mask_j, mask_j, visible - c);
                        x = select((float16)(0.0f), exp16_f32(x - base),
                                   (int16)(c) + LANES < (int16)(visible));
                        put16(tile + r * COLUMNS + c, x);
                        put16(dtile + r * COLUMNS + c,
                              x * (local16(dtile + r * COLUMNS + c) - delta));
                    }
                }
                tile_add(dtile, key, sum_q + (i + r0) * padded, one, 0, columns, padded);
            }
            for (int c0 = 0; c0 < count; c0 += MR) {
                /* The first tile of queries that sees a key of the tile, whose scores go that far. */
                const int sees = causal ? max(0, j + c0 - i) : 0;
                tile_add_turned(p + c0, dresult, sum_v + c0 * padded, sees, rows, padded);
                tile_add_turned(ds + c0, query, sum_k + c0 * padded, sees, rows, padded);
            }
        }
        for (int c = 0; c < count; c++) {
            store_row(dk + (size_t)(j + c) * step, sum_k + c * padded, width, scale);
            store_row(dv + (size_t)(j + c) * step, sum_v + c * padded, width, 1.0f);
        }
    }
    for (int i = 0; i < queries; i++)
        store_row(dq + (size_t)i * step, sum_q + i * padded, width, scale);
}
