#include "data/helpers.h"

#include <math.h>

#include "data/data.h"

/* n samples of 2 x 3 features, each value telling its place; targets of 2 values. */
static tutti_dataset *numbered(int64_t n) {
    const tutti_shape x_shape = {3, true, {1, 2, 3}}, y_shape = {2, true, {1, 2}};
    float *x = malloc((size_t)n * 6 * sizeof *x), *y = malloc((size_t)n * 2 * sizeof *y);
    for (int64_t i = 0; i < n * 6; i++)
        x[i] = (float)i;
    for (int64_t i = 0; i < n * 2; i++)
        y[i] = (float)(i / 2) + 0.25F * (float)(i % 2);
    tutti_dataset *set;
    assert_int_equal(tutti_dataset_make(n, &x_shape, x, TUTTI_F32, &y_shape, y, &set), TUTTI_OK);
    free(x);
    free(y);
    return set;
}

/* Marks each row of a part in seen and checks that features and targets stayed together. */
static void collect(const float *x, const float *y, int64_t n, int *seen) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = (int64_t)x[i * 6] / 6;
        for (int k = 0; k < 6; k++)
            assert_true(x[i * 6 + k] == (float)(row * 6 + k));
        assert_true(y[i * 2] == (float)row && y[i * 2 + 1] == (float)row + 0.25F);
        seen[row]++;
    }
}

static void assert_each_once(const int *seen, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(seen[i], 1);
}

static void make_checks(void **state) {
    (void)state;
    const tutti_shape x = {2, true, {1, 3}}, y = {1, true, {1}}, flat = {2, false, {4, 3}},
                      rows = {2, true, {2, 3}}, empty = {2, true, {1, 0}},
                      huge = {3, true, {1, INT64_C(1) << 40, INT64_C(1) << 40}};
    const float values[3] = {0};
    tutti_dataset *set;
    const tutti_shape *bad[] = {&flat, &rows, &empty, &huge};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tutti_dataset_make(1, bad[i], values, TUTTI_I32, &y, values, &set),
                         TUTTI_INVALID_ARGUMENT);
        assert_null(set);
    }
    assert_int_equal(tutti_dataset_make(0, &x, values, TUTTI_I32, &y, values, &set),
                     TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_dataset_make(1, &x, values, TUTTI_I32, &y, &(int32_t){-1}, &set),
                     TUTTI_INVALID_ARGUMENT);
    assert_message("label 0 is -1");
    assert_int_equal(tutti_dataset_make(1, &x, values, TUTTI_I32, &y, &(int32_t){6}, &set),
                     TUTTI_OK);
    assert_int_equal(set->n_classes, 7);
    assert_int_equal(tutti_dataset_check_labels(set, 7), TUTTI_OK);
    assert_int_equal(tutti_dataset_check_labels(set, 6), TUTTI_BAD_INPUT);
    assert_message("memory: the label of sample 0 is 6, expected 0 to 5");
    tutti_dataset_free(set);
    set = numbered(2);
    assert_int_equal(tutti_dataset_check_labels(set, 7), TUTTI_SHAPE);
    tutti_dataset_free(set);
    tutti_dataset_free(NULL);
}

static void split(void **state) {
    (void)state;
    const uint64_t seed = test_seed();
    enum { N = 101 };
    tutti_dataset *set = numbered(N), *a, *b, *c, *d;
    assert_int_equal(tutti_dataset_split(set, 0.8, seed, &a, &b), TUTTI_OK);
    assert_int_equal(a->n, 81);
    assert_int_equal(b->n, 20);
    int seen[N] = {0};
    collect(a->x, a->y, a->n, seen);
    collect(b->x, b->y, b->n, seen);
    assert_each_once(seen, N);
    assert_int_equal(tutti_dataset_split(set, 0.8, seed, &c, &d), TUTTI_OK);
    assert_memory_equal(a->x, c->x, (size_t)a->n * 6 * sizeof(float));
    tutti_dataset_free(c);
    tutti_dataset_free(d);
    assert_int_equal(tutti_dataset_split(set, 0.8, seed + 1, &c, &d), TUTTI_OK);
    assert_memory_not_equal(a->x, c->x, (size_t)a->n * 6 * sizeof(float));
    tutti_dataset_free(c);
    tutti_dataset_free(d);
    tutti_dataset_free(a);
    tutti_dataset_free(b);
    const double bad[] = {0, 1, -1, NAN, 0.001, 0.999};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(tutti_dataset_split(set, bad[i], 1, &a, &b),
                         bad[i] > 0 && bad[i] < 1 ? TUTTI_BAD_INPUT : TUTTI_INVALID_ARGUMENT);
        assert_null(a);
        assert_null(b);
    }
    tutti_dataset_free(set);
}

