#include "base/rng.h"

#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF /* gcc does so by itself in ISO C */
#endif

void tutti_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53U * c0, p1 = (uint64_t)0xCD9E8D57U * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void tutti_rng_begin(tutti_rng *rng, uint64_t seed, uint64_t stream) {
    *rng = (tutti_rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, 0, (uint32_t)stream, (uint32_t)(stream >> 32)},
        .used = 4,
    };
}

uint32_t tutti_rng_u32(tutti_rng *rng) {
    if (rng->used == 4) {
        tutti_philox(rng->counter, rng->key, rng->block);
        if (++rng->counter[0] == 0)
            rng->counter[1]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

uint64_t tutti_rng_below(tutti_rng *rng, uint64_t bound) {
    /* Values under 2^64 mod bound are drawn again, so that every remainder is as likely. */
    const uint64_t reject = (0 - bound) % bound;
    uint64_t value;
    do {
        value = (uint64_t)tutti_rng_u32(rng) << 32;
        value |= tutti_rng_u32(rng);
    } while (value < reject);
    return value % bound;
}

float tutti_rng_uniform(tutti_rng *rng) {
    return (float)(tutti_rng_u32(rng) >> 8) * 0x1p-24F;
}

/* The logarithm and cosine of C libraries differ in the last bit. These are series of operations
 * that IEEE 754 rounds exactly. */
static double ln(double x) {
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.7071067811865476) {
        m *= 2;
        exponent--;
    }
    const double s = (m - 1) / (m + 1);
    double sum = 0; /* artanh(s) / s, |s| < 0.172 */
    for (int k = 12; k >= 0; k--)
        sum = sum * (s * s) + 1.0 / (2 * k + 1);
    return exponent * 0.6931471805599453 + 2 * s * sum;
}

/* cos(2 pi t) for t in [0, 1]. */
static double cos_turns(double t) {
    t = t > 0.5 ? 1 - t : t;
    const double sign = t > 0.25 ? -1 : 1;
    t = t > 0.25 ? 0.5 - t : t;
    const int odd = t > 0.125; /* then the sine of the rest of the quarter */
    const double x = 6.283185307179586 * (odd ? 0.25 - t : t);
    double sum = 0;
    for (int k = 10; k >= 1; k--)
        sum = (1 + sum) * -(x * x) / ((2 * k + odd - 1) * (2 * k + odd));
    return sign * (1 + sum) * (odd ? x : 1);
}

float tutti_rng_normal(tutti_rng *rng) {
    const double u = ((double)tutti_rng_u32(rng) + 0.5) * 0x1p-32;
    const double v = ((double)tutti_rng_u32(rng) + 0.5) * 0x1p-32;
    return (float)(sqrt(-2.0 * ln(u)) * cos_turns(v));
}

uint64_t tutti_rng_stream(const char *name) {
    /* FNV-1a, 64 bits. */
    uint64_t hash = 0xcbf29ce484222325U;
    for (const unsigned char *c = (const unsigned char *)name; *c != 0; c++)
        hash = (hash ^ *c) * 0x100000001b3U;
    return hash;
}
