/* Initial values: their distributions, their bits, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "exec/run.h"

static uint64_t seed;

static float *filled(tutti_init init, int32_t rank, const int64_t *dims, uint64_t from,
                     const char *name) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    const tutti_tensor w = tutti_graph_param(g, name, rank, dims, init);
    if (w.id == 0)
        fail_msg("%s", tutti_graph_message(g));
    const tutti_tensor_record *record = tutti_graph_record(g, w);
    const size_t size = (size_t)tutti_shape_count(&record->type.shape, 1) * sizeof(float);
    float *values = malloc(size);
    assert_non_null(values);
    memset(values, 0xFF, size);
    assert_int_equal(tutti_init_fill(record, from, values), TUTTI_OK);
    tutti_graph_free(g);
    return values;
}

typedef struct moments {
    double mean, deviation, low, high;
} moments;

static moments moments_of(const float *x, int64_t count) {
    moments m = {.low = INFINITY, .high = -INFINITY};
    double squares = 0;
    for (int64_t i = 0; i < count; i++) {
        m.mean += (double)x[i] / (double)count;
        m.low = fmin(m.low, (double)x[i]);
        m.high = fmax(m.high, (double)x[i]);
    }
    for (int64_t i = 0; i < count; i++)
        squares += ((double)x[i] - m.mean) * ((double)x[i] - m.mean);
    m.deviation = sqrt(squares / (double)count);
    return m;
}

/* Of a 64x32x3x5 weight: fan_in 480, fan_out 960. */
static void test_distributions(void **state) {
    (void)state;
    static const int64_t dims[] = {64, 32, 3, 5};
    const int64_t count = 64 * 32 * 15;
    const double r2 = sqrt(2), r3 = sqrt(3);
    const struct {
        const char *label;
        tutti_init init;
        double mean, deviation, bound; /* bound around the mean; 0: none */
    } cases[] = {
        {"constant", {TUTTI_INIT_CONSTANT, 0.75F, 0}, 0.75, 0, 1e-9},
        {"uniform", {TUTTI_INIT_UNIFORM, -1, 3}, 1, 4 / sqrt(12), 2},
        {"normal", {TUTTI_INIT_NORMAL, -0.5F, 0.25F}, -0.5, 0.25, 0},
        /* Deviation of a normal cut at 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)). */
        {"truncated", {TUTTI_INIT_TRUNCATED_NORMAL, 2, 0.5F}, 2, 0.5 * 0.879625661, 1},
        {"kaiming uniform in",
         {TUTTI_INIT_KAIMING_UNIFORM, (float)(r2 * r3), TUTTI_FAN_IN},
         0,
         r2 / sqrt(480),
         r2 * r3 / sqrt(480)},
        {"kaiming uniform out",
         {TUTTI_INIT_KAIMING_UNIFORM, (float)r3, TUTTI_FAN_OUT},
         0,
         1 / sqrt(960),
         r3 / sqrt(960)},
        {"kaiming uniform",
         {.kind = TUTTI_INIT_KAIMING_UNIFORM},
         0,
         r2 / sqrt(480),
         r2 * r3 / sqrt(480)},
        {"kaiming normal", {.kind = TUTTI_INIT_KAIMING_NORMAL}, 0, r2 / sqrt(480), 0},
        {"kaiming uniform given", {TUTTI_INIT_KAIMING_UNIFORM, 1, 16}, 0, 0.25 / r3, 0.25},
        {"kaiming normal in",
         {TUTTI_INIT_KAIMING_NORMAL, (float)r2, TUTTI_FAN_IN},
         0,
         r2 / sqrt(480),
         0},
        {"kaiming normal out",
         {TUTTI_INIT_KAIMING_NORMAL, 1, TUTTI_FAN_OUT},
         0,
         sqrt(1 / 960.0),
         0},
        {"xavier uniform",
         {TUTTI_INIT_XAVIER_UNIFORM, 0, 0},
         0,
         sqrt(2.0 / 1440),
         sqrt(6.0 / 1440)},
        {"xavier uniform gain",
         {TUTTI_INIT_XAVIER_UNIFORM, 2, 0},
         0,
         2 * sqrt(2.0 / 1440),
         2 * sqrt(6.0 / 1440)},
        {"xavier normal", {TUTTI_INIT_XAVIER_NORMAL, 0.5F, 0}, 0, 0.5 * sqrt(2.0 / 1440), 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *x = filled(cases[i].init, 4, dims, seed, cases[i].label);
        const moments m = moments_of(x, count);
        /* Six standard errors; no fourth moment here is larger than a normal's. */
        const double error = 6 * cases[i].deviation / sqrt((double)count) + 1e-9;
        if (!(fabs(m.mean - cases[i].mean) < error) ||
            !(fabs(m.deviation - cases[i].deviation) < error))
            fail_msg("%s: mean %g, deviation %g; expected %g, %g", cases[i].label, m.mean,
                     m.deviation, cases[i].mean, cases[i].deviation);
        const double span = cases[i].bound > 0 ? cases[i].bound : 6 * cases[i].deviation;
        if (m.low < cases[i].mean - span * (1 + 1e-6) || m.high > cases[i].mean + span * (1 + 1e-6))
            fail_msg("%s: %g to %g", cases[i].label, m.low, m.high);
        /* The whole range is used. */
        if (cases[i].deviation > 0)
            assert_true(m.high > cases[i].mean + 1.6 * cases[i].deviation &&
                        m.low < cases[i].mean - 1.6 * cases[i].deviation);
        free(x);
    }
}

/* The normal distribution in ten parts of equal probability. */
static void test_normal_shape(void **state) {
    (void)state;
    static const double cut[] = {-1.281551566, -0.841621234, -0.524400513, -0.253347103, 0,
                                 0.253347103,  0.524400513,  0.841621234,  1.281551566};
    const int64_t count = 100000;
    float *x = filled((tutti_init){TUTTI_INIT_NORMAL, 0, 1}, 1, &count, seed, "w");
    double part[10] = {0}, chi2 = 0;
    for (int64_t i = 0; i < count; i++) {
        int k = 0;
        while (k < 9 && (double)x[i] > cut[k])
            k++;
        part[k]++;
    }
    for (int k = 0; k < 10; k++)
        chi2 += (part[k] - 1e4) * (part[k] - 1e4) / 1e4;
    if (chi2 > 45) /* 9 degrees of freedom: one run in a million */
        fail_msg("chi2 is %g", chi2);
    free(x);
}

static void check_orthogonal(int32_t rank, const int64_t *dims, float gain) {
    float *x = filled((tutti_init){TUTTI_INIT_ORTHOGONAL, gain, 0}, rank, dims, seed, "w");
    int64_t rows = dims[0], columns = 1;
    for (int32_t d = 1; d < rank; d++)
        columns *= dims[d];
    const int64_t count = rows < columns ? rows : columns, length = rows < columns ? columns : rows;
    const int64_t step = rows < columns ? columns : 1, next = rows < columns ? 1 : columns;
    const double square = gain == 0 ? 1 : (double)gain * (double)gain;
    for (int64_t a = 0; a < count; a++)
        for (int64_t b = 0; b <= a; b++) {
            double dot = 0;
            for (int64_t i = 0; i < length; i++)
                dot += (double)x[a * step + i * next] * (double)x[b * step + i * next];
            if (!(fabs(dot - (a == b ? square : 0)) < 1e-5 * square))
                fail_msg("%dx%d: product of %d and %d is %g", (int)rows, (int)columns, (int)a,
                         (int)b, dot);
        }
    free(x);
}

static void test_orthogonal(void **state) {
    (void)state;
    check_orthogonal(2, (int64_t[]){40, 40}, 0);
    check_orthogonal(2, (int64_t[]){7, 90}, 1.4142F);
    check_orthogonal(2, (int64_t[]){90, 7}, 3);
    check_orthogonal(4, (int64_t[]){16, 4, 3, 3}, 1);
    check_orthogonal(2, (int64_t[]){1, 1}, 0);
    /* Elements of a matrix that is uniform over the orthogonal ones: mean 0, variance 1/n. */
    const int64_t count = 64 * 64;
    float *x = filled((tutti_init){TUTTI_INIT_ORTHOGONAL, 0, 0}, 2, (int64_t[]){64, 64}, seed, "w");
    const moments m = moments_of(x, count);
    assert_true(fabs(m.mean) < 6 * 0.125 / 64);
    assert_true(fabs(m.deviation - 0.125) < 1e-3);
    free(x);
}

/* The same weights on every machine: their bits, for one seed, for ever. */
static void test_bits(void **state) {
    (void)state;
    static const tutti_init kinds[] = {
        {TUTTI_INIT_UNIFORM, -1, 1},        {TUTTI_INIT_NORMAL, 0, 1},
        {TUTTI_INIT_KAIMING_UNIFORM, 1, 0}, {TUTTI_INIT_KAIMING_NORMAL, 1, 0},
        {TUTTI_INIT_XAVIER_UNIFORM, 0, 0},  {TUTTI_INIT_XAVIER_NORMAL, 0, 0},
        {TUTTI_INIT_ORTHOGONAL, 0, 0},      {TUTTI_INIT_TRUNCATED_NORMAL, 0, 1}};
    tutti_hash hash;
    tutti_hash_begin(&hash);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        float *x = filled(kinds[i], 2, (int64_t[]){24, 17}, 20240607, "w");
        tutti_hash_add(&hash, x, 24 * 17 * sizeof *x);
        free(x);
    }
    unsigned char digest[TUTTI_DIGEST_BYTES];
    char hex[65];
    tutti_hash_end(&hash, digest);
    tutti_hash_hex(digest, hex);
    assert_string_equal(hex, "fda94fd5ff10fc5d17df6322191ae017dcd5daa7f9d068e393ceca4f341fc81e");
}

