/* Constructors that are more than one node, or check what their op cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/cases.h"
#include "op/matmul.h"
#include "seed.h"

static tutti_graph *graph;
static tutti_tensor x; /* Nx3x4 */

static int setup(void **state) {
    (void)state;
    if (tutti_graph_make(&graph) != TUTTI_OK)
        return -1;
    x = tutti_graph_input(graph, "x", TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, 3, 4});
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tutti_graph_free(graph);
    return 0;
}

static void rejected(tutti_tensor result, const char *text) {
    assert_int_equal(result.id, 0);
    assert_int_not_equal(tutti_graph_status(graph), TUTTI_OK);
    if (strstr(tutti_graph_message(graph), text) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", tutti_graph_message(graph), text);
}

static void a_missing_axis_is_named(void **state) {
    (void)state;
    rejected(tutti_sum(graph, x, 1, (int32_t[]){3}, false), "sum: x is Nx3x4: there is no axis 3");
}

static void a_negative_axis_is_counted_from_the_end(void **state) {
    (void)state;
    const tutti_tensor y = tutti_max(graph, x, 2, (int32_t[]){-1, -2}, true);
    char text[TUTTI_SHAPE_TEXT];
    const tutti_shape shape = tutti_graph_tensor_shape(graph, y);
    assert_string_equal(tutti_shape_text(&shape, text), "Nx1x1");
    rejected(tutti_mean(graph, x, 1, (int32_t[]){-4}, false),
             "mean: x is Nx3x4: there is no axis -4");
}

static void an_axis_named_twice_is_refused(void **state) {
    (void)state;
    rejected(tutti_max(graph, x, 2, (int32_t[]){1, -2}, false), "max: x is Nx3x4: axis 1 is named");
}

static void a_negative_number_of_axes_is_refused(void **state) {
    (void)state;
    rejected(tutti_sum(graph, x, -1, (int32_t[]){0}, false), "sum: -1 axes, expected 0 or more");
}

static void axes_must_be_there(void **state) {
    (void)state;
    rejected(tutti_max(graph, x, 2, NULL, false), "max: 2 axes at NULL");
}

static void a_permutation_must_be_there(void **state) {
    (void)state;
    rejected(tutti_permute(graph, x, 3, NULL), "permute: perm is NULL, expected 3 axes");
}

static void an_operand_of_another_graph_is_refused(void **state) {
    (void)state;
    const tutti_tensor other = {99};
    rejected(tutti_matmul(graph, other, x, false, false),
             "input 0 (tensor 99) is not of this graph");
    teardown(NULL);
    assert_int_equal(setup(NULL), 0);
    rejected(tutti_matmul(graph, x, other, false, false),
             "input 1 (tensor 99) is not of this graph");
}

/* The linear layer of a sequence, whose weights are one matrix for all of x's rows. */
static void a_turned_matrix_of_all_rows_is_not_copied(void **state) {
    (void)state;
    const tutti_tensor w = tutti_graph_param(graph, "w", 2, (int64_t[]){5, 4}, (tutti_init){0});
    const tutti_tensor turned = tutti_permute(graph, w, 2, (int32_t[]){1, 0});
    const tutti_tensor y = tutti_matmul(graph, x, turned, false, false);
    char text[TUTTI_SHAPE_TEXT];
    const tutti_shape shape = tutti_graph_tensor_shape(graph, y);
    assert_string_equal(tutti_shape_text(&shape, text), "Nx3x5");
    int32_t n_products = 0;
    for (int32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op == &tutti_op_matmul) {
            assert_int_equal(graph->nodes[i].in[1].id, w.id);
            assert_int_equal(((const tutti_matmul_attr *)graph->nodes[i].attr)->trans_b, 1);
            n_products++;
        }
    assert_int_equal(n_products, 1);
}

static void optimize_needs_options(void **state) {
    (void)state;
    assert_int_equal(tutti_graph_optimize(graph, NULL), TUTTI_INVALID_ARGUMENT);
    rejected((tutti_tensor){0}, "optimize: the options are NULL");
}

/* batch_norm with one of its arguments wrong. */
static void batch_norm_without(int wrong, const char *text) {
    const tutti_init one = {.kind = TUTTI_INIT_CONSTANT, .a = 1};
    static const int64_t three[] = {3}, four[] = {4};
    static const char *const names[] = {"gamma", "beta", "mean", "var"};
    tutti_tensor in[4];
    for (int i = 0; i < 4; i++)
        in[i] = i < 2 || wrong == 10 + i
                    ? tutti_graph_param(graph, names[i], 1, wrong == i ? four : three, one)
                    : tutti_graph_state(graph, names[i], 1, wrong == i ? four : three, one);
    const tutti_tensor flat = tutti_reshape(graph, x, 1, (int64_t[]){TUTTI_BATCH});
    const tutti_tensor none = {0};
    rejected(tutti_batch_norm(graph, wrong == 20 ? flat : x, in[0], wrong == 21 ? none : in[1],
                              in[2], in[3], wrong == 22 ? 1.5F : 0.1F, wrong == 23 ? 0 : 1e-5F),
             text);
    tutti_graph_free(graph);
    assert_int_equal(setup(NULL), 0);
}

static void batch_norm_checks_its_arguments(void **state) {
    (void)state;
    batch_norm_without(0, "batch_norm: x is Nx3x4, gamma is f32 4: expected f32 3");
    batch_norm_without(1, "batch_norm: x is Nx3x4, beta is f32 4: expected f32 3");
    batch_norm_without(2, "batch_norm: x is Nx3x4, running_mean is f32 4: expected f32 3");
    batch_norm_without(3, "batch_norm: x is Nx3x4, running_var is f32 4: expected f32 3");
    batch_norm_without(12, "batch_norm: running_mean (mean) is no state of the graph");
    batch_norm_without(13, "batch_norm: running_var (var) is no state of the graph");
    batch_norm_without(20, "batch_norm: x is f32 12N, expected f32 (N,C) or (N,C,...)");
    batch_norm_without(21, "batch_norm: input 2 (tensor 0) is not of this graph");
    batch_norm_without(22, "batch_norm: momentum is 1.5, eps is 1e-05");
    batch_norm_without(23, "batch_norm: momentum is 0.1, eps is 0");
}

static void a_shift_needs_a_scale(void **state) {
    (void)state;
    const tutti_tensor none = {0},
                       beta = tutti_graph_param(graph, "beta", 1, (int64_t[]){4}, (tutti_init){0});
    rejected(tutti_layer_norm(graph, x, none, beta, 1, 1e-5F), "layer_norm: beta without gamma");
}

static void a_row_has_axes(void **state) {
    (void)state;
    const tutti_tensor none = {0};
    rejected(tutti_layer_norm(graph, x, none, none, 0, 1e-5F),
             "layer_norm: x is Nx3x4: its last 0 axes make no row");
}

static void the_batch_is_in_no_row(void **state) {
    (void)state;
    rejected(tutti_rms_norm(graph, x, (tutti_tensor){0}, 3, 1e-5F),
             "rms_norm: x is Nx3x4: its last 3 axes make no row");
}

/* Sums over this device's samples, divided by what the whole batch counts. */
static void a_mean_over_the_batch_divides_by_the_whole_batch(void **state) {
    (void)state;
    const tutti_tensor all = tutti_mean(graph, x, 0, NULL, false);
    const tutti_tensor within = tutti_mean(graph, x, 1, (int32_t[]){1}, false);
    void *memory[16] = {NULL};
    float *values = memory[x.id] = host_alloc(5 * 12 * sizeof(float));
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 0);
    double sum = 0, first = 0;
    for (int i = 0; i < 60; i++) {
        values[i] = tutti_rng_uniform(&rng);
        sum += (double)values[i];
        first += i == 0 || i == 4 || i == 8 ? (double)values[i] : 0;
    }
    graph_ref(graph, &(tutti_run_values){.n = 5, .n_global = 8}, memory);
    assert_true(fabs((double)*(float *)memory[all.id] - sum / (8 * 12)) < 1e-6);
    assert_true(fabs((double)*(float *)memory[within.id] - first / 3) < 1e-6);
    for (int i = 0; i < 16; i++)
        free(memory[i]);
}

