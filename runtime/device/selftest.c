#include "device/selftest.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "device/simple_program.h"

#define N     512
#define GROUP 64
#define WORDS (16 * N + 64) /* of the largest input or output */

/* Four times what the OpenCL C specification allows in the full profile: a driver that is slightly
 * off is not a wrong one, one that is off by more would spoil training. */
#define ULP(allowed) (4.0 * (allowed))

typedef struct test test;
typedef struct data {
    uint32_t *a, *b, *out; /* WORDS each; out is what the device wrote */
    char *detail;
    size_t detail_size;
} data;

struct test {
    const char *name, *kernel;
    bool two_inputs;
    int32_t per_item; /* outputs of each work-item */
    int32_t extra;    /* outputs behind them */
    bool (*check)(const data *d);
};

static float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t as_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static bool equal(const data *d, const char *what, size_t i, uint32_t got, uint32_t wanted) {
    if (got == wanted)
        return true;
    snprintf(d->detail, d->detail_size, "%s of item %zu is 0x%08" PRIx32 ", expected 0x%08" PRIx32,
             what, i, got, wanted);
    return false;
}

static bool near(const data *d, const char *what, size_t i, float got, double wanted, double ulps) {
    const double size = fabs(wanted) < 1.17549435e-38 ? 1.17549435e-38 : fabs(wanted);
    const double ulp = ldexp(1.0, ilogb(size) - 23);
    /* Values in the denormal range may be flushed to zero. */
    if (fabs((double)got - wanted) <= ulps * ulp ||
        (fabs(wanted) < 1.2e-38 && fabs((double)got) < 1.2e-38))
        return true;
    snprintf(d->detail, d->detail_size,
             "%s of item %zu is %.9g, expected %.9g (off by %.3g units in the last place, allowed "
             "%g)",
             what, i, (double)got, wanted, fabs((double)got - wanted) / ulp, ulps);
    return false;
}

static uint32_t rotate_left(uint32_t x, uint32_t by) {
    return by == 0 ? x : (x << by) | (x >> (32 - by));
}

static bool check_integer(const data *d) {
    for (size_t i = 0; i < N; i++) {
        const uint32_t x = d->a[i], y = d->b[i], *out = d->out + 6 * i;
        const int32_t sx = (int32_t)x;
        const uint32_t top = x >> 20;
        const uint32_t wanted[6] = {
            x * y + (x ^ y) - (x | ~y),
            rotate_left(x, y & 31) ^ (x << (y & 31)) ^ (y >> (x & 31)) ^
                (uint32_t)(((uint64_t)x * y) >> 32),
            x / (y | 1) + x % ((y >> 16) | 1),
            (uint32_t)(sx / ((int32_t)(y >> 20) + 1)) ^ (uint32_t)(sx >> 7),
            (uint32_t)__builtin_popcount(x) + (uint32_t)__builtin_clz(y | 1) + (x > y ? x : y) +
                (x > y ? x - y : y - x),
            (uint32_t)(((uint64_t)x * y + 12345) >> 17) ^ (top > 255 ? 255 : top),
        };
        static const char *const names[6] = {"arithmetic",      "shifts", "division",
                                             "signed division", "bits",   "64-bit product"};
        for (int k = 0; k < 6; k++)
            if (!equal(d, names[k], i, out[k], wanted[k]))
                return false;
    }
    return true;
}

static bool check_float(const data *d) {
    for (size_t i = 0; i < N; i++) {
        const float x = as_float(d->a[i]), y = as_float(d->b[i]);
        const double dx = (double)x, dy = (double)y;
        const uint32_t *out = d->out + 6 * i;
        if (!near(d, "sum", i, as_float(out[0]), (double)(float)(dx + dy), 0.5) ||
            !near(d, "difference", i, as_float(out[1]), (double)(float)(dx - dy), 0.5) ||
            !near(d, "product", i, as_float(out[2]), (double)(float)(dx * dy), 0.5) ||
            !near(d, "quotient", i, as_float(out[3]), dx / dy, ULP(2.5)) ||
            !near(d, "square root", i, as_float(out[4]), sqrt(fabs(dx)), ULP(3)) ||
            !near(d, "fma", i, as_float(out[5]), (double)fmaf(x, y, -x), 0.5))
            return false;
    }
    return true;
}

