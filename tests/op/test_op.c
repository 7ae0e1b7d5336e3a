/* What the conformance test cannot see: constructors, random masks, sums back over broadcasts. */

#include "base/rng.h"
#include "golden/golden.h"
#include "op/elementwise.h"
#include "seed.h"

static uint64_t seed;

/* A fresh graph with one f32 input of those dims. */
static tutti_tensor begin(tutti_graph **g, int32_t rank, const int64_t *dims) {
    OK(tutti_graph_make(g));
    return tutti_graph_input(*g, "x", TUTTI_F32, rank, dims);
}

#define DIMS(...)                                                                                  \
    (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) {                                 \
        __VA_ARGS__                                                                                \
    }

static void expect_shape(const tutti_graph *g, tutti_tensor t, const char *expected) {
    char text[TUTTI_SHAPE_TEXT];
    const tutti_shape shape = tutti_graph_tensor_shape(g, t);
    assert_string_equal(tutti_graph_message(g), "");
    assert_string_equal(tutti_shape_text(&shape, text), expected);
}

static void expect_message(const tutti_graph *g, const char *expected) {
    if (strstr(tutti_graph_message(g), expected) == NULL)
        fail_msg("expected \"%s\", got \"%s\"", expected, tutti_graph_message(g));
}

static void test_reshape(void **state) {
    (void)state;
    static const struct {
        int32_t rank_from, rank;
        int64_t from[3], dims[3];
        const char *expected; /* shape, or message */
        bool refused;
    } cases[] = {
        {2, 1, {6, 4}, {24}, "24", false},
        {2, 2, {6, 4}, {0, 3}, "8x3", false},
        {2, 3, {6, 4}, {2, 0, 2}, "2x6x2", false},
        {1, 0, {1}, {0}, "scalar", false},
        {3, 2, {TUTTI_BATCH, 3, 4}, {TUTTI_BATCH, 12}, "Nx12", false},
        {3, 2, {TUTTI_BATCH, 3, 4}, {TUTTI_BATCH, 0}, "Nx12", false},
        {3, 2, {TUTTI_BATCH, 3, 4}, {TUTTI_BATCH, 4}, "3Nx4", false},
        {3, 1, {TUTTI_BATCH, 3, 4}, {TUTTI_BATCH}, "12N", false},
        {2, 3, {TUTTI_BATCH, 12}, {TUTTI_BATCH, 3, 0}, "Nx3x4", false},
        {2, 2, {6, 4}, {5, 5}, "reshape: 6x4 has 24 elements, 5x5 has 25", true},
        {2, 2, {6, 4}, {0, 5}, "reshape: 6x4 has 24 elements, 1x5 has 5", true},
        {2, 2, {6, 4}, {0, 0}, "reshape: extents 0 and 1 are both 0, only one may be", true},
        {2, 2, {6, 4}, {-3, 8}, "reshape: extent 0 is -3, must be at least 1", true},
        {2, 1, {6, 4}, {TUTTI_BATCH}, "reshape: 6x4 has no batch", true},
        {2, 1, {TUTTI_BATCH, 4}, {4}, "reshape: Nx4 is batched", true},
        {2, 2, {TUTTI_BATCH, 4}, {TUTTI_BATCH, 3}, "Nx4 has 4 elements per sample", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_graph *g;
        const tutti_tensor x = begin(&g, cases[i].rank_from, cases[i].from);
        const tutti_tensor y = tutti_reshape(g, x, cases[i].rank, cases[i].dims);
        if (cases[i].refused) {
            assert_int_equal(y.id, 0);
            expect_message(g, cases[i].expected);
        } else {
            expect_shape(g, y, cases[i].expected);
        }
        tutti_graph_free(g);
    }
}

static void test_losses_refuse_other_shapes(void **state) {
    (void)state;
    tutti_graph *g;
    tutti_tensor x = begin(&g, DIMS(TUTTI_BATCH, 1));
    tutti_tensor t = tutti_graph_input(g, "t", TUTTI_F32, DIMS(TUTTI_BATCH));
    assert_int_equal(tutti_mse(g, x, t).id, 0);
    expect_message(g, "mse: x is Nx1, target is N");
    tutti_graph_free(g);
    x = begin(&g, DIMS(TUTTI_BATCH, 1));
    t = tutti_graph_input(g, "t", TUTTI_F32, DIMS(TUTTI_BATCH));
    assert_int_equal(tutti_bce_with_logits(g, x, t).id, 0);
    expect_message(g, "bce_with_logits: x is Nx1, target is N");
    tutti_graph_free(g);
}

/* After the first error every constructor returns the invalid tensor and the message stays. */
static void test_errors_stick(void **state) {
    (void)state;
    tutti_graph *g;
    const tutti_tensor x = begin(&g, DIMS(4, 5));
    const tutti_tensor bad = tutti_add(g, x, tutti_graph_input(g, "y", TUTTI_F32, DIMS(4)));
    char message[256];
    snprintf(message, sizeof message, "%s", tutti_graph_message(g));
    assert_string_equal(message, "add: 4x5 and 4 do not broadcast");
    const tutti_tensor after[] = {
        tutti_mul(g, bad, x),
        tutti_gelu(g, bad),
        tutti_reshape(g, bad, DIMS(20)),
        tutti_permute(g, bad, 2, (int32_t[]){1, 0}),
        tutti_broadcast_like(g, x, bad),
        tutti_broadcast_like(g, bad, x),
        tutti_dropout(g, bad, 0.5F),
        tutti_mse(g, bad, x),
        tutti_bce_with_logits(g, x, bad),
        tutti_scale_over_batch(g, bad, 1),
        tutti_reduce_to(g, bad, &(tutti_shape){0}),
    };
    for (size_t i = 0; i < sizeof after / sizeof *after; i++)
        assert_int_equal(after[i].id, 0);
    assert_string_equal(tutti_graph_message(g), message);
    tutti_graph_free(g);
}

/* Runs the graph's nodes on samples [begin, begin + n) of rows of x. */
static void run_rows(host *h, const tutti_graph *g, tutti_tensor x, const float *rows,
                     int64_t first, int64_t n, uint64_t run_seed, uint64_t step) {
    host_open(h, g, n);
    h->run.sample_begin = first;
    h->run.seed = run_seed;
    h->run.step = step;
    const tutti_shape shape = tutti_graph_tensor_shape(g, x);
    host_write(h, x, rows + first * tutti_shape_sample_count(&shape));
    host_step(h);
}

static void test_dropout(void **state) {
    (void)state;
    enum { ROWS = 300, COLUMNS = 41 };
    const float p = 0.3F;
    float x_data[ROWS * COLUMNS];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        x_data[i] = tutti_rng_uniform(&rng) + 1;
    tutti_graph *g;
    const tutti_tensor x = begin(&g, DIMS(TUTTI_BATCH, COLUMNS));
    assert_int_equal(tutti_dropout(g, x, 0).id, x.id);
    const tutti_tensor y = tutti_dropout(g, x, p), other = tutti_dropout(g, x, p);
    OK(tutti_graph_want_grad(g, x));
    OK(tutti_graph_set_loss(g, tutti_sum(g, y, 0, NULL, false)));
    OK(tutti_graph_set_output(g, "other", other));
    OK(tutti_graph_backward(g));
    const tutti_tensor dx = tutti_graph_grad(g, x);
    host whole, part, again;
    run_rows(&whole, g, x, x_data, 0, ROWS, seed, 7);
    const float *mask = whole.data[y.id], *gradient = whole.data[dx.id];
    const float *elsewhere = whole.data[other.id];
    double kept = 0, same = 0;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        if (mask[i] != 0)
            assert_float_equal(mask[i], x_data[i] / (1 - p), 1e-5F);
        assert_float_equal(gradient[i], mask[i] != 0 ? 1 / (1 - p) : 0, 1e-6F);
        kept += mask[i] != 0;
        same += (mask[i] != 0) == (elsewhere[i] != 0);
    }
    /* Six standard deviations of the share of 12,300 trials. */
    assert_float_equal(kept / (ROWS * COLUMNS), 0.7F, 0.025F);
    assert_float_equal(same / (ROWS * COLUMNS), 0.7F * 0.7F + 0.3F * 0.3F, 0.028F);

    /* A split of the batch cannot be seen in the numbers. */
    for (int64_t first = 0; first < ROWS; first += 97) {
        const int64_t n = first + 97 < ROWS ? 97 : ROWS - first;
        run_rows(&part, g, x, x_data, first, n, seed, 7);
        assert_memory_equal(part.data[y.id], mask + first * COLUMNS, (size_t)(n * COLUMNS) * 4);
        host_close(&part);
    }
    /* Another step or seed is another mask. */
    for (uint64_t k = 0; k < 2; k++) {
        run_rows(&again, g, x, x_data, 0, ROWS, seed + k, 8 - k);
        assert_memory_not_equal(again.data[y.id], mask, sizeof x_data);
        host_close(&again);
    }
    host_close(&whole);
    tutti_graph_free(g);
}

