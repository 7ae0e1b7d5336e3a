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

static void batch_norm(void **state) {
    (void)state;
    has_shape(tutti_nn_batch_norm(graph, image, "bn", NULL), "Nx4x8x9");
    PARAMS({"bn.weight", "4"}, {"bn.bias", "4"});
    starts_constant("bn.weight", 1);
    starts_constant("bn.bias", 0);
    has_shape(tutti_graph_find(graph, "bn.running_mean"), "4");
    starts_constant("bn.running_mean", 0);
    starts_constant("bn.running_var", 1);
}

static void norms_of_rows(void **state) {
    (void)state;
    has_shape(tutti_nn_layer_norm(graph, image, "a", NULL), "Nx4x8x9");
    const tutti_init zeros = {.kind = TUTTI_INIT_ZEROS};
    has_shape(
        tutti_nn_layer_norm(
            graph, image, "b",
            &(tutti_nn_norm_options){
                .n_axes = 2, .params = &(tutti_nn_params){.no_bias = true, .weight = &zeros}}),
        "Nx4x8x9");
    has_shape(tutti_nn_rms_norm(graph, x, "c", NULL), "Nx6");
    PARAMS({"a.weight", "9"}, {"a.bias", "9"}, {"b.weight", "8x9"}, {"c.weight", "6"});
    starts_constant("a.weight", 1);
    starts_constant("a.bias", 0);
    starts_constant("b.weight", 0);
    starts_constant("c.weight", 1);
}

static void group_norm(void **state) {
    (void)state;
    has_shape(tutti_nn_group_norm(graph, image, 2, "gn", NULL), "Nx4x8x9");
    PARAMS({"gn.weight", "4"}, {"gn.bias", "4"});
    starts_constant("gn.weight", 1);
    starts_constant("gn.bias", 0);
}

/* The value on the host of one sample that counts 1, 2, 3, … */
static double first_of(tutti_tensor y, tutti_tensor input) {
    void *memory[64] = {NULL};
    const tutti_shape shape = tutti_graph_tensor_shape(graph, input);
    const int64_t count = tutti_shape_count(&shape, 1);
    float *values = memory[input.id] = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(i + 1);
    for (tutti_tensor t = tutti_graph_next_learned(graph, (tutti_tensor){0}); t.id != 0;
         t = tutti_graph_next_learned(graph, t)) {
        int64_t n;
        memory[t.id] = initial(tutti_graph_tensor_name(graph, t), &n);
    }
    graph_ref(graph, &(tutti_run_values){.n = 1, .n_global = 1}, memory);
    const double first = (double)*(float *)memory[y.id];
    for (int i = 0; i < 64; i++)
        free(memory[i]);
    return first;
}

/* 1 … 6 have the mean 3.5, the variance 35/12 and the mean square 91/6. */
static void eps_reaches_the_op(void **state) {
    (void)state;
    const tutti_nn_norm_options two = {.eps = 2};
    const tutti_tensor by_default = tutti_nn_layer_norm(graph, x, "a", NULL);
    const tutti_tensor layer = tutti_nn_layer_norm(graph, x, "b", &two);
    const tutti_tensor rms = tutti_nn_rms_norm(graph, x, "c", &two);
    const tutti_tensor group = tutti_nn_group_norm(graph, x, 1, "d", &two);
    assert_true(fabs(first_of(by_default, x) + 2.5 / sqrt(35 / 12.0 + 1e-5)) < 1e-5);
    assert_true(fabs(first_of(layer, x) + 2.5 / sqrt(35 / 12.0 + 2)) < 1e-5);
    assert_true(fabs(first_of(rms, x) - 1 / sqrt(91 / 6.0 + 2)) < 1e-5);
    assert_true(fabs(first_of(group, x) + 2.5 / sqrt(35 / 12.0 + 2)) < 1e-5);
}

static void batch_norm_needs_its_bias(void **state) {
    (void)state;
    const tutti_nn_params no_bias = {.no_bias = true};
    rejected(tutti_nn_batch_norm(graph, x, "bn", &(tutti_nn_norm_options){.params = &no_bias}),
             "batch_norm bn: it needs its bias");
}

static void batch_norm_needs_channels(void **state) {
    (void)state;
    const tutti_tensor flat = tutti_reshape(graph, x, 1, (int64_t[]){TUTTI_BATCH});
    rejected(tutti_nn_batch_norm(graph, flat, "bn", NULL),
             "batch_norm bn: x is 6N, expected (N, C)");
}

static void rows_leave_the_batch_out(void **state) {
    (void)state;
    rejected(tutti_nn_layer_norm(graph, x, "ln", &(tutti_nn_norm_options){.n_axes = 2}),
             "layer_norm ln: x is Nx6: its last 2 axes make no row");
}

static void groups_divide(void **state) {
    (void)state;
    rejected(tutti_nn_group_norm(graph, image, 3, "gn", NULL), "3 groups");
}

static void residual_block(void **state) {
    (void)state;
    has_shape(tutti_nn_residual_block(graph, image, 4, 1, "a"), "Nx4x8x9");
    PARAMS({"a.conv1.weight", "4x4x3x3"}, {"a.bn1.weight", "4"}, {"a.bn1.bias", "4"},
           {"a.conv2.weight", "4x4x3x3"}, {"a.bn2.weight", "4"}, {"a.bn2.bias", "4"});
}