/* Known answers: the order must never change, since a seed stands for a result. */
static void shuffle_is_fixed(void **state) {
    (void)state;
    int64_t order[8];
    for (int i = 0; i < 8; i++)
        order[i] = i;
    tutti_rng rng;
    tutti_rng_begin(&rng, 42, 7);
    tutti_shuffle(order, 8, &rng);
    const int64_t expected[8] = {3, 2, 0, 6, 1, 7, 5, 4};
    assert_memory_equal(order, expected, sizeof order);
}

static void shuffle_is_fair(void **state) {
    (void)state;
    enum { N = 5, ROUNDS = 20000 };
    const uint64_t seed = test_seed();
    int count[N][N] = {{0}};
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 0);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t order[N] = {0, 1, 2, 3, 4};
        tutti_shuffle(order, N, &rng);
        for (int i = 0; i < N; i++)
            count[i][order[i]]++;
    }
    /* Expected 4000 with a standard deviation of 57: 6 deviations. */
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            assert_in_range(count[i][j], 4000 - 340, 4000 + 340);
}

static void batches(void **state) {
    (void)state;
    const uint64_t seed = test_seed();
    enum { N = 50 };
    tutti_dataset *set = numbered(N);
    float first[2][N * 6];
    for (int64_t size = 1; size <= 64; size = size * 2 + 1) {
        tutti_batcher *b;
        assert_int_equal(tutti_batcher_make(set, size, &b), TUTTI_OK);
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            if (epoch > 0)
                tutti_batcher_shuffle(b, seed, epoch);
            const void *x, *y;
            int seen[N] = {0};
            int64_t total = 0, n;
            while ((n = tutti_batcher_next(b, &x, &y)) > 0) {
                assert_true(n == size || total + n == N);
                collect(x, y, n, seen);
                if (epoch > 0)
                    memcpy(first[epoch - 1] + total * 6, x, (size_t)n * 6 * sizeof(float));
                else
                    assert_memory_equal(x, set->x + total * 6, (size_t)n * 6 * sizeof(float));
                total += n;
            }
            assert_each_once(seen, N);
            assert_int_equal(tutti_batcher_next(b, &x, &y), 0);
        }
        assert_memory_not_equal(first[0], first[1], sizeof first[0]);
        /* The order of an epoch does not depend on the batch size or on other epochs. */
        tutti_batcher_shuffle(b, seed, 1);
        const void *x, *y;
        const int64_t n = tutti_batcher_next(b, &x, &y);
        assert_memory_equal(x, first[0], (size_t)n * 6 * sizeof(float));
        tutti_batcher_free(b);
    }
    tutti_batcher *none;
    assert_int_equal(tutti_batcher_make(set, 0, &none), TUTTI_INVALID_ARGUMENT);
    tutti_batcher_free(NULL);
    tutti_dataset_free(set);
}

static void standardize(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 0);
    enum { N = 400 };
    const tutti_shape x_shape = {2, true, {1, 3}}, y_shape = {1, true, {1}};
    static float x[N * 3];
    static int32_t y[N];
    for (int i = 0; i < N; i++) {
        x[3 * i] = 1000.0F + 0.01F * tutti_rng_normal(&rng);
        x[3 * i + 1] = 7.1F; /* constant, and not a binary fraction */
        x[3 * i + 2] = -5.0F * tutti_rng_uniform(&rng);
    }
    tutti_dataset *fit, *other, *narrow;
    assert_int_equal(tutti_dataset_make(N, &x_shape, x, TUTTI_I32, &y_shape, y, &fit), TUTTI_OK);
    x[0] = 1000.5F;
    assert_int_equal(tutti_dataset_make(2, &x_shape, x, TUTTI_I32, &y_shape, y, &other), TUTTI_OK);
    x[0] = fit->x[0];
    assert_int_equal(tutti_dataset_standardize(fit, &other, 1), TUTTI_OK);
    double mean[3] = {0}, square[3] = {0}, raw_mean = 0, raw_square = 0;
    for (int i = 0; i < N; i++) {
        for (int c = 0; c < 3; c++) {
            mean[c] += (double)fit->x[3 * i + c] / N;
            square[c] += (double)fit->x[3 * i + c] * (double)fit->x[3 * i + c] / N;
        }
        raw_mean += (double)x[3 * i] / N;
    }
    for (int i = 0; i < N; i++)
        raw_square += ((double)x[3 * i] - raw_mean) * ((double)x[3 * i] - raw_mean) / N;
    assert_true(fabs(mean[0]) < 1e-6 && fabs(mean[2]) < 1e-6);
    assert_true(fabs(square[0] - 1) < 1e-5 && fabs(square[2] - 1) < 1e-5);
    assert_true(square[1] == 0);
    const double expected = (1000.5 - raw_mean) / sqrt(raw_square);
    assert_true(fabs((double)other->x[0] - expected) < 1e-4 * fabs(expected));
    assert_true(other->x[1] == 0);
    narrow = numbered(2);
    assert_int_equal(tutti_dataset_standardize(fit, (tutti_dataset *[]){other, narrow}, 2),
                     TUTTI_SHAPE);
    assert_int_equal(tutti_dataset_standardize(fit, NULL, 0), TUTTI_OK);
    tutti_dataset_free(fit);
    tutti_dataset_free(other);
    tutti_dataset_free(narrow);
}

