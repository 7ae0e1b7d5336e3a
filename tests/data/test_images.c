/* CIFAR-10's files, generated images, other sizes, statistics per channel. */
#include "data/helpers.h"

#include <math.h>

#include "base/hash.h"
#include "base/rng.h"

enum { PIXELS = 3072, RECORD = PIXELS + 1 };

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

static char directory[] = "/tmp/tutti-test-XXXXXX";

static void put(const char *name, const unsigned char *data, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void drop(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(unlink(path), 0);
}

static void fill(unsigned char *records, int n, tutti_rng *rng) {
    for (int i = 0; i < n * RECORD; i++)
        records[i] =
            (unsigned char)(i % RECORD == 0 ? tutti_rng_below(rng, 10) : tutti_rng_u32(rng));
}

static void assert_records(const tutti_dataset *set, int64_t first, const unsigned char *records,
                           int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(((int32_t *)set->y)[first + i], records[i * RECORD]);
        for (int k = 0; k < PIXELS; k++)
            assert_true(fabsf(set->x[(first + i) * PIXELS + k] * 255 -
                              (float)records[i * RECORD + 1 + k]) < 1e-3F);
    }
}

static void cifar(void **state) {
    (void)state;
    static unsigned char one[3 * RECORD], two[2 * RECORD], ten[RECORD], test[4 * RECORD];
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 1);
    fill(one, 3, &rng);
    fill(two, 2, &rng);
    fill(ten, 1, &rng);
    fill(test, 4, &rng);
    tutti_dataset *a, *b;
    assert_int_equal(tutti_dataset_load_cifar10("/nonexistent", &a, &b), TUTTI_IO);
    assert_message("/nonexistent");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(tutti_dataset_load_cifar10(directory, &a, &b), TUTTI_IO);
    assert_message("no data_batch_*.bin");
    put("data_batch_10.bin", ten, sizeof ten);
    put("data_batch_2.bin", two, sizeof two);
    put("data_batch_1.bin", one, sizeof one);
    put("data_batch_1.bin.txt", one, 5);
    assert_int_equal(tutti_dataset_load_cifar10(directory, &a, &b), TUTTI_IO);
    assert_message("test_batch.bin");
    put("test_batch.bin", test, sizeof test);
    ok(tutti_dataset_load_cifar10(directory, &a, &b));
    assert_int_equal(a->n, 6);
    assert_int_equal(b->n, 4);
    assert_int_equal(a->n_classes, 10);
    assert_int_equal(a->x_shape.rank, 4);
    assert_records(a, 0, one, 3);
    assert_records(a, 3, two, 2);
    assert_records(a, 5, ten, 1);
    assert_records(b, 0, test, 4);
    tutti_dataset_free(a);
    tutti_dataset_free(b);
    /* Damage. */
    put("data_batch_2.bin", two, sizeof two - 7);
    assert_int_equal(tutti_dataset_load_cifar10(directory, &a, &b), TUTTI_BAD_INPUT);
    assert_message(
        "data_batch_2.bin: 6139 bytes, expected CIFAR-10 records of 3073 bytes: 3066 are "
        "left over, is it truncated?");
    put("data_batch_2.bin", two, 0);
    assert_int_equal(tutti_dataset_load_cifar10(directory, &a, &b), TUTTI_BAD_INPUT);
    assert_message("data_batch_2.bin: the file is empty, expected CIFAR-10 records");
    put("data_batch_2.bin", two, sizeof two);
    test[2 * RECORD] = 10;
    put("test_batch.bin", test, sizeof test);
    assert_int_equal(tutti_dataset_load_cifar10(directory, &a, &b), TUTTI_BAD_INPUT);
    assert_message("test_batch.bin: record 2: class 10, expected 0 to 9");
    assert_null(a);
    assert_null(b);
    static const char *const names[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_10.bin",
                                        "data_batch_1.bin.txt", "test_batch.bin"};
    for (int i = 0; i < 5; i++)
        drop(names[i]);
    assert_int_equal(rmdir(directory), 0);
}

/* Bilinear in double, from the definition. */
static double at(const float *image, int64_t h, int64_t w, double y, double x) {
    y = fmin(fmax(y, 0), (double)(h - 1));
    x = fmin(fmax(x, 0), (double)(w - 1));
    const int64_t i = (int64_t)y, j = (int64_t)x, k = i + 1 < h ? i + 1 : i,
                  l = j + 1 < w ? j + 1 : j;
    const double fy = y - (double)i, fx = x - (double)j;
    return (1 - fy) * ((1 - fx) * (double)image[i * w + j] + fx * (double)image[i * w + l]) +
           fy * ((1 - fx) * (double)image[k * w + j] + fx * (double)image[k * w + l]);
}