static void test_streams(void **state) {
    (void)state;
    const int64_t count = 100;
    const tutti_init init = {TUTTI_INIT_NORMAL, 0, 1};
    float *a = filled(init, 1, &count, seed, "a"), *again = filled(init, 1, &count, seed, "a");
    float *b = filled(init, 1, &count, seed, "b"), *other = filled(init, 1, &count, seed + 1, "a");
    assert_memory_equal(a, again, sizeof *a * (size_t)count);
    assert_memory_not_equal(a, b, sizeof *a * (size_t)count);
    assert_memory_not_equal(a, other, sizeof *a * (size_t)count);
    free(a);
    free(again);
    free(b);
    free(other);
}

static void check_refused(tutti_init init, int32_t rank, const char *message) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    assert_int_equal(tutti_graph_param(g, "w", rank, (int64_t[]){4, 3}, init).id, 0);
    if (strstr(tutti_graph_message(g), message) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", tutti_graph_message(g), message);
    tutti_graph_free(g);
}

static void test_refused(void **state) {
    (void)state;
    check_refused((tutti_init){TUTTI_INIT_UNIFORM, 1, -1}, 2,
                  "parameter \"w\": uniform start in [1, -1)");
    check_refused((tutti_init){TUTTI_INIT_CONSTANT, NAN, 0}, 2, "a = nan");
    check_refused((tutti_init){TUTTI_INIT_NORMAL, 0, -1}, 2,
                  "standard deviation of the start is -1");
    check_refused((tutti_init){TUTTI_INIT_KAIMING_NORMAL, 1, TUTTI_FAN_IN}, 1,
                  "Kaiming start of shape 4, expected at least two axes");
    check_refused((tutti_init){TUTTI_INIT_KAIMING_NORMAL, 1, -3}, 2, "fan of the start is -3");
    check_refused((tutti_init){TUTTI_INIT_XAVIER_NORMAL, 1, 0}, 1, "Xavier start of shape 4");
    check_refused((tutti_init){TUTTI_INIT_XAVIER_UNIFORM, -1, 0}, 2, "gain of the start is -1");
    check_refused((tutti_init){TUTTI_INIT_ORTHOGONAL, 1, 0}, 1, "orthogonal start of shape 4");
    check_refused((tutti_init){(tutti_init_kind)77, 1, 0}, 1, "77 is no kind of start");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions), cmocka_unit_test(test_normal_shape),
        cmocka_unit_test(test_orthogonal),    cmocka_unit_test(test_bits),
        cmocka_unit_test(test_streams),       cmocka_unit_test(test_refused),
    };
    const char *wanted = getenv("TUTTI_TEST_SEED");
    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL) * 1000003U;
    printf("TUTTI_TEST_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