static void composed_losses_refuse_unequal_shapes(void **state) {
    (void)state;
    const tutti_tensor flat = tutti_reshape(graph, x, 2, (int64_t[]){TUTTI_BATCH, 12});
    rejected(tutti_cosine_similarity(graph, x, flat),
             "cosine_similarity: x is Nx3x4, target is Nx12");
}

static void cosine_embedding_needs_a_target_per_row(void **state) {
    (void)state;
    rejected(tutti_cosine_embedding(graph, x, x, x, 0),
             "cosine_embedding: x is Nx3, target is Nx3x4");
}

static void weights_do_not_widen_a_loss(void **state) {
    (void)state;
    const tutti_tensor flat = tutti_reshape(graph, x, 2, (int64_t[]){TUTTI_BATCH, 12});
    const tutti_tensor wide = tutti_graph_input(graph, "w", TUTTI_F32, 3, (int64_t[]){5, 1, 12});
    rejected(tutti_bce_with_logits_weighted(graph, flat, flat, wide, (tutti_tensor){0}),
             "do not broadcast");
}

static void weights_of_higher_rank_are_refused(void **state) {
    (void)state;
    const tutti_tensor whole = tutti_graph_input(graph, "y", TUTTI_F32, 1, (int64_t[]){12});
    const tutti_tensor wide = tutti_graph_input(graph, "w", TUTTI_F32, 2, (int64_t[]){5, 12});
    rejected(tutti_bce_with_logits_weighted(graph, whole, whole, (tutti_tensor){0}, wide),
             "bce_with_logits: logits are 12, with the weights 5x12");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_missing_axis_is_named),
        TEST(a_negative_axis_is_counted_from_the_end),
        TEST(an_axis_named_twice_is_refused),
        TEST(a_negative_number_of_axes_is_refused),
        TEST(axes_must_be_there),
        TEST(a_permutation_must_be_there),
        TEST(an_operand_of_another_graph_is_refused),
        TEST(a_turned_matrix_of_all_rows_is_not_copied),
        TEST(optimize_needs_options),
        TEST(batch_norm_checks_its_arguments),
        TEST(a_shift_needs_a_scale),
        TEST(a_row_has_axes),
        TEST(the_batch_is_in_no_row),
        TEST(a_mean_over_the_batch_divides_by_the_whole_batch),
        TEST(composed_losses_refuse_unequal_shapes),
        TEST(cosine_embedding_needs_a_target_per_row),
        TEST(weights_do_not_widen_a_loss),
        TEST(weights_of_higher_rank_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
