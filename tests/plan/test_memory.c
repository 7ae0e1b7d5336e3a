/* The memory planner: properties on random lifetimes, against exhaustive search, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "plan/memory.h"
#include "seed.h"

#define MANY 400

static tutti_rng rng;

static int32_t below(int32_t bound) {
    return (int32_t)tutti_rng_below(&rng, (uint64_t)bound);
}

static uint64_t up(uint64_t value, uint64_t align) {
    return (value + align - 1) / align * align;
}

static uint64_t live_sum(const tutti_lifetime *blocks, int32_t count) {
    uint64_t most = 0;
    for (int32_t i = 0; i < count; i++) {
        uint64_t live = 0;
        for (int32_t j = 0; j < count; j++)
            if (blocks[j].first <= blocks[i].first && blocks[i].first <= blocks[j].last)
                live += blocks[j].size_bytes;
        most = live > most ? live : most;
    }
    return most;
}

/* Plans and checks everything that must always hold; returns the peak. */
static uint64_t plan_checked(const tutti_lifetime *blocks, int32_t count, uint64_t align,
                             uint64_t max_chunk) {
    tutti_placement at[MANY];
    memset(at, 0x5a, sizeof at);
    uint64_t *chunks = NULL;
    int32_t n_chunks = -1;
    assert_int_equal(tutti_memory_plan(blocks, count, align, max_chunk, at, &chunks, &n_chunks),
                     TUTTI_OK);
    uint64_t peak = 0, sum = 0, highest[MANY] = {0};
    for (int32_t i = 0; i < n_chunks; i++) {
        assert_true(chunks[i] > 0 && chunks[i] <= max_chunk);
        peak += chunks[i];
    }
    for (int32_t i = 0; i < count; i++) {
        if (blocks[i].size_bytes == 0) {
            assert_int_equal(at[i].chunk, -1);
            continue;
        }
        assert_in_range(at[i].chunk, 0, n_chunks - 1);
        assert_int_equal(at[i].offset_bytes % align, 0);
        const uint64_t end = at[i].offset_bytes + blocks[i].size_bytes;
        assert_true(end <= chunks[at[i].chunk]);
        if (end > highest[at[i].chunk])
            highest[at[i].chunk] = end;
        sum += up(blocks[i].size_bytes, align);
        for (int32_t j = 0; j < i; j++) {
            if (blocks[j].size_bytes == 0 || at[j].chunk != at[i].chunk ||
                blocks[j].first > blocks[i].last || blocks[i].first > blocks[j].last)
                continue;
            assert_true(end <= at[j].offset_bytes ||
                        at[j].offset_bytes + blocks[j].size_bytes <= at[i].offset_bytes);
        }
    }
    for (int32_t i = 0; i < n_chunks; i++)
        assert_int_equal(chunks[i], highest[i]);
    assert_true(peak <= sum);
    assert_true(peak >= live_sum(blocks, count));
    free(chunks);
    return peak;
}

static int32_t random_blocks(tutti_lifetime *blocks, int32_t max_count, uint64_t max_size,
                             int32_t steps, bool zeros) {
    const int32_t count = below(max_count + 1);
    for (int32_t i = 0; i < count; i++) {
        const int32_t first = below(steps);
        const int32_t length = below(3) ? below(4) : below(steps);
        blocks[i].first = first;
        blocks[i].last = first + length;
        blocks[i].size_bytes = zeros && below(10) == 0 ? 0 : 1 + tutti_rng_below(&rng, max_size);
    }
    return count;
}

static void random_lifetimes(void **state) {
    (void)state;
    static const uint64_t aligns[] = {1, 4, 64, 128, 96};
    tutti_lifetime blocks[MANY];
    for (int32_t round = 0; round < 1000; round++) {
        const int32_t size_class = below(3);
        const uint64_t max_size = size_class == 0 ? 16 : size_class == 1 ? 1000 : 100000;
        const int32_t count = random_blocks(blocks, round % 50 ? 24 : MANY, max_size, 20, true);
        const uint64_t align = aligns[below(5)];
        /* Half of the rounds with chunks that hold little more than the largest block. */
        const uint64_t chunk = below(2) ? UINT64_MAX / 8 : max_size + tutti_rng_below(&rng, 999);
        plan_checked(blocks, count, align, chunk);
    }
}

/* First fit of the blocks in one order: the peak. */
static uint64_t first_fit(const tutti_lifetime *blocks, const int32_t *order, int32_t count,
                          uint64_t align) {
    uint64_t at[8], peak = 0;
    for (int32_t i = 0; i < count; i++) {
        const tutti_lifetime *block = &blocks[order[i]];
        uint64_t offset = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (int32_t j = 0; j < i; j++) {
                const tutti_lifetime *other = &blocks[order[j]];
                const uint64_t begin = at[order[j]], end = begin + other->size_bytes;
                if (other->first <= block->last && block->first <= other->last && offset < end &&
                    begin < offset + block->size_bytes) {
                    offset = up(end, align);
                    moved = true;
                }
            }
        }
        at[order[i]] = offset;
        if (offset + block->size_bytes > peak)
            peak = offset + block->size_bytes;
    }
    return peak;
}

