/* Kernels of tutti-probe --self-test; runtime/device/selftest.c computes the same on the host.
 * n work-items in groups of 64. a and b are random; each kernel's outputs are listed at its head. */

/* One operation at a time, so that the host can predict every bit. */
#pragma OPENCL FP_CONTRACT OFF

/* out[6 i]: wrap-around arithmetic, shifts and rotations, division, signed division, bit counts, 64 bits */
__kernel void test_integer(__global const uint *a, __global const uint *b, __global uint *out) {
    const size_t i = get_global_id(0);
    const uint x = a[i], y = b[i];
    out[6 * i] = x * y + (x ^ y) - (x | ~y);
    out[6 * i + 1] = rotate(x, y & 31u) ^ (x << (y & 31u)) ^ (y >> (x & 31u)) ^ mul_hi(x, y);
    out[6 * i + 2] = x / (y | 1u) + x % ((y >> 16) | 1u);
    out[6 * i + 3] = as_uint(as_int(x) / (as_int(y >> 20) + 1)) ^ as_uint(as_int(x) >> 7);
    out[6 * i + 4] = popcount(x) + clz(y | 1u) + max(x, y) + abs_diff(x, y);
    out[6 * i + 5] = (uint)(((ulong)x * y + 12345u) >> 17) ^ convert_uint(convert_uchar_sat(x >> 20));
}

/* out[6 i]: sum, difference, product, quotient, square root, fused multiply-add */
__kernel void test_float(__global const float *a, __global const float *b, __global float *out) {
    const size_t i = get_global_id(0);
    const float x = a[i], y = b[i];
    out[6 * i] = x + y;
    out[6 * i + 1] = x - y;
    out[6 * i + 2] = x * y;
    out[6 * i + 3] = x / y;
    out[6 * i + 4] = sqrt(fabs(x));
    out[6 * i + 5] = fma(x, y, -x);
}

/* out[i]: the group's values in reverse order, plus the group's sum, both through local memory */
__kernel void test_local(__global const uint *a, __global uint *out) {
    __local uint values[64], sums[64];
    const size_t i = get_global_id(0), l = get_local_id(0);
    values[l] = a[i];
    sums[l] = a[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint step = 32; step > 0; step /= 2) {
        if (l < step)
            sums[l] += sums[l + step];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    out[i] = values[63 - l] + sums[0];
}

/* out[16 i]: sixteen words loaded at an offset that no vector is aligned to, their halves swapped and
 * each four reversed */
__kernel void test_vector(__global const uint *a, __global uint *out) {
    const size_t i = get_global_id(0);
    const uint16 v = vload16(0, a + 3 * i + 1);
    const uint8 h = v.hi;
    vstore4(h.s3210, 0, out + 16 * i);
    vstore4(h.hi.wzyx, 0, out + 16 * i + 4);
    vstore8((uint8)(v.s3, v.s2, v.s1, v.s0, v.s7, v.s6, v.s5, v.s4), 0, out + 16 * i + 8);
}

/* out[9 i]: exp, log, sin, cos, tanh, pow, rsqrt, erf, exp2 */
__kernel void test_math(__global const float *a, __global const float *b, __global float *out) {
    const size_t i = get_global_id(0);
    const float x = a[i], y = b[i], p = fabs(y) + 0.01f;
    out[9 * i] = exp(x);
    out[9 * i + 1] = log(p);
    out[9 * i + 2] = sin(x);
    out[9 * i + 3] = cos(x);
    out[9 * i + 4] = tanh(x);
    out[9 * i + 5] = pow(p, x);
    out[9 * i + 6] = rsqrt(p);
    out[9 * i + 7] = erf(x);
    out[9 * i + 8] = exp2(x);
}

/* out[i]: how often the ticket i was drawn; out[n]: the tickets drawn; out[n + 1]: the largest value of a */
__kernel void test_atomic(__global const uint *a, __global uint *out, const uint n) {
    const size_t i = get_global_id(0);
    const uint ticket = atomic_inc(&out[n]);
    atomic_add(&out[ticket < n ? ticket : n - 1], 1u);
    atomic_max(&out[n + 1], a[i]);
}

/* out[i]: bits: NaN is not itself, is told, infinity is told, signs of zero, comparisons */
__kernel void test_special(__global const float *a, __global uint *out) {
    const size_t i = get_global_id(0);
    const float x = a[i];
    out[i] = (x != x ? 1u : 0u) | (isnan(x) ? 2u : 0u) | (isinf(x) ? 4u : 0u) | (signbit(x) ? 8u : 0u) |
             (x < 1.0f ? 16u : 0u) | (x >= 1.0f ? 32u : 0u) | (fmax(x, 1.0f) == 1.0f ? 64u : 0u) |
             (x == 0.0f ? 128u : 0u);
}
