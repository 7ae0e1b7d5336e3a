/* f16 and bf16 on the host: 16 bits that stand for an f32 value. */
#ifndef TUTTI_BASE_NARROW_H
#define TUTTI_BASE_NARROW_H

#include <stddef.h>
#include <stdint.h>

#include "tutti/types.h"

/* True for the two types of 2 bytes. */
static inline bool tutti_dtype_is_narrow(tutti_dtype dtype) {
    return dtype == TUTTI_F16 || dtype == TUTTI_BF16;
}

/* Rounds to nearest even; what is too large becomes infinite; NaN stays NaN. */
uint16_t tutti_narrow(tutti_dtype dtype, float value);
float tutti_widen(tutti_dtype dtype, uint16_t bits);
/* The same for `count` values. */
void tutti_narrow_all(tutti_dtype dtype, const float *from, size_t count, uint16_t *to);
void tutti_widen_all(tutti_dtype dtype, const uint16_t *from, size_t count, float *to);
/* The distance of neighbouring values as a part of their size, at most. */
double tutti_narrow_step(tutti_dtype dtype);

#endif
