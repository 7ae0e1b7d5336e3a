/* exp, erf, erfc and GELU of cl/exp.clh and cl/erf.clh, compiled for the host, against double precision:
 * over random bit patterns, so that every exponent is as likely. All numbers of f16 by cl/storage.clh. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "seed.h"

static inline uint32_t as_uint(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Unsigned where a device has int: what overflows there is not used. */
#define int uint32_t
#define as_int(x)        as_uint(x)
#define convert_float(x) ((float)(int32_t)(x))
#define fabs(x)          fabsf(x)
#define fma(x, y, z)     fmaf(x, y, z)
#define copysign(x, y)   copysignf(x, y)
#include "../../cl/erf.clh"
#undef int
#undef fabs
#undef fma
#undef copysign

#define F16_BITS
#define __global
#define uint   uint32_t
#define ushort uint16_t
#include "../../cl/storage.clh"
#undef uint
#undef ushort

#define DRAWS 300000
#define TINY  1e-37 /* smaller results may be 0 */

static uint64_t seed;

static double gelu(double x) {
    return x * 0.5 * erfc(-x * M_SQRT1_2);
}

static const struct {
    const char *name;
    float (*function)(float);
    double (*exact)(double);
    double bound; /* relative error */
    float top;    /* random arguments up to here in size */
} functions[] = {
    {"exp", exp_f32, exp, 1.5e-7, 88.7F},
    {"erfc", erfc_f32, erfc, 1e-6, 12},
    {"erf", erf_f32, erf, 1e-6, 12},
    {"gelu", gelu_f32, gelu, 1e-6, 20},
};

static void functions_are_close_to_the_exact_ones(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 0);
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        double worst = 0;
        for (int32_t k = 0; k < DRAWS; k++) {
            const uint32_t bits = tutti_rng_u32(&rng);
            float x = as_float(bits);
            /* Half of them over the range itself. */
            if ((k & 1) != 0)
                x = (float)((double)bits / UINT32_MAX * 2 - 1) * functions[f].top;
            if (!(fabsf(x) <= functions[f].top))
                continue;
            const double expected = functions[f].exact((double)x);
            const double got = (double)functions[f].function(x);
            const double error = fabs(got - expected);
            if (fabs(expected) < TINY ? !(error < TINY)
                                      : !(error <= functions[f].bound * fabs(expected)))
                fail_msg("%s(%.9g) is %.9g, expected %.9g (seed %llu)", functions[f].name,
                         (double)x, got, expected, (unsigned long long)seed);
            if (fabs(expected) >= TINY && error / fabs(expected) > worst)
                worst = error / fabs(expected);
        }
        printf("%s: relative error up to %.2g\n", functions[f].name, worst);
    }
}

static void ends_of_the_range(void **state) {
    (void)state;
    assert_true(exp_f32(0.0F) == 1.0F);
    assert_true(exp_f32(88.9F) == INFINITY && exp_f32(INFINITY) == INFINITY);
    assert_true(exp_f32(-88.0F) == 0.0F && exp_f32(-INFINITY) == 0.0F);
    assert_true(isfinite(exp_f32(88.7228F)) && exp_f32(-87.336F) > 0.0F);
    assert_true(erfc_f32(INFINITY) == 0.0F && erfc_f32(-INFINITY) == 2.0F);
    assert_true(erf_f32(INFINITY) == 1.0F && erf_f32(-INFINITY) == -1.0F);
    assert_true(erf_f32(0.0F) == 0.0F);
    assert_true(gelu_f32(INFINITY) == INFINITY && gelu_f32(3e38F) == 3e38F);
    assert_true(gelu_f32(-INFINITY) == 0.0F && gelu_f32(0.0F) == 0.0F);
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
        for (uint32_t payload = 0; payload < 512; payload += 73)
            assert_true(isnan(functions[f].function(as_float(0x7FC00000U | payload))));
}

/* Among them those below 2^-14, with results that are normal numbers, also where others count as 0. */
static void all_numbers_of_16_bits(void **state) {
    (void)state;
#ifdef __SSE__
    const unsigned mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(mode | 0x8040U); /* subnormal operands and results are 0 */
#endif
    uint32_t got[65536];
    for (uint32_t bits = 0; bits < 65536; bits++)
        got[bits] = as_uint(f16_of_bits((uint16_t)bits));
#ifdef __SSE__
    __builtin_ia32_ldmxcsr(mode);
#endif
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
        const float x = as_float(got[bits]);
        const double size = exponent == 0   ? ldexp(fraction, -24)
                            : exponent < 31 ? ldexp(fraction + 1024, (int32_t)exponent - 25)
                                            : INFINITY;
        assert_int_equal(got[bits] >> 31, bits >> 15);
        if (exponent == 31 && fraction != 0) {
            assert_true(isnan(x));
            continue;
        }
        assert_true((double)fabsf(x) == size);
        assert_int_equal(bits_of_f16(x), bits);
    }
}

int main(void) {
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_close_to_the_exact_ones),
        cmocka_unit_test(ends_of_the_range),
        cmocka_unit_test(all_numbers_of_16_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
