/* Arena, strings, digests, random numbers, workers, files, status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <math.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/narrow.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "tutti/types.h"

static void test_status(void **state) {
    (void)state;
    assert_string_equal(tutti_status_name(TUTTI_SHAPE), "TUTTI_SHAPE");
    assert_string_equal(tutti_status_name((tutti_status)999), "TUTTI_UNKNOWN");
    assert_int_equal(tutti_status_exit_code(TUTTI_NO_DEVICE), 3);
    assert_int_equal(tutti_fail(TUTTI_IO, "a %d", 1), TUTTI_IO);
    assert_int_equal(tutti_fail_context(TUTTI_IO, "outer"), TUTTI_IO);
    assert_string_equal(tutti_error_message(), "outer: a 1");
    /* The message itself may be an argument. */
    (void)tutti_fail(TUTTI_IO, "again: %s", tutti_error_message());
    assert_string_equal(tutti_error_message(), "again: outer: a 1");
}

static void test_arena(void **state) {
    (void)state;
    tutti_arena arena = {0};
    uint32_t seed = 1;
    unsigned char *blocks[500];
    size_t sizes[500];
    for (int i = 0; i < 500; i++) {
        seed = seed * 1664525U + 1013904223U;
        sizes[i] = (seed >> 16) % (i % 50 == 0 ? 40000 : 300);
        blocks[i] = tutti_arena_alloc(&arena, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], i & 0xff, sizes[i]);
    }
    for (int i = 0; i < 500; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], i & 0xff);
    assert_null(tutti_arena_array(&arena, SIZE_MAX / 2, 4));
    assert_string_equal(tutti_arena_printf(&arena, "%s-%d", "x", 7), "x-7");
    tutti_arena_free(&arena);
    tutti_arena_free(&arena);
}

static void test_strbuf(void **state) {
    (void)state;
    tutti_strbuf buf = {0};
    for (int i = 0; i < 1000; i++)
        tutti_strbuf_printf(&buf, "%04d", i);
    assert_int_equal(buf.length, 4000);
    char *text = tutti_strbuf_take(&buf);
    assert_memory_equal(text + 3996, "0999", 5);
    free(text);
    text = tutti_strbuf_take(&buf);
    assert_string_equal(text, "");
    free(text);
}

