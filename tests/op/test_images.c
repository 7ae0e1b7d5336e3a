/* Constructors of the image ops: defaults, compositions, what they refuse themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/cases.h"

static tutti_graph *graph;
static tutti_tensor x, weight; /* Nx4x9x7, 6x4x3x3 */

static int setup(void **state) {
    (void)state;
    if (tutti_graph_make(&graph) != TUTTI_OK)
        return -1;
    x = tutti_graph_input(graph, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 4, 9, 7});
    weight = tutti_graph_input(graph, "weight", TUTTI_F32, 4, (int64_t[]){6, 4, 3, 3});
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tutti_graph_free(graph);
    return 0;
}

static void has_shape(tutti_tensor y, const char *expected) {
    char text[TUTTI_SHAPE_TEXT];
    const tutti_shape shape = tutti_graph_tensor_shape(graph, y);
    if (y.id == 0)
        fail_msg("%s", tutti_graph_message(graph));
    assert_string_equal(tutti_shape_text(&shape, text), expected);
}

static void rejected(tutti_tensor result, const char *text) {
    assert_int_equal(result.id, 0);
    assert_int_not_equal(tutti_graph_status(graph), TUTTI_OK);
    if (strstr(tutti_graph_message(graph), text) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", tutti_graph_message(graph), text);
}

static const tutti_tensor none = {0};

static void convolutions_have_defaults(void **state) {
    (void)state;
    has_shape(tutti_conv2d(graph, x, weight, none, NULL), "Nx6x7x5");
    has_shape(tutti_conv2d(graph, x, weight, none, &(tutti_conv2d_options){.padding = {1, 0}}),
              "Nx6x9x5");
    has_shape(tutti_conv2d(graph, x, weight, none, &(tutti_conv2d_options){.stride = {0, 2}}),
              "Nx6x7x3");
    const tutti_tensor y = tutti_graph_input(graph, "y", TUTTI_F32, 4, (int64_t[]){5, 6, 2, 2});
    has_shape(tutti_conv_transpose2d(graph, y, weight, none, NULL), "5x4x4x4");
    has_shape(
        tutti_conv_transpose2d(graph, y, weight, none,
                               &(tutti_conv2d_options){.stride = {3, 2}, .output_padding = {2, 0}}),
        "5x4x8x5");
}

static void a_convolution_has_no_output_padding(void **state) {
    (void)state;
    rejected(tutti_conv2d(graph, x, weight, none,
                          &(tutti_conv2d_options){.stride = {2, 2}, .output_padding = {1, 0}}),
             "conv2d: output padding is 1x0, expected 0x0");
}

static void the_data_gradient_has_the_shape_of_x(void **state) {
    (void)state;
    /* 9 and 7 rows less 3 taps leave remainders of 0 and 1 for strides 2 and 3. */
    const tutti_conv2d_options options = {.stride = {2, 3}};
    const tutti_tensor y = tutti_conv2d(graph, x, weight, none, &options);
    has_shape(y, "Nx6x4x2");
    assert_int_equal(tutti_graph_want_grad(graph, x), TUTTI_OK);
    assert_int_equal(tutti_graph_set_loss(graph, tutti_sum(graph, y, 0, NULL, false)), TUTTI_OK);
    assert_int_equal(tutti_graph_backward(graph), TUTTI_OK);
    has_shape(tutti_graph_grad(graph, x), "Nx4x9x7");
}

static void conv1d_checks_its_inputs(void **state) {
    (void)state;
    const tutti_tensor w = tutti_graph_input(graph, "w", TUTTI_F32, 3, (int64_t[]){6, 4, 3});
    rejected(tutti_conv1d(graph, x, w, none, NULL),
             "conv1d: x is Nx4x9x7, weight is 6x4x3: expected 3 axes each");
}

static void conv1d_keeps_three_axes(void **state) {
    (void)state;
    const tutti_tensor w = tutti_graph_input(graph, "w", TUTTI_F32, 3, (int64_t[]){6, 2, 3});
    const tutti_tensor s =
        tutti_graph_input(graph, "s", TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, 4, 10});
    has_shape(tutti_conv1d(graph, s, w, none,
                           &(tutti_conv1d_options){.stride = 2, .padding = 1, .groups = 2}),
              "Nx6x5");
}

static void pooling_has_defaults(void **state) {
    (void)state;
    has_shape(tutti_max_pool2d(graph, x, &(tutti_pool2d_options){.kernel = {2, 3}}), "Nx4x4x2");
    has_shape(
        tutti_avg_pool2d(graph, x, &(tutti_pool2d_options){.kernel = {3, 3}, .stride = {2, 0}}),
        "Nx4x4x2");
    has_shape(tutti_adaptive_avg_pool2d(graph, x, 3, 10), "Nx4x3x10");
    has_shape(tutti_global_avg_pool2d(graph, x), "Nx4x1x1");
    has_shape(tutti_global_max_pool2d(graph, x), "Nx4x1x1");
    rejected(tutti_max_pool2d(graph, x, NULL), "max_pool2d: kernel is 0x0, expected 1 to 32767");
}

static void global_pooling_needs_images(void **state) {
    (void)state;
    const tutti_tensor s =
        tutti_graph_input(graph, "s", TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, 4, 10});
    rejected(tutti_global_avg_pool2d(graph, s), "global_avg_pool2d: x is Nx4x10, expected 4 axes");
}

static void upsampling_takes_a_size_or_a_scale(void **state) {
    (void)state;
    has_shape(tutti_upsample2d(graph, x, &(tutti_upsample2d_options){.scale = {2, 3}}),
              "Nx4x18x21");
    has_shape(
        tutti_upsample2d(graph, x, &(tutti_upsample2d_options){.size = {5, 0}, .scale = {2, 3}}),
        "Nx4x5x21");
    rejected(tutti_upsample2d(graph, x, &(tutti_upsample2d_options){.scale = {2, INT64_MAX}}),
             "upsample2d: size of the result is 18x9223372036854775807");
}

static void a_scale_is_positive(void **state) {
    (void)state;
    rejected(tutti_upsample2d(graph, x, &(tutti_upsample2d_options){.scale = {2, INT64_MIN}}),
             "upsample2d: size of the result is 18x-9223372036854775808");
}

static void padding_has_defaults(void **state) {
    (void)state;
    has_shape(tutti_pad2d(graph, x, NULL), "Nx4x9x7");
    has_shape(tutti_pad2d(graph, x, &(tutti_pad2d_options){.before = {1, -2}, .after = {0, 4}}),
              "Nx4x10x9");
    rejected(tutti_pad2d(graph, x, &(tutti_pad2d_options){.before = {40000, 0}}),
             "pad2d: padding before is 40000x0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(convolutions_have_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(a_convolution_has_no_output_padding, setup, teardown),
        cmocka_unit_test_setup_teardown(the_data_gradient_has_the_shape_of_x, setup, teardown),
        cmocka_unit_test_setup_teardown(conv1d_checks_its_inputs, setup, teardown),
        cmocka_unit_test_setup_teardown(conv1d_keeps_three_axes, setup, teardown),
        cmocka_unit_test_setup_teardown(pooling_has_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(global_pooling_needs_images, setup, teardown),
        cmocka_unit_test_setup_teardown(upsampling_takes_a_size_or_a_scale, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scale_is_positive, setup, teardown),
        cmocka_unit_test_setup_teardown(padding_has_defaults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
