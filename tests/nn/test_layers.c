/* Layers: the shapes that come out, the parameters' names, shapes and initial values as PyTorch
 * documents them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/cases.h"
#include "exec/run.h"
#include "seed.h"
#include "tutti/nn.h"

static tutti_graph *graph;
static tutti_tensor x;     /* Nx6 */
static tutti_tensor image; /* Nx4x8x9 */
static uint64_t seed;

static int setup(void **state) {
    (void)state;
    if (tutti_graph_make(&graph) != TUTTI_OK)
        return -1;
    x = tutti_graph_input(graph, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 6});
    image = tutti_graph_input(graph, "image", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 4, 8, 9});
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tutti_graph_free(graph);
    return 0;
}

static void rejected(tutti_tensor result, const char *message) {
    assert_int_equal(result.id, 0);
    assert_int_not_equal(tutti_graph_status(graph), TUTTI_OK);
    if (strstr(tutti_graph_message(graph), message) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", tutti_graph_message(graph), message);
}

static void has_shape(tutti_tensor tensor, const char *expected) {
    char text[TUTTI_SHAPE_TEXT];
    if (tensor.id == 0)
        fail_msg("no tensor of shape %s: %s", expected, tutti_graph_message(graph));
    const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
    assert_string_equal(tutti_shape_text(&shape, text), expected);
}

/* The graph's parameters are exactly these, in this order. */
static void has_params(int32_t count, const char *const names_and_shapes[][2]) {
    assert_int_equal(tutti_graph_param_count(graph), count);
    for (int32_t i = 0; i < count; i++) {
        const tutti_tensor param = tutti_graph_param_at(graph, i);
        assert_string_equal(tutti_graph_tensor_name(graph, param), names_and_shapes[i][0]);
        has_shape(param, names_and_shapes[i][1]);
    }
}
#define PARAMS(...)                                                                                \
    has_params((int32_t)(sizeof((const char *const[][2]){__VA_ARGS__}) / sizeof(const char *[2])), \
               (const char *const[][2]){__VA_ARGS__})

static float *initial(const char *name, int64_t *count) {
    const tutti_tensor tensor = tutti_graph_find(graph, name);
    assert_int_not_equal(tensor.id, 0);
    const tutti_tensor_record *record = tutti_graph_record(graph, tensor);
    *count = tutti_shape_count(&record->type.shape, 1);
    float *values = malloc((size_t)*count * sizeof *values);
    assert_non_null(values);
    memset(values, 0xFF, (size_t)*count * sizeof *values);
    assert_int_equal(tutti_init_fill(record, seed, values), TUTTI_OK);
    return values;
}

/* Starts uniform in [-bound, bound]: nothing outside, moments near those of the distribution, with
 * six standard deviations of room. */
static void starts_uniform(const char *name, double bound) {
    int64_t count;
    float *values = initial(name, &count);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        assert_true(fabs((double)values[i]) <= bound * (1 + 1e-6));
        sum += (double)values[i] / bound;
        squares += (double)values[i] * (double)values[i] / (bound * bound);
    }
    const double n = (double)count;
    assert_true(fabs(sum / n) < 6 * sqrt(1 / 3.0 / n));
    assert_true(fabs(squares / n - 1 / 3.0) < 6 * sqrt(4 / 45.0 / n));
    free(values);
}

static void starts_constant(const char *name, float value) {
    int64_t count;
    float *values = initial(name, &count);
    for (int64_t i = 0; i < count; i++)
        assert_true(values[i] == value);
    free(values);
}

static void linear(void **state) {
    (void)state;
    has_shape(tutti_nn_linear(graph, x, 5, "head", NULL), "Nx5");
    PARAMS({"head.weight", "5x6"}, {"head.bias", "5"});
}

static void linear_starts_as_pytorch_does(void **state) {
    (void)state;
    (void)tutti_nn_linear(graph, x, 4000, "head", NULL);
    starts_uniform("head.weight", 1 / sqrt(6));
    starts_uniform("head.bias", 1 / sqrt(6));
}

static void linear_without_bias_with_own_init(void **state) {
    (void)state;
    const tutti_init half = {TUTTI_INIT_CONSTANT, 0.5F, 0};
    has_shape(
        tutti_nn_linear(graph, x, 5, "head", &(tutti_nn_params){.no_bias = true, .weight = &half}),
        "Nx5");
    PARAMS({"head.weight", "5x6"});
    starts_constant("head.weight", 0.5F);
}

static void a_bias_may_start_otherwise(void **state) {
    (void)state;
    const tutti_init zeros = {.kind = TUTTI_INIT_ZEROS};
    (void)tutti_nn_linear(graph, x, 5, "head", &(tutti_nn_params){.bias = &zeros});
    starts_constant("head.bias", 0);
    starts_uniform("head.weight", 1 / sqrt(6));
}

/* Rows of a sequence: the product of each is that of the row alone. */
static void linear_works_on_the_last_axis(void **state) {
    (void)state;
    enum { N = 3, T = 4, K = 6, M = 5 };
    const tutti_tensor rows =
        tutti_graph_input(graph, "rows", TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, T, K});
    const tutti_tensor y = tutti_nn_linear(graph, rows, M, "head", NULL);
    has_shape(y, "Nx4x5");
    void *memory[32] = {NULL};
    const char *const names[] = {"rows", "head.weight", "head.bias"};
    const float *in[3];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    for (int k = 0; k < 3; k++) {
        const tutti_tensor tensor = tutti_graph_find(graph, names[k]);
        const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
        const int64_t count = tutti_shape_count(&shape, N);
        float *values = memory[tensor.id] = malloc((size_t)count * sizeof *values);
        for (int64_t i = 0; i < count; i++)
            values[i] = tutti_rng_uniform(&rng);
        in[k] = values;
    }
    graph_ref(graph, &(tutti_run_values){.n = N, .n_global = N}, memory);
    for (int r = 0; r < N * T; r++)
        for (int m = 0; m < M; m++) {
            double sum = (double)in[2][m];
            for (int k = 0; k < K; k++)
                sum += (double)in[0][r * K + k] * (double)in[1][m * K + k];
            assert_true(fabs(sum - (double)((float *)memory[y.id])[r * M + m]) < 1e-5);
        }
    for (int i = 0; i < 32; i++)
        free(memory[i]);
}

