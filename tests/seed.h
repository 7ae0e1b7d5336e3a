/* Fresh random inputs in each run, repeatable. Header for test programs only. */
#ifndef TESTS_SEED_H
#define TESTS_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* TUTTI_TEST_SEED, or a new seed; printed, so that a failure can be repeated. */
static inline uint64_t test_seed(void) {
    const char *given = getenv("TUTTI_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 10)
                                        : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    printf("TUTTI_TEST_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

#endif
