/* Gradient of attention for GPUs: what attention_grad_cpu.cl computes, as attention_tile.clh says.
 *
 * attention_dq_tile    a row per query; global size (whole groups over Tq, PARTS, B H); writes delta
 *                      too, so it runs first
 * attention_dkv_tile   a row per key; global size (whole groups over Tk, PARTS, B H)
 */
#include "attention_tile.clh"

__kernel __attribute__((reqd_work_group_size(BLOCK, PARTS, 1))) void
attention_dq_tile(__global const float *restrict q, __global const float *restrict k,
                  __global const float *restrict v, __global const float *restrict mask,
                  __global const float *restrict y, __global const float *restrict lse,
                  __global const float *restrict dy, __global const float *restrict dlse,
                  int has_dlse, __global float *restrict delta, __global float *restrict dq,
                  ATTENTION_ARGS) {
    __local float key[CHUNK * PADDED], value[CHUNK * PADDED];
    __local float exchange[EXCHANGE], dexchange[EXCHANGE];
    const int i = (int)get_global_id(0), bh = (int)get_global_id(2);
    const int b = bh / heads, h = bh % heads, step = heads * width;
    const bool inside = i < queries;
    const size_t row = ((size_t)b * queries + i) * step + h * width;
    const size_t at = (size_t)bh * queries + i;
    k += (size_t)b * keys * step + h * width;
    v += (size_t)b * keys * step + h * width;
    mask += b * mask_b + h * mask_h + (inside ? i * mask_i : 0);
    float query[SLICE], dresult[SLICE], sums[SLICE];
    load_slice(y + row, query, inside);
    load_slice(dy + row, dresult, inside);
    float own = 0.0f;
#pragma unroll
    for (int d = 0; d < SLICE; d++) {
        own = fma(dresult[d], query[d], own);
        sums[d] = 0.0f;
    }
    put_part(exchange, 0, own);
    parts_barrier();
    const float row_delta = sum_parts(exchange, 0) - (has_dlse && inside ? dlse[at] : 0.0f);
    const float row_lse = inside ? lse[at] : -INFINITY;
    if (inside && get_local_id(1) == 0)
        delta[at] = row_delta;
    load_slice(q + row, query, inside);

    const int past = ((int)get_group_id(0) + 1) * BLOCK;
    const int end = causal ? min(keys, past) : keys;
    for (int j = 0; j < end; j += CHUNK) {
        /* A row that sees nothing has no gradient. */
        const int visible = row_lse == -INFINITY ? 0 : (causal ? min(end, i + 1) : end) - j;
        barrier(CLK_LOCAL_MEM_FENCE);
        load_chunk(k + (size_t)j * step, key, step, end - j);
        load_chunk(v + (size_t)j * step, value, step, end - j);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int c = 0; c < CHUNK; c++) {
            put_part(exchange, c, dot_slice(query, key + c * PADDED));
            put_part(dexchange, c, dot_slice(dresult, value + c * PADDED));
        }
        parts_barrier();
        for (int c = 0; c < min(visible, CHUNK); c++) {
            const float added = masked ? mask[(j + c) * mask_j] : 0.0f;
            const float p = exp(fma(sum_parts(exchange, c), scale, added) - row_lse);
            add_slice(sums, p * (sum_parts(dexchange, c) - row_delta), key + c * PADDED);
        }
    }
    store_slice(dq + row, sums, inside, scale);
}

__kernel __attribute__((reqd_work_group_size(BLOCK, PARTS, 1))) void
attention_dkv_tile(__global const float *restrict q, __global const float *restrict k,
                   __global const float *restrict v, __global const float *restrict mask,
                   __global const float *restrict lse, __global const float *restrict dy,
                   __global const float *restrict delta, __global float *restrict dk,
                   __global float *restrict dv, ATTENTION_ARGS) {
    __local float query[CHUNK * PADDED], dresult[CHUNK * PADDED];
    __local float exchange[EXCHANGE], dexchange[EXCHANGE];
    __local float chunk_lse[CHUNK], chunk_delta[CHUNK];
    const int j = (int)get_global_id(0), bh = (int)get_global_id(2);
    const int b = bh / heads, h = bh % heads, step = heads * width;
    const bool inside = j < keys;
    const int id = (int)(get_local_id(1) * BLOCK + get_local_id(0));
    const size_t row = ((size_t)b * keys + j) * step + h * width;
    q += (size_t)b * queries * step + h * width;
    dy += (size_t)b * queries * step + h * width;
    lse += (size_t)bh * queries;
    delta += (size_t)bh * queries;
    mask += b * mask_b + h * mask_h + (inside ? j * mask_j : 0);
    float key[SLICE], value[SLICE], sum_k[SLICE], sum_v[SLICE];
    load_slice(k + row, key, inside);
    load_slice(v + row, value, inside);
#pragma unroll
    for (int d = 0; d < SLICE; d++)
        sum_k[d] = sum_v[d] = 0.0f;

    const int first = (int)get_group_id(0) * BLOCK;
    for (int i = causal ? first / CHUNK * CHUNK : 0; i < queries; i += CHUNK) {
        barrier(CLK_LOCAL_MEM_FENCE);
        load_chunk(q + (size_t)i * step, query, step, queries - i);
        load_chunk(dy + (size_t)i * step, dresult, step, queries - i);
        if (id < CHUNK) {
            chunk_lse[id] = i + id < queries ? lse[i + id] : -INFINITY;
            chunk_delta[id] = i + id < queries ? delta[i + id] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int c = 0; c < CHUNK; c++) {
            put_part(exchange, c, dot_slice(key, query + c * PADDED));
            put_part(dexchange, c, dot_slice(value, dresult + c * PADDED));
        }
        parts_barrier();
        for (int c = 0; c < CHUNK; c++) {
            if (!inside || chunk_lse[c] == -INFINITY || (causal && i + c < j))
                continue;
            const float added = masked ? mask[(i + c) * mask_i] : 0.0f;
            const float p = exp(fma(sum_parts(exchange, c), scale, added) - chunk_lse[c]);
            add_slice(sum_v, p, dresult + c * PADDED);
            add_slice(sum_k, p * (sum_parts(dexchange, c) - chunk_delta[c]), query + c * PADDED);
        }
    }
    store_slice(dk + row, sum_k, inside, scale);
    store_slice(dv + row, sum_v, inside, 1.0f);
}
