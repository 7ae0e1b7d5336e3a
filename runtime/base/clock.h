/* Monotonic time. */
#ifndef TUTTI_BASE_CLOCK_H
#define TUTTI_BASE_CLOCK_H

#include <stdint.h>

uint64_t tutti_clock_ns(void);
static inline double tutti_clock_s(void) {
    return (double)tutti_clock_ns() * 1e-9;
}

#endif