static void resize(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 2);
    for (int round = 0; round < 40; round++) {
        const int64_t h = 1 + (int64_t)tutti_rng_below(&rng, 9),
                      w = 1 + (int64_t)tutti_rng_below(&rng, 9),
                      nh = 1 + (int64_t)tutti_rng_below(&rng, 30),
                      nw = 1 + (int64_t)tutti_rng_below(&rng, 30), n = 3, c = 2;
        const tutti_shape shape = round % 2 == 0 ? (tutti_shape){4, true, {1, c, h, w}}
                                                 : (tutti_shape){3, true, {1, c * h, w}};
        const int64_t planes = round % 2 == 0 ? n * c : n, height = round % 2 == 0 ? h : c * h;
        const tutti_shape y_shape = {1, true, {1}};
        float x[3 * 2 * 81];
        const int32_t y[3] = {4, 0, 2};
        for (int64_t i = 0; i < n * c * h * w; i++)
            x[i] = tutti_rng_normal(&rng);
        tutti_dataset *set, *out;
        ok(tutti_dataset_make(n, &shape, x, TUTTI_I32, &y_shape, y, &set));
        ok(tutti_dataset_resize(set, nh, nw, &out));
        assert_int_equal(out->n_classes, 5);
        assert_memory_equal(out->y, y, sizeof y);
        for (int64_t p = 0; p < planes; p++)
            for (int64_t r = 0; r < nh; r++)
                for (int64_t k = 0; k < nw; k++) {
                    const double wanted = at(x + p * height * w, height, w,
                                             ((double)r + 0.5) * (double)height / (double)nh - 0.5,
                                             ((double)k + 0.5) * (double)w / (double)nw - 0.5);
                    assert_true(fabs((double)out->x[(p * nh + r) * nw + k] - wanted) < 1e-6);
                }
        tutti_dataset_free(out);
        assert_int_equal(tutti_dataset_resize(set, 0, 4, &out), TUTTI_INVALID_ARGUMENT);
        assert_int_equal(tutti_dataset_resize(set, 4, 65537, &out), TUTTI_INVALID_ARGUMENT);
        assert_null(out);
        ok(tutti_dataset_resize(set, height, w, &out)); /* the same size: the same values */
        assert_memory_equal(out->x, x, (size_t)(n * c * h * w) * sizeof *x);
        tutti_dataset_free(out);
        tutti_dataset_free(set);
    }
    tutti_dataset *set, *out;
    ok(tutti_dataset_make_binary(4, 3, 0, 1, &set));
    assert_int_equal(tutti_dataset_resize(set, 4, 4, &out), TUTTI_SHAPE);
    assert_message("features are Nx3, expected images");
    tutti_dataset_free(set);
}

static void channels(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 3);
    enum { N = 50, C = 3, INNER = 6, SIZE = N * C * INNER };
    static float x[SIZE];
    static int32_t y[N];
    for (int i = 0; i < SIZE; i++) {
        const int c = i / INNER % C;
        x[i] = c == 2 ? 0.1F : 10 * (float)c + (float)(c + 1) * tutti_rng_normal(&rng);
    }
    const tutti_shape shape = {4, true, {1, C, 2, 3}}, y_shape = {1, true, {1}};
    tutti_dataset *fit, *other, *rows;
    ok(tutti_dataset_make(N, &shape, x, TUTTI_I32, &y_shape, y, &fit));
    ok(tutti_dataset_make(2, &shape, x, TUTTI_I32, &y_shape, y, &other));
    ok(tutti_dataset_standardize_channels(fit, &other, 1));
    for (int c = 0; c < C; c++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < SIZE; i++)
            if (i / INNER % C == c) {
                sum += (double)fit->x[i] / (N * INNER);
                squares += (double)fit->x[i] * (double)fit->x[i] / (N * INNER);
            }
        assert_true(fabs(sum) < 1e-5);
        assert_true(fabs(squares - (c == 2 ? 0 : 1)) < 1e-5);
    }
    assert_memory_equal(other->x, fit->x, 2 * C * INNER * sizeof(float));
    ok(tutti_dataset_make_binary(4, 3, 0, 1, &rows));
    assert_int_equal(tutti_dataset_standardize_channels(rows, NULL, 0), TUTTI_SHAPE);
    assert_int_equal(tutti_dataset_standardize_channels(fit, &rows, 1), TUTTI_SHAPE);
    tutti_dataset_free(rows);
    tutti_dataset_free(fit);
    tutti_dataset_free(other);
}