/* The best peak over all orders, which is the optimum. */
static uint64_t exhaustive(const tutti_lifetime *blocks, int32_t *order, int32_t fixed,
                           int32_t count, uint64_t align) {
    if (fixed == count)
        return first_fit(blocks, order, count, align);
    uint64_t best = UINT64_MAX;
    for (int32_t i = fixed; i < count; i++) {
        int32_t t = order[fixed];
        order[fixed] = order[i];
        order[i] = t;
        const uint64_t peak = exhaustive(blocks, order, fixed + 1, count, align);
        best = peak < best ? peak : best;
        t = order[fixed];
        order[fixed] = order[i];
        order[i] = t;
    }
    return best;
}

static void near_the_optimum(void **state) {
    (void)state;
    tutti_lifetime blocks[7];
    for (int32_t round = 0; round < 150; round++) {
        const int32_t count = random_blocks(blocks, round % 20 ? 6 : 7, 64, 8, false);
        int32_t order[7] = {0, 1, 2, 3, 4, 5, 6};
        const uint64_t align = below(2) ? 1 : 16;
        const uint64_t best = count ? exhaustive(blocks, order, 0, count, align) : 0;
        const uint64_t peak = plan_checked(blocks, count, align, UINT64_MAX / 8);
        if ((double)peak > 1.1 * (double)best)
            fail_msg("peak %llu, optimum %llu", (unsigned long long)peak, (unsigned long long)best);
    }
}

/* A training step: activations live from forward to backward; the peak is their sum. */
static void training_shape(void **state) {
    (void)state;
    tutti_lifetime blocks[64];
    for (int32_t i = 0; i < 32; i++) {
        blocks[i] = (tutti_lifetime){1024 + 64 * (uint64_t)below(16), i, 64 - i};
        blocks[32 + i] = (tutti_lifetime){512, 64 - i, 65 - i};
    }
    const uint64_t peak = plan_checked(blocks, 64, 64, UINT64_MAX / 8);
    assert_true((double)peak <= 1.1 * (double)live_sum(blocks, 64));
}

static void same_input_same_layout(void **state) {
    (void)state;
    tutti_lifetime blocks[60];
    const int32_t count = random_blocks(blocks, 60, 5000, 30, true);
    tutti_placement a[60], b[60];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    uint64_t *chunks;
    int32_t n;
    assert_int_equal(tutti_memory_plan(blocks, count, 64, 8192, a, &chunks, &n), TUTTI_OK);
    free(chunks);
    assert_int_equal(tutti_memory_plan(blocks, count, 64, 8192, b, &chunks, &n), TUTTI_OK);
    free(chunks);
    for (int32_t i = 0; i < count; i++) {
        assert_int_equal(a[i].chunk, b[i].chunk);
        assert_int_equal(a[i].offset_bytes, b[i].offset_bytes);
    }
}

static void errors(void **state) {
    (void)state;
    tutti_placement at[2];
    uint64_t *chunks = (uint64_t *)at;
    int32_t n = 7;
    tutti_lifetime large[2] = {{100, 0, 1}, {4097, 0, 1}};
    assert_int_equal(tutti_memory_plan(large, 2, 64, 4096, at, &chunks, &n), TUTTI_OUT_OF_MEMORY);
    assert_non_null(strstr(tutti_error_message(), "4097"));
    assert_non_null(strstr(tutti_error_message(), "4096"));
    assert_null(chunks);
    assert_int_equal(n, 0);
    tutti_lifetime backwards = {100, 3, 2};
    assert_int_equal(tutti_memory_plan(&backwards, 1, 64, 4096, at, &chunks, &n),
                     TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_memory_plan(large, 1, 0, 4096, at, &chunks, &n), TUTTI_INVALID_ARGUMENT);
    tutti_lifetime huge[2] = {{UINT64_MAX / 2, 0, 1}, {UINT64_MAX / 2, 0, 1}};
    assert_int_equal(tutti_memory_plan(huge, 2, 64, UINT64_MAX, at, &chunks, &n),
                     TUTTI_OUT_OF_MEMORY);
    /* Exactly a chunk fits; nothing needs nothing. */
    tutti_lifetime exact[2] = {{4096, 0, 1}, {4096, 1, 2}};
    assert_int_equal(tutti_memory_plan(exact, 2, 64, 4096, at, &chunks, &n), TUTTI_OK);
    assert_int_equal(n, 2);
    free(chunks);
    assert_int_equal(tutti_memory_plan(NULL, 0, 64, 4096, NULL, &chunks, &n), TUTTI_OK);
    assert_int_equal(n, 0);
    free(chunks);
}

int main(void) {
    const uint64_t seed = test_seed();
    tutti_rng_begin(&rng, seed, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes), cmocka_unit_test(near_the_optimum),
        cmocka_unit_test(training_shape),   cmocka_unit_test(same_input_same_layout),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
