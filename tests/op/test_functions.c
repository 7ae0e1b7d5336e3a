/* exp, erf, erfc and GELU of cl/exp.clh and cl/erf.clh, compiled for the host, against double precision:
 * over random bit patterns, so that every exponent is as likely. */
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

/* Unsigned where a device has int: what overflows there is not used. */
static inline uint32_t as_int(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t convert_int(float x) {
    return fabsf(x) < 1e9F ? (uint32_t)(int32_t)x : 0x80000000U;
}

#define fabs(x)        fabsf(x)
#define fma(x, y, z)   fmaf(x, y, z)
#define copysign(x, y) copysignf(x, y)
#include "../../cl/erf.clh"
#undef fabs
#undef fma
#undef copysign

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

int main(void) {
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_close_to_the_exact_ones),
        cmocka_unit_test(ends_of_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
