/* Constructors of the tensor ops: what they compose and refuse; what becomes of NaN on a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/cases.h"
#include "seed.h"
#include "tutti/plan.h"
#include "tutti/runtime.h"

static tutti_graph *graph;
static tutti_tensor x; /* Nx6x4 */

static int setup(void **state) {
    (void)state;
    if (tutti_graph_make(&graph) != TUTTI_OK)
        return -1;
    x = tutti_graph_input(graph, "x", TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, 6, 4});
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

static void has_shape(tutti_tensor y, const char *expected) {
    char text[TUTTI_SHAPE_TEXT];
    const tutti_shape shape = tutti_graph_tensor_shape(graph, y);
    if (y.id == 0)
        fail_msg("%s", tutti_graph_message(graph));
    assert_string_equal(tutti_shape_text(&shape, text), expected);
}

static const char *op_of(tutti_tensor y) {
    return graph->nodes[tutti_graph_record(graph, y)->node].op->name;
}

static void a_slice_of_everything_is_the_tensor(void **state) {
    (void)state;
    assert_int_equal(tutti_slice(graph, x, 0, 0, TUTTI_END, 1).id, x.id);
    assert_int_equal(tutti_slice(graph, x, 1, 0, 6, 1).id, x.id);
    assert_int_equal(tutti_slice(graph, x, -1, -4, TUTTI_END, 1).id, x.id);
    has_shape(tutti_slice(graph, x, 1, -5, -1, 3), "Nx2x4");
    has_shape(tutti_slice(graph, x, 1, 2, TUTTI_END, INT64_MAX), "Nx1x4");
}

/* One row per sample is still no axis of extent 1. */
static void the_batch_is_not_sliced(void **state) {
    (void)state;
    rejected(tutti_slice(graph, x, 0, 0, 1, 1), "slice: x is Nx6x4: axis 0 is the batch");
}

static void a_slice_lies_within(void **state) {
    (void)state;
    rejected(tutti_slice(graph, x, 1, 2, 7, 1),
             "slice: x is Nx6x4: from 2 to 7 by 1 along axis 1: expected 0 <= begin < end <= 6");
}

static void a_slice_has_elements(void **state) {
    (void)state;
    rejected(tutti_slice(graph, x, -1, 2, 2, 1), "from 2 to 2 by 1 along axis 2");
}

static void a_slice_goes_forward(void **state) {
    (void)state;
    rejected(tutti_slice(graph, x, 1, 0, 3, 0), "from 0 to 3 by 0 along axis 1");
}

static void parts_make_the_axis(void **state) {
    (void)state;
    tutti_tensor part[3];
    tutti_split(graph, x, 1, 3, (int64_t[]){1, 2, 3}, part);
    has_shape(part[2], "Nx3x4");
    tutti_split(graph, x, -1, 2, NULL, part);
    has_shape(part[1], "Nx6x2");
    tutti_split(graph, x, -1, 3, NULL, part);
    for (int i = 0; i < 3; i++)
        rejected(part[i], "split: x is Nx6x4: 3 equal parts do not make axis 2 of 4");
}

static void the_batch_is_not_split(void **state) {
    (void)state;
    tutti_tensor part[1];
    tutti_split(graph, x, 0, 1, NULL, part);
    rejected(part[0], "split: x is Nx6x4: axis 0 is the batch");
}

/* Also where sums of them would overflow. */
static void a_part_lies_within(void **state) {
    (void)state;
    int64_t sizes[20];
    tutti_tensor part[20];
    for (int i = 0; i < 20; i++)
        sizes[i] = INT64_MAX;
    sizes[0] = 1;
    tutti_split(graph, x, 1, 20, sizes, part);
    for (int i = 0; i < 20; i++)
        rejected(part[i], "split: x is Nx6x4: part 1 has 9223372036854775807 of the 6 elements of "
                          "axis 1");
}

static void parts_must_be_some(void **state) {
    (void)state;
    tutti_split(graph, x, 1, 0, NULL, NULL);
    rejected((tutti_tensor){0}, "split: x is Nx6x4: 0 equal parts");
}

static void an_expanded_shape_fits(void **state) {
    (void)state;
    has_shape(tutti_expand(graph, x, 3, (int64_t[]){0, 0, 0}), "Nx6x4");
    const tutti_tensor rows = tutti_reshape(graph, x, 2, (int64_t[]){TUTTI_BATCH, 4});
    has_shape(tutti_expand(graph, rows, 2, (int64_t[]){TUTTI_BATCH, 4}), "6Nx4");
    rejected(tutti_expand(graph, x, 2, (int64_t[]){0, 0}), "expand: x is Nx6x4, to rank 2");
}