static bool check_local(const data *d) {
    for (size_t g = 0; g < N; g += GROUP) {
        uint32_t sum = 0;
        for (size_t l = 0; l < GROUP; l++)
            sum += d->a[g + l];
        for (size_t l = 0; l < GROUP; l++)
            if (!equal(d, "reversal and sum", g + l, d->out[g + l], d->a[g + 63 - l] + sum))
                return false;
    }
    return true;
}

static bool check_vector(const data *d) {
    for (size_t i = 0; i < N; i++) {
        const uint32_t *v = d->a + 3 * i + 1, *out = d->out + 16 * i;
        for (size_t k = 0; k < 16; k++) {
            const size_t half = (k / 8 + 1) % 2;
            const size_t from = 8 * half + 4 * (k % 8 / 4) + 3 - k % 4;
            if (!equal(d, "vector element", 16 * i + k, out[k], v[from]))
                return false;
        }
    }
    return true;
}

static bool check_math(const data *d) {
    for (size_t i = 0; i < N; i++) {
        const double x = (double)as_float(d->a[i]);
        const double p = (double)(fabsf(as_float(d->b[i])) + 0.01f);
        const struct {
            const char *name;
            double wanted, ulps;
        } wanted[9] = {
            {"exp", exp(x), ULP(3)},        {"log", log(p), ULP(3)},   {"sin", sin(x), ULP(4)},
            {"cos", cos(x), ULP(4)},        {"tanh", tanh(x), ULP(5)}, {"pow", pow(p, x), ULP(16)},
            {"rsqrt", 1 / sqrt(p), ULP(2)}, {"erf", erf(x), ULP(16)},  {"exp2", exp2(x), ULP(3)},
        };
        for (size_t k = 0; k < 9; k++) {
            const float got = as_float(d->out[9 * i + k]);
            /* Near a zero of sine, cosine or logarithm the specification's bound still holds, but
             * drivers that reduce in float are a hair worse: 1e-6 does no harm. */
            const bool tiny = fabs((double)got - wanted[k].wanted) < 1e-6;
            if (!tiny && !near(d, wanted[k].name, i, got, wanted[k].wanted, wanted[k].ulps))
                return false;
        }
    }
    return true;
}

static bool check_atomic(const data *d) {
    uint32_t largest = 0;
    for (size_t i = 0; i < N; i++) {
        if (!equal(d, "draws of a ticket", i, d->out[i], 1))
            return false;
        largest = d->a[i] > largest ? d->a[i] : largest;
    }
    return equal(d, "count", 0, d->out[N], N) && equal(d, "maximum", 0, d->out[N + 1], largest);
}

static bool check_special(const data *d) {
    for (size_t i = 0; i < N; i++) {
        const float x = as_float(d->a[i]);
        const uint32_t nan = isnan(x) ? 3u : 0u;
        const uint32_t wanted = nan | (isinf(x) ? 4u : 0u) | (d->a[i] >> 31 ? 8u : 0u) |
                                (x < 1 ? 16u : 0u) | (x >= 1 ? 32u : 0u) |
                                (isnan(x) || x <= 1 ? 64u : 0u) | (x == 0 ? 128u : 0u);
        /* A NaN's sign is not defined. */
        const uint32_t mask = isnan(x) ? ~8u : ~0u;
        if (!equal(d, "classes", i, d->out[i] & mask, wanted & mask))
            return false;
    }
    return true;
}

static const test tests[] = {
    {"integer", "test_integer", true, 6, 0, check_integer},
    {"float", "test_float", true, 6, 0, check_float},
    {"local memory", "test_local", false, 1, 0, check_local},
    {"vectors", "test_vector", false, 16, 0, check_vector},
    {"math", "test_math", true, 9, 0, check_math},
    {"atomics", "test_atomic", false, 1, 2, check_atomic},
    {"special", "test_special", false, 1, 0, check_special},
};

/* Numbers that suit the test: any bits, or floats of moderate size, or NaN and its kin. */
static void make_inputs(const test *t, tutti_rng *rng, uint32_t *a, uint32_t *b) {
    static const float kin[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1.0f, -1.0f, 0.5f, 3.0f};
    for (size_t i = 0; i < WORDS; i++) {
        a[i] = tutti_rng_u32(rng);
        b[i] = tutti_rng_u32(rng);
        if (t->check == check_float || t->check == check_math) {
            const float range = t->check == check_math ? 8.0f : 1000.0f;
            const float y = range * (2 * tutti_rng_uniform(rng) - 1);
            a[i] = as_bits(range * (2 * tutti_rng_uniform(rng) - 1));
            b[i] = as_bits(fabsf(y) < 0.001f ? 1.0f : y);
        } else if (t->check == check_special) {
            a[i] = as_bits(kin[a[i] % (sizeof kin / sizeof kin[0])]);
        }
    }
}