/* reduce_to undoes every broadcast, the batch included. */
static void test_reduce_to(void **state) {
    (void)state;
    static const struct {
        int32_t rank;
        int64_t dims[3];
        double per_element; /* what a tensor of ones sums to, for 5 samples of 3x4 */
    } cases[] = {
        {3, {TUTTI_BATCH, 3, 4}, 1},
        {3, {TUTTI_BATCH, 1, 4}, 3},
        {3, {TUTTI_BATCH, 1, 1}, 12},
        {3, {1, 3, 4}, 5},
        {2, {3, 4}, 5},
        {2, {3, 1}, 20},
        {1, {4}, 15},
        {1, {1}, 60},
        {0, {0}, 60},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_graph *g;
        const tutti_tensor to = begin(&g, cases[i].rank, cases[i].dims);
        const tutti_shape shape = tutti_graph_tensor_shape(g, to);
        const tutti_tensor ones = tutti_constant(g, &(tutti_shape){3, true, {1, 3, 4}}, 1);
        const tutti_tensor sum = tutti_reduce_to(g, ones, &shape);
        const tutti_shape got = tutti_graph_tensor_shape(g, sum);
        assert_true(tutti_shape_equal(&got, &shape));
        host h;
        host_open(&h, g, 5);
        host_step(&h);
        for (int64_t e = 0; e < tutti_shape_count(&shape, 5); e++)
            assert_float_equal(((float *)h.data[sum.id])[e], cases[i].per_element, 0);
        host_close(&h);
        tutti_graph_free(g);
    }
}

