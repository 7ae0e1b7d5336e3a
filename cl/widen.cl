/* Copies between f32 and TYPE, which is f16 or bf16: for kernels that know f32 alone.
 *
 * widen   to[i] = from[i], exactly
 * narrow  to[i] = from[i], rounded to nearest even
 * A work-item per element; global size `count` or more.
 */
#ifndef TYPE
#define TYPE bf16
#endif
#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)

#include "storage.clh"

__kernel void widen(__global const ushort *restrict from, __global float *restrict to, int count) {
    const size_t i = get_global_id(0);
    if (i >= (size_t)count)
        return;
    to[i] = JOIN(load_, TYPE)(from, i);
}

__kernel void narrow(__global const float *restrict from, __global ushort *restrict to, int count) {
    const size_t i = get_global_id(0);
    if (i >= (size_t)count)
        return;
    JOIN(store_, TYPE)(to, i, from[i]);
}
