#include "base/narrow.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float value_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t to_f16(float value) {
    const uint16_t sign = (uint16_t)(bits_of(value) >> 16 & 0x8000U);
    const double size = fabs((double)value);
    if (isnan(value))
        return (uint16_t)(sign | 0x7E00U);
    if (size >= 65520) /* half way from the largest, 65504, to 65536 */
        return (uint16_t)(sign | 0x7C00U);
    if (size < 0x1p-14) /* in units of 2^-24; 2^-14 itself continues them */
        return (uint16_t)(sign | (uint32_t)nearbyint(size * 0x1p24));
    int exponent;
    const double fraction = frexp(size, &exponent);                 /* in [0.5, 1) */
    const uint32_t mantissa = (uint32_t)nearbyint(fraction * 2048); /* 2048: one exponent more */
    return (uint16_t)(sign | (((uint32_t)(exponent + 13) << 10) + mantissa));
}

static float from_f16(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000U) << 16, exponent = bits >> 10 & 31U;
    const uint32_t mantissa = bits & 0x3FFU;
    if (exponent == 31)
        return value_of(sign | 0x7F800000U | mantissa << 13);
    const double size = exponent == 0 ? (double)mantissa * 0x1p-24
                                      : ldexp((double)(mantissa + 1024), (int)exponent - 25);
    return value_of(sign | bits_of((float)size));
}

static uint16_t to_bf16(float value) {
    const uint32_t bits = bits_of(value);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40U);
    return (uint16_t)((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

uint16_t tutti_narrow(tutti_dtype dtype, float value) {
    return dtype == TUTTI_F16 ? to_f16(value) : to_bf16(value);
}

float tutti_widen(tutti_dtype dtype, uint16_t bits) {
    return dtype == TUTTI_F16 ? from_f16(bits) : value_of((uint32_t)bits << 16);
}

void tutti_narrow_all(tutti_dtype dtype, const float *from, size_t count, uint16_t *to) {
    for (size_t i = 0; i < count; i++)
        to[i] = tutti_narrow(dtype, from[i]);
}

void tutti_widen_all(tutti_dtype dtype, const uint16_t *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++)
        to[i] = tutti_widen(dtype, from[i]);
}

double tutti_narrow_step(tutti_dtype dtype) {
    return dtype == TUTTI_F16 ? 0x1p-10 : 0x1p-7;
}