/* The device's part: outputs hold poison, or zeros where the kernel adds to them. */
static tutti_status run_kernel(const tutti_device *device, cl_program program, const test *t,
                               cl_mem a, cl_mem b, cl_mem out, const data *d) {
    const size_t outputs = (size_t)(t->per_item * N + t->extra);
    const uint32_t poison = t->check == check_atomic ? 0 : 0xDEADBEEFu;
    const uint32_t n = N;
    cl_kernel kernel;
    tutti_simple_arg args[3] = {{.memory = a}, {.memory = t->two_inputs ? b : out}};
    int32_t count = 2;
    if (t->two_inputs)
        args[count++] = (tutti_simple_arg){.memory = out};
    else if (t->check == check_atomic)
        args[count++] = (tutti_simple_arg){.size_bytes = sizeof n, .value = &n};
    TUTTI_TRY(tutti_buffer_write(device, a, 0, d->a, WORDS * sizeof *d->a));
    TUTTI_TRY(tutti_buffer_write(device, b, 0, d->b, WORDS * sizeof *d->b));
    TUTTI_TRY(tutti_buffer_fill(device, out, 0, WORDS * sizeof *d->out, poison));
    TUTTI_TRY(tutti_simple_kernel(device, program, t->kernel, args, count, &kernel));
    tutti_status status = tutti_simple_enqueue(device, kernel, N, GROUP);
    if (status == TUTTI_OK)
        status = tutti_buffer_read(device, out, 0, d->out, WORDS * sizeof *d->out);
    (void)clReleaseKernel(kernel);
    /* What lies behind the outputs must not have been written. */
    for (size_t i = outputs; i < WORDS && status == TUTTI_OK && d->detail[0] == '\0'; i++)
        (void)equal(d, "memory behind the outputs", i, d->out[i], poison);
    return status;
}

static tutti_status run_tests(const tutti_device *device, cl_program program, uint64_t seed,
                              cl_mem *buffers, uint32_t *host, tutti_selftest_result *out) {
    for (int i = 0; i < 3; i++)
        TUTTI_TRY(tutti_buffer_make(device, WORDS * sizeof *host, &buffers[i]));
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        tutti_selftest_item *item = &out->items[out->n_items++];
        const data d = {host, host + WORDS, host + 2 * WORDS, item->detail, sizeof item->detail};
        tutti_rng rng;
        tutti_rng_begin(&rng, seed, i);
        make_inputs(&tests[i], &rng, d.a, d.b);
        snprintf(item->name, sizeof item->name, "%s", tests[i].name);
        TUTTI_TRY(run_kernel(device, program, &tests[i], buffers[0], buffers[1], buffers[2], &d));
        item->passed = item->detail[0] == '\0' && tests[i].check(&d);
    }
    return TUTTI_OK;
}

tutti_status tutti_selftest_run(const tutti_device *device, const char *source, uint64_t seed,
                                tutti_selftest_result *out) {
    *out = (tutti_selftest_result){.seed = seed};
    if (device->info.max_work_group < GROUP)
        return tutti_fail(TUTTI_UNSUPPORTED, "%s (%s): work-groups of %d items are needed",
                          device->info.id, device->info.name, GROUP);
    cl_program program;
    TUTTI_TRY(tutti_simple_program(device, "selftest.cl", source, &program));
    uint32_t *host = calloc(3 * (size_t)WORDS, sizeof *host);
    cl_mem buffers[3] = {NULL, NULL, NULL};
    tutti_status status = host == NULL
                              ? tutti_fail_memory(3 * (size_t)WORDS * sizeof *host, "self-test")
                              : run_tests(device, program, seed, buffers, host, out);
    for (int i = 0; i < 3; i++)
        if (buffers[i] != NULL)
            (void)clReleaseMemObject(buffers[i]);
    (void)clReleaseProgram(program);
    free(host);
    return status;
}