/* x^0 is 1 everywhere, so its gradient is 0 at 0, too. */
static void test_power_of_zero(void **state) {
    (void)state;
    static const float x_data[] = {-2, 0, 0.5F, 3};
    tutti_graph *g;
    const tutti_tensor x = begin(&g, DIMS(TUTTI_BATCH, 4));
    const tutti_tensor y = tutti_pow_scalar(g, x, 0);
    OK(tutti_graph_want_grad(g, x));
    OK(tutti_graph_set_loss(g, tutti_sum(g, y, 0, NULL, false)));
    OK(tutti_graph_backward(g));
    host h;
    run_rows(&h, g, x, x_data, 0, 1, seed, 0);
    for (int i = 0; i < 4; i++) {
        assert_true(((float *)h.data[y.id])[i] == 1);
        assert_true(((float *)h.data[tutti_graph_grad(g, x).id])[i] == 0);
    }
    host_close(&h);
    tutti_graph_free(g);
}

static void test_number_text(void **state) {
    (void)state;
    char text[TUTTI_F32_TEXT];
    assert_string_equal(tutti_f32_text(0.5F, text), "5.00000000e-01f");
    assert_string_equal(tutti_f32_text(-2, text), "(-2.00000000e+00f)");
    assert_string_equal(tutti_f32_text(-0.0F, text), "(-0.00000000e+00f)");
    assert_string_equal(tutti_f32_text(INFINITY, text), "INFINITY");
    assert_string_equal(tutti_f32_text(-INFINITY, text), "(-INFINITY)");
    assert_string_equal(tutti_f32_text(NAN, text), "NAN");
}

static void test_decimal(void **state) {
    (void)state;
    assert_true(tutti_decimal(0.999F) == 0.999);
    assert_true(tutti_decimal(1e-8F) == 1e-8);
    assert_true(tutti_decimal(0) == 0);
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 2);
    for (int i = 0; i < 1000; i++) {
        const float value = tutti_rng_normal(&rng);
        assert_true((float)tutti_decimal(value) == value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reshape),      cmocka_unit_test(test_losses_refuse_other_shapes),
        cmocka_unit_test(test_errors_stick), cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_reduce_to),    cmocka_unit_test(test_power_of_zero),
        cmocka_unit_test(test_number_text),  cmocka_unit_test(test_decimal),
    };
    seed = test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
