/* dtable[v][:] = sum of dy[r][:] over the rows r with index[r] == v, in the order of r: no atomics,
 * so equal inputs give equal bits. Indices outside 0..V-1 count nowhere.
 *
 * index: R ints, dy: R x D, dtable: V x D, all dense.
 * For CPUs a counting sort and then sums:
 * embedding_grad_sort  one work-item; first (V + 1 ints) and order (R ints): the rows of v are
 *                      order[first[v]..first[v + 1] - 1], ascending
 * embedding_grad_sum   a work-item per ROWS table rows; global (ceil(V / ROWS))
 * For GPUs a search, ceil(D / LOCAL) * V * R comparisons in all:
 * embedding_grad_scan  a work-group of LOCAL work-items per LOCAL columns of a table row; global
 *                      (ceil(D / LOCAL) * LOCAL, V)
 */
#include "prefetch.clh"
#include "rows.clh"

#define ROWS  8
#define AHEAD 4 /* rows of dy that are asked for early: they lie anywhere in memory */

__kernel void embedding_grad_sort(__global const int *restrict index, __global int *restrict first,
                                  __global int *restrict order, int R, int V) {
    if (get_global_id(0) != 0)
        return;
    for (int v = 0; v <= V; v++)
        first[v] = 0;
    for (int r = 0; r < R; r++) {
        const int v = index[r];
        if (v >= 0 && v < V)
            first[v]++;
    }
    /* Ends of the ranges; filling from behind moves each to its beginning. */
    int sum = 0;
    for (int v = 0; v <= V; v++) {
        sum += first[v];
        first[v] = sum;
    }
    for (int r = R - 1; r >= 0; r--) {
        const int v = index[r];
        if (v >= 0 && v < V)
            order[--first[v]] = r;
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
embedding_grad_sum(__global const int *restrict first, __global const int *restrict order,
                   __global const float *restrict dy, __global float *restrict dtable, int V,
                   int D) {
    const int v_begin = (int)get_global_id(0) * ROWS, v_end = min(V, v_begin + ROWS);
    const int last = first[v_end] - 1;
    for (int v = v_begin; v < v_end; v++) {
        const int begin = first[v], end = first[v + 1];
        __global float *to = dtable + (size_t)v * D;
        int d = 0;
        for (; d + 64 <= D; d += 64) {
            float16 a = (float16)(0.0f), b = a, c = a, e = a;
            for (int k = begin; k < end; k++) {
                __global const float *next = dy + (size_t)order[min(k + AHEAD, last)] * D + d;
                PREFETCH(next);
                PREFETCH(next + 16);
                PREFETCH(next + 32);
                PREFETCH(next + 48);
                __global const f16u *from = (__global const f16u *)(dy + (size_t)order[k] * D + d);
                a += from[0];
                b += from[1];
                c += from[2];
                e += from[3];
            }
            __global f16u *out = (__global f16u *)(to + d);
            out[0] = a;
            out[1] = b;
            out[2] = c;
            out[3] = e;
        }
        for (; d < D; d += 16) {
            float16 a = (float16)(0.0f);
            for (int k = begin; k < end; k++)
                a += load16(dy + (size_t)order[k] * D + d, D - d, 0.0f);
            store16(to + d, D - d, a);
        }
    }
}

#define EACH 4 /* indices that a work-item compares between two barriers */

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
embedding_grad_scan(__global const int *restrict index, __global const float *restrict dy,
                    __global float *restrict dtable, int R, int D) {
    __local int hit[LOCAL * EACH];
    __local int any[2];
    const int id = (int)get_local_id(0), d = (int)get_global_id(0), v = (int)get_global_id(1);
    float sum = 0.0f;
    if (id == 0)
        any[0] = 0;
    int turn = 0;
    for (int r0 = 0; r0 < R; r0 += LOCAL * EACH, turn ^= 1) {
        barrier(CLK_LOCAL_MEM_FENCE);
        bool found = false;
        for (int e = 0; e < EACH; e++) {
            const int r = r0 + e * LOCAL + id;
            const bool equal = r < R && index[r] == v;
            hit[e * LOCAL + id] = equal;
            found |= equal;
        }
        if (found)
            atomic_or(&any[turn], 1);
        if (id == 0)
            any[turn ^ 1] = 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (any[turn] != 0 && d < D) {
            for (int i = 0; i < LOCAL * EACH; i++)
                if (hit[i] != 0)
                    sum += dy[(size_t)(r0 + i) * D + d];
        }
    }
    if (d < D)
        dtable[(size_t)v * D + d] = sum;
}
