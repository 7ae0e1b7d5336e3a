/* Attention for GPUs; what it computes is said in attention.clh, how in attention_tile.clh.
 *
 * Global size (whole groups over Tq, PARTS, B H). `width` is WIDTH.
 */
#include "attention_tile.clh"

__kernel __attribute__((reqd_work_group_size(BLOCK, PARTS, 1))) void
attention_tile(__global const float *restrict q, __global const float *restrict k,
               __global const float *restrict v, __global const float *restrict mask,
               __global float *restrict y, __global float *restrict lse, ATTENTION_ARGS) {
    __local float key[CHUNK * PADDED], value[CHUNK * PADDED], exchange[EXCHANGE];
    const int i = (int)get_global_id(0), bh = (int)get_global_id(2);
    const int b = bh / heads, h = bh % heads, step = heads * width;
    const bool inside = i < queries;
    const size_t row = ((size_t)b * queries + i) * step + h * width;
    k += (size_t)b * keys * step + h * width;
    v += (size_t)b * keys * step + h * width;
    mask += b * mask_b + h * mask_h + (inside ? i * mask_i : 0);
    float query[SLICE], sums[SLICE];
    load_slice(q + row, query, inside);
#pragma unroll
    for (int d = 0; d < SLICE; d++)
        sums[d] = 0.0f;
    float highest = -INFINITY, total = 0.0f;
    const int past = ((int)get_group_id(0) + 1) * BLOCK;
    const int end = causal ? min(keys, past) : keys;
    for (int j = 0; j < end; j += CHUNK) {
        const int visible = (causal ? min(end, i + 1) : end) - j;
        barrier(CLK_LOCAL_MEM_FENCE);
        load_chunk(k + (size_t)j * step, key, step, end - j);
        load_chunk(v + (size_t)j * step, value, step, end - j);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int c = 0; c < CHUNK; c++)
            put_part(exchange, c, dot_slice(query, key + c * PADDED));
        parts_barrier();
        float now = highest;
        for (int c = 0; c < min(visible, CHUNK); c++) {
            const float added = masked && inside ? mask[(j + c) * mask_j] : 0.0f;
            now = fmax(now, fma(sum_parts(exchange, c), scale, added));
        }
        const float base = now == -INFINITY ? 0.0f : now;
        const float factor = exp(highest - base);
        highest = now;
        total *= factor;
#pragma unroll
        for (int d = 0; d < SLICE; d++)
            sums[d] *= factor;
        for (int c = 0; c < min(visible, CHUNK); c++) {
            const float added = masked && inside ? mask[(j + c) * mask_j] : 0.0f;
            const float p = exp(fma(sum_parts(exchange, c), scale, added) - base);
            total += p;
            add_slice(sums, p, value + c * PADDED);
        }
    }
    store_slice(y + row, sums, inside, total == 0.0f ? 0.0f : 1.0f / total);
    if (inside && get_local_id(1) == 0)
        lse[(size_t)bh * queries + i] = total == 0.0f ? -INFINITY : highest + log(total);
}
