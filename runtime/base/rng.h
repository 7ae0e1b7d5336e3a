/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011):
 * counter-based, so that element i of stream s is the same on every device and thread.
 * cl/philox.clh is its twin. */
#ifndef TUTTI_BASE_RNG_H
#define TUTTI_BASE_RNG_H

#include <stdint.h>

typedef struct tutti_rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int32_t used; /* of block */
} tutti_rng;

/* One block: out = Philox4x32-10(counter, key). */
void tutti_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* A stream: key = seed, counter starts at (0, 0, stream). */
void tutti_rng_begin(tutti_rng *rng, uint64_t seed, uint64_t stream);
uint32_t tutti_rng_u32(tutti_rng *rng);
/* Unbiased, in 0..bound-1; bound at least 1. */
uint64_t tutti_rng_below(tutti_rng *rng, uint64_t bound);
/* [0, 1), 24 bits. */
float tutti_rng_uniform(tutti_rng *rng);
/* Standard normal (Box-Muller in double), the same bits on every machine. */
float tutti_rng_normal(tutti_rng *rng);
/* A stream number from a name. */
uint64_t tutti_rng_stream(const char *name);

#endif