static void residual_block_that_changes_shape(void **state) {
    (void)state;
    has_shape(tutti_nn_residual_block(graph, image, 6, 2, "b"), "Nx6x4x5");
    PARAMS({"b.conv1.weight", "6x4x3x3"}, {"b.bn1.weight", "6"}, {"b.bn1.bias", "6"},
           {"b.conv2.weight", "6x6x3x3"}, {"b.bn2.weight", "6"}, {"b.bn2.bias", "6"},
           {"b.downsample.0.weight", "6x4x1x1"}, {"b.downsample.1.weight", "6"},
           {"b.downsample.1.bias", "6"});
    assert_int_not_equal(tutti_graph_find(graph, "b.downsample.1.running_var").id, 0);
}

static void residual_block_needs_images(void **state) {
    (void)state;
    rejected(tutti_nn_residual_block(graph, x, 4, 1, "a"), "residual_block a: x is Nx6");
}

static void residual_block_needs_a_stride(void **state) {
    (void)state;
    rejected(tutti_nn_residual_block(graph, image, 4, 0, "a"), "residual_block a: 0 stride");
}

static void embedding(void **state) {
    (void)state;
    const tutti_tensor tokens =
        tutti_graph_input(graph, "tokens", TUTTI_I32, 2, (int64_t[]){TUTTI_BATCH, 7});
    has_shape(tutti_nn_embedding(graph, tokens, 300, 20, "e", NULL), "Nx7x20");
    PARAMS({"e.weight", "300x20"});
    int64_t count;
    float *values = initial("e.weight", &count);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    free(values);
    const double n = (double)count;
    assert_true(fabs(sum / n) < 6 / sqrt(n));
    assert_true(fabs(squares / n - 1) < 6 * sqrt(2 / n));
}

static void embedding_needs_rows(void **state) {
    (void)state;
    rejected(tutti_nn_embedding(graph, x, 0, 20, "e", NULL), "embedding e: 0 rows");
}

static tutti_tensor sequence(const char *name, int64_t length, int64_t width) {
    return tutti_graph_input(graph, name, TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, length, width});
}

static void multi_head_attention(void **state) {
    (void)state;
    const tutti_tensor s = sequence("s", 5, 60), context = sequence("context", 7, 60);
    has_shape(tutti_nn_multi_head_attention(graph, s, 3, "a", NULL), "Nx5x60");
    const tutti_nn_params no_bias = {.no_bias = true};
    has_shape(tutti_nn_multi_head_attention(
                  graph, s, 2, "b",
                  &(tutti_nn_attention_options){
                      .context = context, .rotary = true, .in = &no_bias, .out = &no_bias}),
              "Nx5x60");
    PARAMS({"a.in_proj_weight", "180x60"}, {"a.in_proj_bias", "180"},
           {"a.out_proj.weight", "60x60"}, {"a.out_proj.bias", "60"},
           {"b.in_proj_weight", "180x60"}, {"b.out_proj.weight", "60x60"});
    starts_uniform("a.in_proj_weight", sqrt(6.0 / (180 + 60)));
    starts_uniform("a.out_proj.weight", 1 / sqrt(60));
    starts_constant("a.in_proj_bias", 0);
    starts_constant("a.out_proj.bias", 0);
}

static void attention_starts_otherwise(void **state) {
    (void)state;
    const tutti_init one = {TUTTI_INIT_CONSTANT, 1.0F, 0}, two = {TUTTI_INIT_CONSTANT, 2.0F, 0};
    const tutti_nn_params in = {.weight = &one, .bias = &two}, out = {.weight = &two};
    (void)tutti_nn_multi_head_attention(graph, sequence("s", 5, 6), 3, "a",
                                        &(tutti_nn_attention_options){.in = &in, .out = &out});
    starts_constant("a.in_proj_weight", 1);
    starts_constant("a.in_proj_bias", 2);
    starts_constant("a.out_proj.weight", 2);
    starts_constant("a.out_proj.bias", 0);
}

static void attention_needs_sequences(void **state) {
    (void)state;
    rejected(tutti_nn_multi_head_attention(graph, x, 2, "a", NULL),
             "multi_head_attention a: x is Nx6, expected (N, T, C)");
}

static void heads_divide_the_channels(void **state) {
    (void)state;
    rejected(tutti_nn_multi_head_attention(graph, sequence("s", 5, 6), 4, "a", NULL),
             "multi_head_attention a: x is Nx5x6: 6 channels do not divide into 4 heads");
}

static void heads_are_positive(void **state) {
    (void)state;
    rejected(tutti_nn_multi_head_attention(graph, sequence("s", 5, 6), 0, "a", NULL), "0 heads");
}

static void a_context_has_the_same_channels(void **state) {
    (void)state;
    const tutti_nn_attention_options options = {.context = sequence("c", 7, 8)};
    rejected(tutti_nn_multi_head_attention(graph, sequence("s", 5, 6), 2, "a", &options),
             "multi_head_attention a: x is Nx5x6, context is Nx7x8");
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
        TEST(batch_norm),
        TEST(norms_of_rows),
        TEST(group_norm),
        TEST(eps_reaches_the_op),
        TEST(batch_norm_needs_its_bias),
        TEST(batch_norm_needs_channels),
        TEST(rows_leave_the_batch_out),
        TEST(groups_divide),
        TEST(residual_block),
        TEST(residual_block_that_changes_shape),
        TEST(residual_block_needs_images),
        TEST(residual_block_needs_a_stride),
        TEST(embedding),
        TEST(embedding_needs_rows),
        TEST(multi_head_attention),
        TEST(attention_starts_otherwise),
        TEST(attention_needs_sequences),
        TEST(heads_divide_the_channels),
        TEST(heads_are_positive),
        TEST(a_context_has_the_same_channels),
    };
    seed = test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