static void an_expanded_shape_broadcasts(void **state) {
    (void)state;
    rejected(tutti_expand(graph, x, 3, (int64_t[]){0, 6, 8}), "Nx6x4 does not broadcast to Nx6x8");
}

static void many_tensors_are_joined(void **state) {
    (void)state;
    enum { N = 37 };
    tutti_tensor part[N];
    void *memory[2 * N + 16] = {NULL};
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 1);
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        part[i] = tutti_graph_input(graph, name, TUTTI_F32, 2, (int64_t[]){2, 1 + i % 3});
        float *values = memory[part[i].id] = host_alloc(2 * 3 * sizeof(float));
        for (int k = 0; k < 6; k++)
            values[k] = tutti_rng_uniform(&rng);
    }
    const tutti_tensor y = tutti_concat(graph, N, part, 1);
    has_shape(y, "2x73");
    graph_ref(graph, &(tutti_run_values){.n = 1, .n_global = 1}, memory);
    for (int row = 0, at = 0; row < 2; row++)
        for (int i = 0; i < N; i++)
            for (int k = 0; k < 1 + i % 3; k++, at++)
                assert_true(((float *)memory[y.id])[at] ==
                            ((float *)memory[part[i].id])[row * (1 + i % 3) + k]);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

/* In a tree, as one node makes few. */
static void many_parts_are_cut(void **state) {
    (void)state;
    enum { N = 75 };
    int64_t sizes[N], sum = 0;
    tutti_tensor part[N];
    void *memory[200] = {NULL};
    for (int i = 0; i < N; i++)
        sum += sizes[i] = 1 + i % 4;
    const tutti_tensor long_rows =
        tutti_graph_input(graph, "long", TUTTI_F32, 2, (int64_t[]){2, sum});
    float *values = memory[long_rows.id] = host_alloc((size_t)(2 * sum) * sizeof(float));
    for (int i = 0; i < 2 * sum; i++)
        values[i] = (float)i;
    tutti_split(graph, long_rows, 1, N, sizes, part);
    assert_int_equal(tutti_graph_status(graph), TUTTI_OK);
    graph_ref(graph, &(tutti_run_values){.n = 1, .n_global = 1}, memory);
    int64_t begin = 0;
    for (int i = 0; i < N; i++) {
        assert_int_equal(tutti_graph_tensor_shape(graph, part[i]).dim[1], sizes[i]);
        for (int64_t k = 0; k < 2 * sizes[i]; k++)
            assert_true(((float *)memory[part[i].id])[k] ==
                        values[k / sizes[i] * sum + begin + k % sizes[i]]);
        begin += sizes[i];
    }
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

/* A part that nobody reads has a gradient of 0. */
static void parts_without_gradient_count_as_zero(void **state) {
    (void)state;
    tutti_tensor part[3];
    assert_int_equal(tutti_graph_want_grad(graph, x), TUTTI_OK);
    tutti_split(graph, x, 1, 3, NULL, part);
    (void)tutti_graph_set_loss(graph, tutti_sum(graph, part[1], 0, NULL, false));
    assert_int_equal(tutti_graph_backward(graph), TUTTI_OK);
    const tutti_tensor grad = tutti_graph_grad(graph, x);
    assert_string_equal(op_of(grad), "concat");
    void *memory[64] = {NULL};
    memory[x.id] = host_alloc(24 * sizeof(float));
    graph_ref(graph, &(tutti_run_values){.n = 1, .n_global = 1}, memory);
    for (int i = 0; i < 24; i++)
        assert_true(((float *)memory[grad.id])[i] == (i >= 8 && i < 16 ? 1.0F : 0.0F));
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

/* A matrix for all leading axes is one product; anything else is many. */
static void products_fold_where_they_can(void **state) {
    (void)state;
    const tutti_tensor w = tutti_graph_input(graph, "w", TUTTI_F32, 2, (int64_t[]){4, 5});
    const tutti_tensor y = tutti_matmul(graph, x, w, false, false);
    has_shape(y, "Nx6x5");
    assert_string_equal(op_of(graph->nodes[tutti_graph_record(graph, y)->node].in[0]), "matmul");
    const tutti_tensor z = tutti_matmul(graph, x, x, false, true);
    has_shape(z, "Nx6x6");
    assert_string_equal(op_of(z), "batched_matmul");
    has_shape(tutti_matmul(graph, w, x, true, true), "Nx5x6");
    rejected(tutti_matmul(graph, x, w, false, true),
             "matmul: lhs is 6Nx4, rhs is 4x5 transposed: inner sizes 4 and 5 differ");
}

/* Operands with permuted axes are read as they lie, where an axis of the matrices is their last one. */
static void products_look_through_permutations(void **state) {
    (void)state;
    const tutti_tensor q =
        tutti_graph_input(graph, "q", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 7, 2, 5});
    const tutti_tensor heads = tutti_permute(graph, q, 4, (int32_t[]){0, 2, 1, 3});
    const tutti_tensor turned = tutti_permute(graph, heads, 4, (int32_t[]){0, 1, 3, 2});
    const tutti_tensor y = tutti_matmul(graph, heads, turned, false, false);
    has_shape(y, "Nx2x7x7");
    const tutti_node *node = &graph->nodes[tutti_graph_record(graph, y)->node];
    assert_int_equal(node->in[0].id, q.id);
    assert_int_equal(node->in[1].id, q.id);
    const tutti_tensor inside = tutti_permute(graph, q, 4, (int32_t[]){0, 3, 1, 2});
    const tutti_tensor z = tutti_matmul(graph, inside, inside, true, false);
    has_shape(z, "Nx5x2x2");
    assert_int_equal(graph->nodes[tutti_graph_record(graph, z)->node].in[0].id, inside.id);

    const tutti_tensor w = tutti_graph_input(graph, "w", TUTTI_F32, 2, (int64_t[]){4, 5});
    const tutti_tensor other = tutti_permute(graph, w, 2, (int32_t[]){1, 0});
    const tutti_tensor p = tutti_matmul(graph, w, other, false, false);
    has_shape(p, "4x4");
    assert_int_equal(graph->nodes[tutti_graph_record(graph, p)->node].in[1].id, w.id);
    has_shape(tutti_matmul(graph, other, other, true, false), "4x4");
}

static void a_variance_is_of_the_whole_batch(void **state) {
    (void)state;
    enum { N = 7 };
    const tutti_tensor all = tutti_variance(graph, x, 0, NULL, true, false);
    const tutti_tensor rows = tutti_variance(graph, x, 1, (int32_t[]){2}, true, false);
    void *memory[64] = {NULL};
    float *values = memory[x.id] = host_alloc(N * 24 * sizeof(float));
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 2);
    double sum = 0, squares = 0;
    for (int i = 0; i < N * 24; i++) {
        values[i] = tutti_rng_uniform(&rng);
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    graph_ref(graph, &(tutti_run_values){.n = N, .n_global = N}, memory);
    const double expected = (squares - sum * sum / (N * 24)) / (N * 24 - 1);
    assert_true(fabs((double)*(float *)memory[all.id] - expected) < 1e-6);
    double mean = 0, row = 0;
    for (int i = 0; i < 4; i++)
        mean += (double)values[i] / 4;
    for (int i = 0; i < 4; i++)
        row += ((double)values[i] - mean) * ((double)values[i] - mean) / 3;
    assert_true(fabs((double)*(float *)memory[rows.id] - row) < 1e-6);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

static void one_element_has_no_unbiased_variance(void **state) {
    (void)state;
    const tutti_tensor one = tutti_slice(graph, x, 1, 0, 1, 1);
    has_shape(tutti_variance(graph, one, 1, (int32_t[]){1}, false, false), "Nx4");
    rejected(tutti_variance(graph, one, 1, (int32_t[]){1}, true, false),
             "variance: x is Nx1x4: one element has no unbiased variance");
}

static void a_norm_has_a_power_of_at_least_one(void **state) {
    (void)state;
    rejected(tutti_vector_norm(graph, x, 0.5F, 0, NULL, false),
             "vector_norm: p is 0.5, expected 1");
}

static void a_scatter_needs_its_axis(void **state) {
    (void)state;
    const tutti_tensor index =
        tutti_graph_input(graph, "t", TUTTI_I32, 3, (int64_t[]){TUTTI_BATCH, 6, 4});
    rejected(tutti_scatter_add(graph, x, 3, index, x), "there is no axis 3");
}

/* NaN is larger than all numbers and is never lost. */
static void nan_stays_visible_on_a_device(void **state) {
    (void)state;
    enum { ROWS = 3, COLUMNS = 80, RESULTS = 8 };
    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_plan *plan;
    tutti_run *run;
    const tutti_tensor input =
        tutti_graph_input(graph, "rows", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, COLUMNS});
    tutti_tensor index;
    const tutti_tensor values = tutti_top_k(graph, input, 2, &index);
    const tutti_tensor short_rows = tutti_slice(graph, input, 1, 0, 10, 1);
    const tutti_tensor results[RESULTS] = {
        values,
        index,
        tutti_argmax(graph, input, 1),
        tutti_argmax(graph, short_rows, 1),
        tutti_min(graph, input, 1, (int32_t[]){1}, false),
        tutti_max(graph, tutti_clamp(graph, input, -1, 1), 1, (int32_t[]){1}, false),
        tutti_sum(graph, tutti_maximum(graph, input, tutti_abs(graph, input)), 1, (int32_t[]){1},
                  false),
        tutti_cast(graph, tutti_slice(graph, input, 1, 7, 8, 1), TUTTI_I32),
    };
    for (int i = 0; i < RESULTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        assert_int_equal(tutti_graph_set_output(graph, name, results[i]), TUTTI_OK);
    }
    assert_int_equal(tutti_graph_freeze(graph), TUTTI_OK);
    float data[ROWS][COLUMNS];
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 3);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            data[r][c] = tutti_rng_uniform(&rng) * 0.5F;
    data[0][7] = data[0][40] = NAN; /* two */
    data[1][7] = 3e9F;              /* none */
    data[2][7] = -INFINITY;
    data[2][79] = NAN; /* the last */
    union {
        float f[2 * ROWS];
        int32_t i[2 * ROWS];
    } out[RESULTS];
    memset(out, 0x55, sizeof out);
    tutti_fetch fetches[RESULTS];
    for (int i = 0; i < RESULTS; i++)
        fetches[i] = (tutti_fetch){results[i], out[i].f};
    assert_int_equal(tutti_profile_open("auto", &profile), TUTTI_OK);
    assert_int_equal(tutti_runtime_open(profile, &runtime), TUTTI_OK);
    assert_int_equal(tutti_plan_make(graph, runtime, &(tutti_plan_options){.batch = ROWS}, &plan),
                     TUTTI_OK);
    assert_int_equal(tutti_run_open(plan, &(tutti_run_options){.seed = 1}, &run), TUTTI_OK);
    if (tutti_run_step(run, TUTTI_EVAL, ROWS, &(tutti_feed){input, data}, 1, fetches, RESULTS) !=
        TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    tutti_run_close(run);
    tutti_plan_free(plan);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);

    assert_true(isnan(out[0].f[0]) && isnan(out[0].f[1]) && out[0].f[2] == 3e9F);
    assert_true(isnan(out[0].f[4]) && !isnan(out[0].f[5]));
    assert_int_equal(out[1].i[0], 7);
    assert_int_equal(out[1].i[1], 40);
    assert_int_equal(out[1].i[2], 7);
    assert_int_equal(out[1].i[4], 79);
    assert_int_equal(out[2].i[0], 7);
    assert_int_equal(out[2].i[1], 7);
    assert_int_equal(out[2].i[2], 79);
    assert_int_equal(out[3].i[0], 7);
    assert_int_equal(out[3].i[1], 7);
    assert_true(out[3].i[2] >= 0 && out[3].i[2] < 10 && out[3].i[2] != 7);
    for (int i = 4; i < 7; i++)
        assert_true(isnan(out[i].f[0]) && !isnan(out[i].f[1]) && isnan(out[i].f[2]));
    for (int r = 0; r < ROWS; r++)
        assert_int_equal(out[7].i[r], INT32_MIN);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_slice_of_everything_is_the_tensor),
        TEST(the_batch_is_not_sliced),
        TEST(a_slice_lies_within),
        TEST(a_slice_has_elements),
        TEST(a_slice_goes_forward),
        TEST(parts_make_the_axis),
        TEST(the_batch_is_not_split),
        TEST(a_part_lies_within),
        TEST(parts_must_be_some),
        TEST(an_expanded_shape_fits),
        TEST(an_expanded_shape_broadcasts),
        TEST(many_tensors_are_joined),
        TEST(many_parts_are_cut),
        TEST(parts_without_gradient_count_as_zero),
        TEST(products_fold_where_they_can),
        TEST(products_look_through_permutations),
        TEST(a_variance_is_of_the_whole_batch),
        TEST(one_element_has_no_unbiased_variance),
        TEST(a_norm_has_a_power_of_at_least_one),
        TEST(a_scatter_needs_its_axis),
        TEST(nan_stays_visible_on_a_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