static void linear_needs_a_name(void **state) {
    (void)state;
    rejected(tutti_nn_linear(graph, x, 5, NULL, NULL), "linear: the name is NULL");
}

static void linear_needs_a_name_that_is_not_empty(void **state) {
    (void)state;
    rejected(tutti_nn_linear(graph, x, 5, "", NULL), "linear: the name is empty");
}

static void a_name_may_be_too_long(void **state) {
    (void)state;
    char name[TUTTI_NAME_MAX + 1];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    rejected(tutti_nn_linear(graph, x, 5, name, NULL), "the name is longer than 200 bytes");
}

static void a_name_is_used_once(void **state) {
    (void)state;
    const tutti_tensor h = tutti_nn_linear(graph, x, 5, "head", NULL);
    rejected(tutti_nn_linear(graph, h, 5, "head", NULL), "\"head.weight\": the name is taken");
}

static void linear_needs_features(void **state) {
    (void)state;
    const tutti_tensor labels =
        tutti_graph_input(graph, "labels", TUTTI_F32, 1, (int64_t[]){TUTTI_BATCH});
    rejected(tutti_nn_linear(graph, labels, 5, "head", NULL),
             "linear head: x is N, expected 2 axes or more");
}

static void linear_needs_an_output(void **state) {
    (void)state;
    rejected(tutti_nn_linear(graph, x, 0, "head", NULL), "linear head: 0 output features");
}

static void conv2d(void **state) {
    (void)state;
    const tutti_conv2d_options options = {.stride = {2, 1}, .padding = {1, 2}, .groups = 2};
    has_shape(tutti_nn_conv2d(graph, image, 6, 3, 5, "c", &options, NULL), "Nx6x4x9");
    has_shape(
        tutti_nn_conv2d(graph, image, 7, 1, 1, "d", NULL, &(tutti_nn_params){.no_bias = true}),
        "Nx7x8x9");
    PARAMS({"c.weight", "6x2x3x5"}, {"c.bias", "6"}, {"d.weight", "7x4x1x1"});
}

static void conv2d_starts_as_pytorch_does(void **state) {
    (void)state;
    (void)tutti_nn_conv2d(graph, image, 500, 3, 5, "c", &(tutti_conv2d_options){.groups = 2}, NULL);
    starts_uniform("c.weight", 1 / sqrt(2 * 3 * 5));
    starts_uniform("c.bias", 1 / sqrt(2 * 3 * 5));
}

static void conv_transpose2d(void **state) {
    (void)state;
    const tutti_conv2d_options options = {
        .stride = {2, 2}, .padding = {1, 0}, .output_padding = {1, 0}, .groups = 2};
    has_shape(tutti_nn_conv_transpose2d(graph, image, 600, 3, 2, "up", &options, NULL),
              "Nx600x16x18");
    PARAMS({"up.weight", "4x300x3x2"}, {"up.bias", "600"});
    starts_uniform("up.weight", 1 / sqrt(300 * 3 * 2));
    starts_uniform("up.bias", 1 / sqrt(300 * 3 * 2));
}

static void convolutions_need_images(void **state) {
    (void)state;
    rejected(tutti_nn_conv2d(graph, x, 6, 3, 3, "c", NULL, NULL),
             "conv2d c: x is Nx6, expected (N, C, H, W)");
}

static void convolutions_need_channels(void **state) {
    (void)state;
    rejected(tutti_nn_conv2d(graph, image, -6, 3, 3, "c", NULL, NULL),
             "conv2d c: -6 output channels, expected at least 1");
}

static void kernels_need_rows(void **state) {
    (void)state;
    rejected(tutti_nn_conv_transpose2d(graph, image, 6, 0, 3, "c", NULL, NULL),
             "conv_transpose2d c: 0 kernel rows, expected at least 1");
}

static void groups_divide_the_channels(void **state) {
    (void)state;
    rejected(
        tutti_nn_conv2d(graph, image, 6, 3, 3, "c", &(tutti_conv2d_options){.groups = 4}, NULL),
        "conv2d c: x is Nx4x8x9: 4 and 6 channels do not both divide into 4 groups");
}

static void groups_are_positive(void **state) {
    (void)state;
    rejected(
        tutti_nn_conv2d(graph, image, 6, 3, 3, "c", &(tutti_conv2d_options){.groups = -2}, NULL),
        "conv2d c: -2 groups");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(linear),
        TEST(linear_starts_as_pytorch_does),
        TEST(linear_without_bias_with_own_init),
        TEST(a_bias_may_start_otherwise),
        TEST(linear_works_on_the_last_axis),
        TEST(linear_needs_a_name),
        TEST(linear_needs_a_name_that_is_not_empty),
        TEST(a_name_may_be_too_long),
        TEST(a_name_is_used_once),
        TEST(linear_needs_features),
        TEST(linear_needs_an_output),
        TEST(conv2d),
        TEST(conv2d_starts_as_pytorch_does),
        TEST(conv_transpose2d),
        TEST(convolutions_need_images),
        TEST(convolutions_need_channels),
        TEST(kernels_need_rows),
        TEST(groups_divide_the_channels),
        TEST(groups_are_positive),
    };
    seed = test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
