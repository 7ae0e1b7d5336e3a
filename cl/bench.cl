/* Kernels of tutti-probe --bench.
 *
 * fma_1 to fma_16: each work-item runs `rounds` rounds of 12 independent multiply-adds on vectors of 1 to 16
 * floats: 24 * width operations a round. The chains are independent, so that the latency of one hides behind
 * the others; 12 vectors and two constants fit the registers of AVX2 at width 8 and of AVX-512 at width 16.
 * Written as a * b + c, which compilers contract; some turn mad() into something slower.
 * `scale` and `shift` come from the host so that nothing folds; with |scale| < 1 values stay bounded.
 *
 * copy: out[i] = in[i], one float4 per work-item: no other width is faster, on CPUs or on GPUs.
 * nothing: an empty kernel. */

#define SUM_1(v)  (v)
#define SUM_2(v)  ((v).x + (v).y)
#define SUM_4(v)  (SUM_2((v).lo) + SUM_2((v).hi))
#define SUM_8(v)  (SUM_4((v).lo) + SUM_4((v).hi))
#define SUM_16(v) (SUM_8((v).lo) + SUM_8((v).hi))

#define FMA_KERNEL(name, type, sum)                                                                \
    __kernel void name(__global float *out, const int rounds, const float scale, const float shift) {\
        const type m = (type)(scale), c = (type)(shift);                                           \
        const float start = (float)get_global_id(0);                                               \
        type a0 = (type)(start), a1 = a0 + 1, a2 = a0 + 2, a3 = a0 + 3, a4 = a0 + 4, a5 = a0 + 5;  \
        type a6 = a0 + 6, a7 = a0 + 7, a8 = a0 + 8, a9 = a0 + 9, a10 = a0 + 10, a11 = a0 + 11;     \
        for (int i = 0; i < rounds; i++) {                                                         \
            a0 = a0 * m + c;                                                                       \
            a1 = a1 * m + c;                                                                       \
            a2 = a2 * m + c;                                                                       \
            a3 = a3 * m + c;                                                                       \
            a4 = a4 * m + c;                                                                       \
            a5 = a5 * m + c;                                                                       \
            a6 = a6 * m + c;                                                                       \
            a7 = a7 * m + c;                                                                       \
            a8 = a8 * m + c;                                                                       \
            a9 = a9 * m + c;                                                                       \
            a10 = a10 * m + c;                                                                     \
            a11 = a11 * m + c;                                                                     \
        }                                                                                          \
        a0 = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)) + ((a8 + a9) + (a10 + a11));        \
        out[get_global_id(0)] = sum(a0);                                                           \
    }

FMA_KERNEL(fma_1, float, SUM_1)
FMA_KERNEL(fma_2, float2, SUM_2)
FMA_KERNEL(fma_4, float4, SUM_4)
FMA_KERNEL(fma_8, float8, SUM_8)
FMA_KERNEL(fma_16, float16, SUM_16)

__kernel void copy(__global const float4 *in, __global float4 *out) {
    out[get_global_id(0)] = in[get_global_id(0)];
}

__kernel void nothing(__global float *out) {
}