static void nudge(void **state) {
    (void)state;
    const tutti_shape x_shape = {3, true, {1, 2, 3}}, y_shape = {1, true, {1}};
    const float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const int32_t y[2] = {3, 4};
    const float expected[5][6] = {{7, 8, 9, 10, 11, 12},
                                  {10, 11, 12, 0, 0, 0},
                                  {0, 0, 0, 7, 8, 9},
                                  {8, 9, 0, 11, 12, 0},
                                  {0, 7, 8, 0, 10, 11}};
    tutti_dataset *set, *more;
    assert_int_equal(tutti_dataset_make(2, &x_shape, x, TUTTI_I32, &y_shape, y, &set), TUTTI_OK);
    assert_int_equal(tutti_dataset_nudge(set, 1, &more), TUTTI_OK);
    assert_int_equal(more->n, 10);
    assert_int_equal(more->n_classes, 5);
    assert_memory_equal(more->x, x, 6 * sizeof(float));
    assert_memory_equal(more->x + 30, expected, sizeof expected);
    for (int i = 0; i < 10; i++)
        assert_int_equal(((int32_t *)more->y)[i], y[i / 5]);
    tutti_dataset_free(more);
    assert_int_equal(tutti_dataset_nudge(set, 2, &more), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_dataset_nudge(set, 0, &more), TUTTI_INVALID_ARGUMENT);
    assert_null(more);
    tutti_dataset_free(set);
    assert_int_equal(tutti_dataset_make_binary(4, 3, 0, 1, &set), TUTTI_OK);
    assert_int_equal(tutti_dataset_nudge(set, 1, &more), TUTTI_SHAPE);
    tutti_dataset_free(set);
}

static void binary(void **state) {
    (void)state;
    const uint64_t seed = test_seed();
    tutti_dataset *a, *b, *noisy;
    assert_int_equal(tutti_dataset_make_binary(2000, 8, 0, seed, &a), TUTTI_OK);
    assert_int_equal(tutti_dataset_make_binary(2000, 8, 0, seed, &b), TUTTI_OK);
    assert_int_equal(tutti_dataset_make_binary(2000, 8, 0.1F, seed, &noisy), TUTTI_OK);
    assert_memory_equal(a->x, b->x, 2000 * 8 * sizeof(float));
    assert_memory_equal(a->y, b->y, 2000 * sizeof(float));
    assert_memory_equal(a->x, noisy->x, 2000 * 8 * sizeof(float));
    int ones = 0, flipped = 0;
    double mean = 0, square = 0;
    for (int i = 0; i < 2000; i++) {
        const float t = ((float *)a->y)[i];
        assert_true(t == 0 || t == 1);
        ones += t == 1;
        flipped += t != ((float *)noisy->y)[i];
    }
    for (int i = 0; i < 16000; i++) {
        mean += (double)a->x[i] / 16000;
        square += (double)a->x[i] * (double)a->x[i] / 16000;
    }
    assert_int_equal(ones, 1000);
    assert_in_range(flipped, 200 - 80, 200 + 80);
    assert_true(fabs(mean) < 0.05 && fabs(square - 1) < 0.08);
    tutti_dataset_free(b);
    assert_int_equal(tutti_dataset_make_binary(2000, 8, 0, seed + 1, &b), TUTTI_OK);
    assert_memory_not_equal(a->x, b->x, 2000 * 8 * sizeof(float));
    tutti_dataset_free(a);
    tutti_dataset_free(b);
    tutti_dataset_free(noisy);
    assert_int_equal(tutti_dataset_make_binary(1, 8, 0, 1, &a), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_dataset_make_binary(10, 0, 0, 1, &a), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_dataset_make_binary(10, 1, 0.6F, 1, &a), TUTTI_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(make_checks),
        cmocka_unit_test(split),
        cmocka_unit_test(shuffle_is_fixed),
        cmocka_unit_test(shuffle_is_fair),
        cmocka_unit_test(batches),
        cmocka_unit_test(standardize),
        cmocka_unit_test(nudge),
        cmocka_unit_test(binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
