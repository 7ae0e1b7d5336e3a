/* Recurrent layers: parameters as PyTorch names and shapes them, the shapes that come out, what is
 * refused; and the sequence ops' constructors, which the conformance test does not call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/cases.h"
#include "tutti/nn.h"

static tutti_graph *graph;
static tutti_tensor x, state, none;

static int setup(void **unused) {
    (void)unused;
    if (tutti_graph_make(&graph) != TUTTI_OK)
        return -1;
    x = tutti_graph_input(graph, "x", TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, 7, 6});
    state = tutti_graph_input(graph, "state", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 5});
    return 0;
}

static int teardown(void **unused) {
    (void)unused;
    tutti_graph_free(graph);
    return 0;
}

static void has_shape(tutti_tensor tensor, const char *expected) {
    char text[TUTTI_SHAPE_TEXT];
    if (tensor.id == 0)
        fail_msg("no tensor of shape %s: %s", expected, tutti_graph_message(graph));
    const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
    assert_string_equal(tutti_shape_text(&shape, text), expected);
}

static void rejected(tutti_tensor result, const char *message) {
    assert_int_equal(result.id, 0);
    assert_int_not_equal(tutti_graph_status(graph), TUTTI_OK);
    if (strstr(tutti_graph_message(graph), message) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", tutti_graph_message(graph), message);
}

static void has_param(int32_t index, const char *name, const char *shape) {
    const tutti_tensor param = tutti_graph_param_at(graph, index);
    assert_string_equal(tutti_graph_tensor_name(graph, param), name);
    has_shape(param, shape);
    const tutti_init *init = &tutti_graph_record(graph, param)->init;
    assert_int_equal(init->kind, TUTTI_INIT_KAIMING_UNIFORM);
    assert_true(init->a == 1.0F && init->b == 5.0F);
}

static void lstm_is_pytorchs(void **unused) {
    (void)unused;
    tutti_tensor h, c;
    has_shape(tutti_nn_lstm(graph, x, 5, "rnn", none, none, &h, &c, NULL), "Nx7x5");
    has_shape(h, "Nx5");
    has_shape(c, "Nx5");
    assert_int_equal(tutti_graph_param_count(graph), 4);
    has_param(0, "rnn.weight_ih_l0", "20x6");
    has_param(1, "rnn.weight_hh_l0", "20x5");
    has_param(2, "rnn.bias_ih_l0", "20");
    has_param(3, "rnn.bias_hh_l0", "20");
}

static void gru_is_pytorchs(void **unused) {
    (void)unused;
    tutti_tensor h;
    has_shape(tutti_nn_gru(graph, x, 5, "rnn", state, &h, NULL), "Nx7x5");
    has_shape(h, "Nx5");
    assert_int_equal(tutti_graph_param_count(graph), 4);
    has_param(0, "rnn.weight_ih_l0", "15x6");
    has_param(1, "rnn.weight_hh_l0", "15x5");
    has_param(2, "rnn.bias_ih_l0", "15");
    has_param(3, "rnn.bias_hh_l0", "15");
}

static void biases_and_last_states_may_be_left_out(void **unused) {
    (void)unused;
    const tutti_nn_params params = {.no_bias = true};
    has_shape(tutti_nn_gru(graph, x, 5, "a", none, NULL, &params), "Nx7x5");
    has_shape(tutti_nn_lstm(graph, x, 5, "b", state, state, NULL, NULL, &params), "Nx7x5");
    assert_int_equal(tutti_graph_param_count(graph), 4);
}

static void half_a_state_is_refused(void **unused) {
    (void)unused;
    tutti_tensor h = x, c = x;
    rejected(tutti_nn_lstm(graph, x, 5, "rnn", state, none, &h, &c, NULL),
             "lstm: h0 is given without c0");
    assert_int_equal(h.id + c.id, 0);
}

static void other_ranks_are_refused(void **unused) {
    (void)unused;
    rejected(tutti_nn_gru(graph, state, 5, "rnn", none, NULL, NULL),
             "gru rnn: x is Nx5, expected (N, T, C)");
}

static void no_units_are_refused(void **unused) {
    (void)unused;
    rejected(tutti_nn_lstm(graph, x, 0, "rnn", none, none, NULL, NULL, NULL),
             "lstm rnn: 0 hidden features, expected at least 1");
}

static void weights_that_do_not_fit_are_refused(void **unused) {
    (void)unused;
    const tutti_tensor ih = tutti_graph_input(graph, "ih", TUTTI_F32, 2, (int64_t[]){15, 6});
    const tutti_tensor hh = tutti_graph_input(graph, "hh", TUTTI_F32, 2, (int64_t[]){15, 4});
    rejected(tutti_gru(graph, x, &(tutti_recurrent_weights){ih, hh, none, none}, none, NULL),
             "gru: x is Nx7x6, weight_ih 15x6, weight_hh 15x4: expected (N, T, C), (3 H, C), (3 H, "
             "H), biases (3 H)");
}

static void a_wrong_scale_is_refused(void **unused) {
    (void)unused;
    const tutti_tensor heads = tutti_reshape(graph, x, 4, (int64_t[]){TUTTI_BATCH, 7, 2, 3});
    has_shape(tutti_attention(graph, heads, heads, heads, NULL), "Nx7x2x3");
    rejected(tutti_attention(graph, heads, heads, heads, &(tutti_attention_options){.scale = -1}),
             "attention: scale is -1, expected a positive number, or 0 for 1/sqrt(width)");
}

/* It would be T x T. */
static void the_mask_has_no_gradient(void **unused) {
    (void)unused;
    const tutti_tensor heads = tutti_reshape(graph, x, 4, (int64_t[]){TUTTI_BATCH, 7, 2, 3});
    const tutti_tensor mask = tutti_graph_param(graph, "mask", 2, (int64_t[]){7, 7},
                                                (tutti_init){.kind = TUTTI_INIT_ZEROS});
    const tutti_tensor y =
        tutti_attention(graph, heads, heads, heads, &(tutti_attention_options){.mask = mask});
    assert_int_equal(tutti_graph_set_loss(graph, tutti_mean(graph, y, 0, NULL, false)), TUTTI_OK);
    assert_int_equal(tutti_graph_backward(graph), TUTTI_UNSUPPORTED);
    assert_non_null(strstr(tutti_graph_message(graph), "the mask has no gradient"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(lstm_is_pytorchs),
        TEST(gru_is_pytorchs),
        TEST(biases_and_last_states_may_be_left_out),
        TEST(half_a_state_is_refused),
        TEST(other_ranks_are_refused),
        TEST(no_units_are_refused),
        TEST(weights_that_do_not_fit_are_refused),
        TEST(a_wrong_scale_is_refused),
        TEST(the_mask_has_no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