static void test_hash(void **state) {
    (void)state;
    /* BLAKE2b-256 of "abc". */
    tutti_hash hash;
    unsigned char digest[TUTTI_DIGEST_BYTES];
    char hex[TUTTI_DIGEST_HEX];
    tutti_hash_begin(&hash);
    tutti_hash_add(&hash, "a", 1);
    tutti_hash_add(&hash, "bc", 2);
    tutti_hash_end(&hash, digest);
    tutti_hash_hex(digest, hex);
    assert_string_equal(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

static void test_philox(void **state) {
    (void)state;
    /* Known answers published with Random123 (kat_vectors, philox4x32 10 rounds). */
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        tutti_philox(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void test_rng(void **state) {
    (void)state;
    tutti_rng rng, other;
    tutti_rng_begin(&rng, 42, tutti_rng_stream("w"));
    tutti_rng_begin(&other, 42, tutti_rng_stream("v"));
    assert_int_not_equal(tutti_rng_u32(&rng), tutti_rng_u32(&other));
    double sum = 0, squares = 0, uniform = 0;
    int seen[7] = {0};
    const int n = 200000;
    for (int i = 0; i < n; i++) {
        double x = tutti_rng_normal(&rng), u = tutti_rng_uniform(&rng);
        assert_true(u >= 0 && u < 1);
        sum += x;
        squares += x * x;
        uniform += u;
        seen[tutti_rng_below(&rng, 7)]++;
    }
    /* Within five standard deviations of what is expected. */
    assert_true(sum / n > -0.0112 && sum / n < 0.0112);
    assert_true(squares / n > 0.984 && squares / n < 1.016);
    assert_true(uniform / n > 0.4967 && uniform / n < 0.5033);
    for (int i = 0; i < 7; i++)
        assert_true(seen[i] > n / 7 - 800 && seen[i] < n / 7 + 800);
}

/* The generator has a logarithm and a cosine of its own: against the C library's. */
static void test_normal(void **state) {
    (void)state;
    tutti_rng rng, twin;
    tutti_rng_begin(&rng, 7, 1);
    tutti_rng_begin(&twin, 7, 1);
    for (int i = 0; i < 100000; i++) {
        const double u = ((double)tutti_rng_u32(&twin) + 0.5) * 0x1p-32;
        const double v = ((double)tutti_rng_u32(&twin) + 0.5) * 0x1p-32;
        const double expected = sqrt(-2 * log(u)) * cos(2 * M_PI * v);
        const double got = (double)tutti_rng_normal(&rng);
        if (!(fabs(got - expected) <= 6e-8 * fabs(expected) + 1e-15))
            fail_msg("u = %.17g, v = %.17g: %.17g, expected %.17g", u, v, got, expected);
    }
}

static tutti_status job(void *user) {
    int *value = user;
    return ++*value % 2 == 0 ? tutti_fail(TUTTI_IO, "even %d", *value) : TUTTI_OK;
}

static void test_worker(void **state) {
    (void)state;
    tutti_worker *worker;
    int value = 0;
    assert_int_equal(tutti_worker_start(&worker, "test"), TUTTI_OK);
    assert_int_equal(tutti_worker_wait(worker), TUTTI_OK);
    for (int i = 1; i <= 1000; i++) {
        tutti_worker_post(worker, job, &value);
        tutti_status status = tutti_worker_wait(worker);
        assert_int_equal(value, i);
        assert_int_equal(status, i % 2 == 0 ? TUTTI_IO : TUTTI_OK);
        if (i == 10)
            assert_string_equal(tutti_error_message(), "even 10");
    }
    tutti_worker_stop(worker);
    tutti_worker_stop(NULL);
}

static void test_file(void **state) {
    (void)state;
    char dir[] = "/tmp/tutti-test-XXXXXX", path[512], deep[256];
    assert_non_null(mkdtemp(dir));
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    assert_int_equal(tutti_dir_make_private(deep), TUTTI_OK);
    assert_int_equal(tutti_dir_make_private(deep), TUTTI_OK);
    struct stat info;
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);

    snprintf(path, sizeof path, "%s/file", deep);
    assert_int_equal(tutti_file_write(path, 0600, "one", 3), TUTTI_OK);
    assert_int_equal(tutti_file_write(path, 0600, "two!", 4), TUTTI_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char *data;
    size_t size;
    assert_int_equal(tutti_file_read(path, 4, &data, &size), TUTTI_OK);
    assert_int_equal(size, 4);
    assert_string_equal(data, "two!");
    free(data);
    assert_int_equal(tutti_file_read(path, 3, &data, &size), TUTTI_BAD_INPUT);
    assert_int_equal(tutti_file_read(deep, 3, &data, &size), TUTTI_IO);
    unlink(path);
    assert_int_equal(tutti_file_read(path, 3, &data, &size), TUTTI_IO);
    assert_non_null(strstr(tutti_error_message(), path));
    /* Nobody writes to it: reading must not wait. */
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(tutti_file_read(path, 3, &data, &size), TUTTI_IO);
    assert_non_null(strstr(tutti_error_message(), "not a regular file"));
    snprintf(path, sizeof path, "rm -r %s", dir);
    assert_int_equal(system(path), 0);
}

static void test_shape_text(void **state) {
    (void)state;
    char text[TUTTI_SHAPE_TEXT];
    tutti_shape shape = {.rank = 2, .batched = true, .dim = {1, 64}};
    assert_string_equal(tutti_shape_text(&shape, text), "Nx64");
    shape.dim[0] = 12;
    assert_string_equal(tutti_shape_text(&shape, text), "12Nx64");
    assert_int_equal(tutti_shape_count(&shape, 3), 12 * 64 * 3);
    shape.batched = false;
    assert_string_equal(tutti_shape_text(&shape, text), "12x64");
    shape.rank = 0;
    assert_string_equal(tutti_shape_text(&shape, text), "scalar");
    assert_int_equal(tutti_shape_count(&shape, 3), 1);
}

/* Every f16 and bf16 comes back; values between two neighbours go to the nearer, the middle to the
 * even one. */
static void test_narrow(void **state) {
    (void)state;
    const tutti_dtype types[] = {TUTTI_F16, TUTTI_BF16};
    for (size_t t = 0; t < 2; t++)
        for (uint32_t bits = 0; bits < 0x10000; bits++) {
            const float x = tutti_widen(types[t], (uint16_t)bits);
            const uint16_t back = tutti_narrow(types[t], x);
            if (isnan(x)) {
                assert_true(isnan(tutti_widen(types[t], back)));
                continue;
            }
            assert_int_equal(back, bits);
            const float next = tutti_widen(types[t], (uint16_t)(bits + 1));
            if (!isfinite(x) || !isfinite(next) || (bits & 0x7FFF) == 0x7FFF)
                continue;
            const float middle = (float)(((double)x + (double)next) / 2);
            assert_int_equal(tutti_narrow(types[t], middle), bits + (bits & 1));
            assert_int_equal(tutti_narrow(types[t], nextafterf(middle, x)), bits);
            assert_int_equal(tutti_narrow(types[t], nextafterf(middle, next)), bits + 1);
        }
    assert_int_equal(tutti_narrow(TUTTI_F16, 1.0F), 0x3C00);
    assert_int_equal(tutti_narrow(TUTTI_F16, -65504.0F), 0xFBFF);
    assert_int_equal(tutti_narrow(TUTTI_F16, 65519.0F), 0x7BFF);
    assert_int_equal(tutti_narrow(TUTTI_F16, 65520.0F), 0x7C00);
    assert_int_equal(tutti_narrow(TUTTI_F16, 0x1p-24F), 1);
    assert_int_equal(tutti_narrow(TUTTI_F16, 0x1p-25F), 0);
    assert_int_equal(tutti_narrow(TUTTI_BF16, 1.0F), 0x3F80);
    assert_int_equal(tutti_narrow(TUTTI_BF16, 3.4e38F), 0x7F80);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_narrow),     cmocka_unit_test(test_status),
        cmocka_unit_test(test_arena),      cmocka_unit_test(test_strbuf),
        cmocka_unit_test(test_hash),       cmocka_unit_test(test_philox),
        cmocka_unit_test(test_rng),        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_worker),     cmocka_unit_test(test_file),
        cmocka_unit_test(test_shape_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