static void textures_are_fixed(void **state) {
    (void)state;
    tutti_dataset *some, *more, *others;
    ok(tutti_dataset_make_textures(20, 1, &some));
    ok(tutti_dataset_make_textures(35, 1, &more));
    ok(tutti_dataset_make_textures(20, 2, &others));
    assert_memory_equal(some->x, more->x, 20 * PIXELS * sizeof(float));
    assert_memory_not_equal(some->x, others->x, 20 * PIXELS * sizeof(float));
    int32_t count[10] = {0};
    for (int i = 0; i < 20; i++)
        count[((int32_t *)some->y)[i]]++;
    for (int c = 0; c < 10; c++)
        assert_int_equal(count[c], 2);
    assert_int_equal(some->n_classes, 10);
    /* Known answer: a seed stands for these images. */
    unsigned char digest[TUTTI_DIGEST_BYTES];
    char hex[TUTTI_DIGEST_HEX];
    tutti_hash hash;
    tutti_hash_begin(&hash);
    for (int i = 0; i < 20 * PIXELS; i++) {
        const unsigned char level = (unsigned char)lrintf(some->x[i] * 255);
        assert_true(some->x[i] == (float)level / 255.0F);
        tutti_hash_add(&hash, &level, 1);
    }
    tutti_hash_end(&hash, digest);
    tutti_hash_hex(digest, hex);
    assert_string_equal(hex, "f29ec24d51e7545f0870331af42b560d4bdf25edc9409206fcd08616115c600f");
    tutti_dataset_free(some);
    tutti_dataset_free(more);
    tutti_dataset_free(others);
    assert_int_equal(tutti_dataset_make_textures(0, 1, &some), TUTTI_INVALID_ARGUMENT);
}

/* Softmax regression by SGD on the pixels; returns the accuracy on the test set. */
static double regress(const tutti_dataset *train, const tutti_dataset *test) {
    enum { CLASSES = 10, EPOCHS = 2 };
    static float w[CLASSES][PIXELS + 1];
    memset(w, 0, sizeof w);
    int64_t hits = 0;
    for (int64_t step = 0; step < EPOCHS * train->n + test->n; step++) {
        const bool training = step < EPOCHS * train->n;
        const tutti_dataset *set = training ? train : test;
        const int64_t i = training ? step * 7919 % train->n : step - EPOCHS * train->n;
        const float *x = set->x + i * PIXELS;
        const int32_t label = ((const int32_t *)set->y)[i];
        float z[CLASSES], sum = 0;
        int best = 0;
        for (int c = 0; c < CLASSES; c++) {
            float dot[8] = {0};
            for (int k = 0; k < PIXELS; k++)
                dot[k % 8] += w[c][k] * x[k];
            z[c] = w[c][PIXELS];
            for (int k = 0; k < 8; k++)
                z[c] += dot[k];
            best = z[c] > z[best] ? c : best;
        }
        hits += !training && best == label;
        const float top = z[best];
        for (int c = 0; c < CLASSES; c++)
            sum += z[c] = expf(z[c] - top);
        const float rate = 5e-4F * (1 - (float)step / (float)(EPOCHS * train->n));
        for (int c = 0; c < CLASSES && training; c++) {
            const float d = rate * (z[c] / sum - (c == label ? 1.0F : 0.0F));
            for (int k = 0; k < PIXELS; k++)
                w[c][k] -= d * x[k];
            w[c][PIXELS] -= d;
        }
    }
    return (double)hits / (double)test->n;
}

static void linear_models_fail(void **state) {
    (void)state;
    const uint64_t seed = test_seed();
    enum { TRAIN = 2000 };
    tutti_dataset *train, *test;
    ok(tutti_dataset_make_textures(TRAIN, seed, &train));
    ok(tutti_dataset_make_textures(500, seed + 1, &test));
    /* Each class's mean image is grey: within 6 deviations of the mean of 200 pixels. */
    for (int c = 0; c < 10; c++)
        for (int k = 0; k < PIXELS; k += 97) {
            double mean = 0;
            for (int64_t i = c; i < TRAIN; i += 10)
                mean += (double)train->x[i * PIXELS + k] / (TRAIN / 10);
            assert_true(fabs(mean - 0.5) < 6 * 0.3 / sqrt((double)TRAIN / 10));
        }
    ok(tutti_dataset_standardize_channels(train, &test, 1));
    const double accuracy = regress(train, test);
    /* The regression does learn what a linear model can: classes marked by one pixel. */
    for (int i = 0; i < 2; i++) {
        tutti_dataset *set = i == 0 ? train : test;
        for (int64_t k = 0; k < set->n; k++)
            set->x[k * PIXELS + 100 * ((int32_t *)set->y)[k]] += 15;
    }
    const double marked = regress(train, test);
    print_message("linear accuracy %.3f, with marks %.3f\n", accuracy, marked);
    assert_true(accuracy < 0.2);
    assert_true(marked > 0.6);
    tutti_dataset_free(train);
    tutti_dataset_free(test);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cifar),
        cmocka_unit_test(resize),
        cmocka_unit_test(channels),
        cmocka_unit_test(textures_are_fixed),
        cmocka_unit_test(linear_models_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
