/* Shapes, broadcasting against a brute-force rule, and the messages of refused calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/status.h"
#include "graph/graph.h"
#include "graph/lowering.h"
#include "seed.h"

static void test_make(void **state) {
    (void)state;
    tutti_shape shape;
    assert_int_equal(tutti_shape_make(0, NULL, &shape), TUTTI_OK);
    assert_int_equal(shape.rank, 0);
    assert_false(shape.batched);
    assert_int_equal(tutti_shape_make(2, (int64_t[]){TUTTI_BATCH, 7}, &shape), TUTTI_OK);
    assert_true(shape.batched);
    assert_int_equal(shape.dim[0], 1);
    assert_int_equal(tutti_shape_count(&shape, 5), 35);
    const tutti_extent count = tutti_extent_count(&shape), rows = tutti_extent_dim(&shape, 0),
                       columns = tutti_extent_dim(&shape, 1);
    assert_int_equal(tutti_extent_value(count, 0), 0);
    assert_int_equal(tutti_extent_value(count, 9), 63);
    assert_int_equal(tutti_extent_value(rows, 9), 9);
    assert_int_equal(tutti_extent_value(columns, 9), 7);

    static const struct {
        int32_t rank;
        int64_t dim[7];
        const char *message;
    } bad[] = {
        {7, {1, 1, 1, 1, 1, 1, 1}, "rank is 7"},
        {-1, {0}, "rank is -1"},
        {2, {3, 0}, "extent 1 is 0"},
        {2, {3, -2}, "extent 1 is -2"},
        {2, {3, TUTTI_BATCH}, "extent 1 is TUTTI_BATCH"},
        {3, {INT64_C(1) << 31, INT64_C(1) << 31, 2}, "extent 1 is 2147483648: too many elements"},
        {1, {INT64_MAX}, "too many elements"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tutti_shape_make(bad[i].rank, bad[i].dim, &shape), TUTTI_SHAPE);
        assert_non_null(strstr(tutti_error_message(), bad[i].message));
    }
}

/* The extents that a shape has for n samples. */
static void realise(const tutti_shape *shape, int64_t n, int64_t dims[TUTTI_MAX_RANK]) {
    for (int32_t i = 0; i < shape->rank; i++)
        dims[i] = shape->dim[i] * (i == 0 && shape->batched ? n : 1);
}

/* NumPy's rule, written the plain way. */
static bool numpy(int32_t ra, const int64_t *a, int32_t rb, const int64_t *b, int32_t *rank,
                  int64_t *out) {
    *rank = ra > rb ? ra : rb;
    for (int32_t k = 1; k <= *rank; k++) {
        const int64_t x = k <= ra ? a[ra - k] : 1, y = k <= rb ? b[rb - k] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        out[*rank - k] = x == 1 ? y : x;
    }
    return true;
}

static tutti_shape random_shape(tutti_rng *rng) {
    static const int64_t dims[] = {1, 1, 2, 3, 3};
    tutti_shape shape = {.rank = (int32_t)tutti_rng_below(rng, 4)};
    for (int32_t i = 0; i < shape.rank; i++)
        shape.dim[i] = dims[tutti_rng_below(rng, 5)];
    shape.batched = shape.rank > 0 && tutti_rng_below(rng, 2) == 0;
    return shape;
}

static void test_broadcast(void **state) {
    (void)state;
    const uint64_t seed = test_seed();
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 0);
    int32_t fits = 0;
    for (int32_t round = 0; round < 20000; round++) {
        const tutti_shape a = random_shape(&rng), b = random_shape(&rng);
        tutti_shape out;
        const bool ok = tutti_shape_broadcast(&a, &b, &out);
        /* It must fit exactly when NumPy's rule holds for every batch size, with a result whose
         * only extent that depends on N is the first. */
        bool expected = true;
        for (int64_t n = 1; n <= 7; n++) {
            int64_t da[TUTTI_MAX_RANK], db[TUTTI_MAX_RANK], dims[TUTTI_MAX_RANK];
            int64_t got[TUTTI_MAX_RANK];
            int32_t rank;
            realise(&a, n, da);
            realise(&b, n, db);
            const bool fit = numpy(a.rank, da, b.rank, db, &rank, dims);
            expected = expected && fit;
            if (!ok || !fit)
                continue;
            assert_int_equal(rank, out.rank);
            realise(&out, n, got);
            for (int32_t i = 0; i < rank; i++)
                assert_int_equal(dims[i], got[i]);
        }
        const int32_t rank = a.rank > b.rank ? a.rank : b.rank;
        if ((a.batched && a.rank < rank) || (b.batched && b.rank < rank))
            expected = false;
        assert_int_equal(ok, expected);
        fits += ok;
    }
    assert_in_range(fits, 2000, 18000);
}

/* A toy op: pairs of equal shape. */
static tutti_status pair_infer(const tutti_node_info *node, tutti_infer *out) {
    char a[TUTTI_SHAPE_TEXT], b[TUTTI_SHAPE_TEXT];
    if (!tutti_shape_equal(&node->in_type[0].shape, &node->in_type[1].shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "lhs is %s, rhs is %s",
                             tutti_shape_text(&node->in_type[0].shape, a),
                             tutti_shape_text(&node->in_type[1].shape, b));
    out->type = node->in_type[0];
    return TUTTI_OK;
}

static const tutti_op pair = {.name = "pair",
                              .n_in_min = 2,
                              .n_in_max = 2,
                              .n_out = 1,
                              .attr_size = sizeof(int32_t),
                              .infer = pair_infer};

static tutti_status wrong_infer(const tutti_node_info *node, tutti_infer *out) {
    out->type = node->in_type[0];
    out->type.shape.dim[0] = TUTTI_BATCH;
    return TUTTI_OK;
}

static const tutti_op wrong = {
    .name = "wrong", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = wrong_infer};

static tutti_status untyped_infer(const tutti_node_info *node, tutti_infer *out) {
    out->type = node->in_type[0];
    out->type.dtype = (tutti_dtype)7;
    return TUTTI_OK;
}

static const tutti_op untyped = {
    .name = "untyped", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = untyped_infer};

static tutti_status count_infer(const tutti_node_info *node, tutti_infer *out) {
    (void)node;
    *out = (tutti_infer){.type = {.dtype = TUTTI_I32}, .batch_sum = true};
    return TUTTI_OK;
}

static const tutti_op count_op = {
    .name = "count", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = count_infer};

static tutti_status many_infer(const tutti_node_info *node, tutti_infer *out) {
    out->type = node->in_type[0];
    return TUTTI_OK;
}

/* More inputs than `mutates` has bits. */
static const tutti_op many = {.name = "many",
                              .n_in_min = 40,
                              .n_in_max = 40,
                              .n_out = 1,
                              .flags = TUTTI_OP_UPDATE,
                              .mutates = 1,
                              .infer = many_infer};

static void expect(tutti_graph *graph, tutti_status status, const char *message) {
    assert_int_equal(tutti_graph_status(graph), status);
    if (strstr(tutti_graph_message(graph), message) == NULL)
        fail_msg("got: %s\nexpected: %s", tutti_graph_message(graph), message);
    tutti_graph_free(graph);
}

static tutti_graph *fresh(tutti_tensor *x) {
    tutti_graph *graph;
    assert_int_equal(tutti_graph_make(&graph), TUTTI_OK);
    *x = tutti_graph_input(graph, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 3});
    assert_int_not_equal(x->id, 0);
    return graph;
}

static void test_messages(void **state) {
    (void)state;
    const int32_t attr = 1;
    tutti_tensor x, out;
    tutti_graph *graph = fresh(&x);
    assert_int_equal(tutti_graph_input(graph, "x", TUTTI_F32, 0, NULL).id, 0);
    expect(graph, TUTTI_INVALID_ARGUMENT, "input \"x\": the name is taken");
    graph = fresh(&x);
    (void)tutti_graph_scalar(graph, "lr", 1);
    (void)tutti_graph_param(graph, "lr", 0, NULL, (tutti_init){0});
    expect(graph, TUTTI_INVALID_ARGUMENT, "parameter \"lr\": the name is taken");
    graph = fresh(&x);
    (void)tutti_graph_param(graph, "", 0, NULL, (tutti_init){0});
    expect(graph, TUTTI_INVALID_ARGUMENT, "parameter: the name is empty");
    graph = fresh(&x);
    (void)tutti_graph_param(graph, "w", 2, (int64_t[]){TUTTI_BATCH, 1}, (tutti_init){0});
    expect(graph, TUTTI_SHAPE, "parameter \"w\": cannot have the batch");
    graph = fresh(&x);
    (void)tutti_graph_input(graph, "y", TUTTI_F32, 2, (int64_t[]){4, 0});
    expect(graph, TUTTI_SHAPE, "input \"y\": extent 1 is 0");
    graph = fresh(&x);
    assert_int_equal(tutti_op_apply1(graph, &pair, (tutti_tensor[]){x}, 1, &attr, sizeof attr).id,
                     0);
    expect(graph, TUTTI_INVALID_ARGUMENT, "pair: has 1 inputs, takes 2 to 2");
    graph = fresh(&x);
    (void)tutti_op_apply1(graph, &pair, (tutti_tensor[]){x, x}, 2, NULL, 0);
    expect(graph, TUTTI_INVALID_ARGUMENT, "pair: attributes have 0 bytes, takes 4");
    graph = fresh(&x);
    (void)tutti_op_apply1(graph, &pair, (tutti_tensor[]){x, {99}}, 2, &attr, sizeof attr);
    expect(graph, TUTTI_INVALID_ARGUMENT, "pair: input 1 (tensor 99) is not of this graph");
    graph = fresh(&x);
    (void)tutti_op_apply1(graph, &wrong, &x, 1, NULL, 0);
    expect(graph, TUTTI_SHAPE, "wrong: infer gave output 0 the extent -1");
    graph = fresh(&x);
    (void)tutti_op_apply1(graph, &untyped, &x, 1, NULL, 0);
    expect(graph, TUTTI_INVALID_ARGUMENT, "untyped: infer gave output 0 the element type 7");
    graph = fresh(&x);
    (void)tutti_op_apply1(graph, &count_op, &x, 1, NULL, 0);
    expect(graph, TUTTI_UNSUPPORTED, "count: infer calls output 0 a batch sum, but it is i32");
    graph = fresh(&x);
    tutti_tensor params[40];
    for (int32_t i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", (int)i);
        params[i] = tutti_graph_param(graph, name, 0, NULL, (tutti_init){0});
    }
    assert_int_equal(
        tutti_graph_set_output(graph, "many", tutti_op_apply1(graph, &many, params, 40, NULL, 0)),
        TUTTI_OK);
    assert_int_equal(tutti_graph_freeze(graph), TUTTI_OK);
    expect(graph, TUTTI_OK, "");
    graph = fresh(&x);
    assert_int_equal(tutti_graph_set_loss(graph, x), TUTTI_SHAPE);
    expect(graph, TUTTI_SHAPE, "loss: x is f32 Nx3, must be a scalar f32");
    graph = fresh(&x);
    assert_int_equal(tutti_graph_set_output(graph, "o", x), TUTTI_OK);
    assert_int_equal(tutti_graph_set_output(graph, "o", x), TUTTI_INVALID_ARGUMENT);
    expect(graph, TUTTI_INVALID_ARGUMENT, "output \"o\": the name is taken");

    /* The first error stays, and what follows is quiet. */
    graph = fresh(&x);
    const tutti_tensor y = tutti_graph_input(graph, "y", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 4});
    assert_int_equal(
        tutti_op_apply(graph, &pair, (tutti_tensor[]){x, y}, 2, &attr, sizeof attr, &out),
        TUTTI_SHAPE);
    assert_int_equal(out.id, 0);
    assert_int_equal(tutti_op_apply1(graph, &pair, (tutti_tensor[]){out, x}, 2, NULL, 0).id, 0);
    expect(graph, TUTTI_SHAPE, "pair: lhs is Nx3, rhs is Nx4");
}

static void test_lookup(void **state) {
    (void)state;
    const int32_t attr = 1;
    tutti_tensor x;
    tutti_graph *graph = fresh(&x);
    tutti_tensor last = x;
    for (int32_t i = 0; i < 100; i++)
        last = tutti_op_apply1(graph, &pair, (tutti_tensor[]){x, last}, 2, &attr, sizeof attr);
    const tutti_tensor w =
        tutti_graph_param(graph, "w", 1, (int64_t[]){3}, (tutti_init){TUTTI_INIT_NORMAL, 0, 1});
    assert_int_equal(tutti_graph_set_output(graph, "y", last), TUTTI_OK);
    assert_int_equal(tutti_graph_find(graph, "y").id, last.id);
    assert_int_equal(tutti_graph_find(graph, "w").id, w.id);
    assert_int_equal(tutti_graph_find(graph, "z").id, 0);
    assert_string_equal(tutti_graph_tensor_name(graph, last), "pair.99");
    assert_int_equal(tutti_graph_param_count(graph), 1);
    assert_int_equal(tutti_graph_param_at(graph, 0).id, w.id);
    assert_int_equal(tutti_graph_param_at(graph, 1).id, 0);
    assert_int_equal(tutti_graph_scalar(graph, "lr", 0.5F), 0);
    assert_int_equal(tutti_graph_scalar(graph, "b", 0.5F), 1);
    assert_int_equal(tutti_graph_tensor_shape(graph, last).dim[1], 3);
    assert_int_equal(graph->status, TUTTI_OK);
    tutti_graph_free(graph);
    tutti_graph_free(NULL);
}

static tutti_status lower_two(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out) {
    (void)device;
    for (int32_t c = 0; c < 2; c++) {
        tutti_candidate *candidate = tutti_lowering_candidate(out, c == 0 ? "a" : "b");
        for (int32_t l = 0; l < 5; l++) {
            tutti_launch *launch = tutti_candidate_launch(out, candidate, "f.cl", "k",
                                                          "-DL=%d -DC=%d", (int)l, (int)c);
            for (int32_t i = 0; i < 9; i++)
                tutti_launch_i32(out, launch, (tutti_extent){l, i});
            tutti_launch_tensor(out, launch, node->in[0]);
            tutti_launch_range(launch, tutti_extent_count(&node->out_type[0].shape), 4, 64);
        }
        assert_int_equal(tutti_candidate_scratch(out, candidate, tutti_extent_const(16)), 0);
        assert_int_equal(tutti_candidate_scratch(out, candidate, (tutti_extent){0, 4}), 1);
        assert_int_equal(tutti_candidate_scratch(out, candidate, tutti_extent_const(c)), 2);
    }
    return tutti_lowering_status(out);
}

static tutti_status lower_rounding(const tutti_node_info *node, const tutti_device_info *device,
                                   tutti_lowering *out) {
    TUTTI_TRY(lower_two(node, device, out));
    out->candidates[1].tolerance = 1e-2F;
    return TUTTI_OK;
}

static tutti_status lower_rounding_first(const tutti_node_info *node,
                                         const tutti_device_info *device, tutti_lowering *out) {
    TUTTI_TRY(lower_two(node, device, out));
    out->candidates[0].tolerance = 1e-2F;
    return TUTTI_OK;
}

static tutti_status lower_none(const tutti_node_info *node, const tutti_device_info *device,
                               tutti_lowering *out) {
    (void)node, (void)device;
    return tutti_lowering_status(out);
}

static void test_lowering(void **state) {
    (void)state;
    tutti_op op = pair;
    op.lower = lower_two;
    const int32_t attr = 1;
    tutti_tensor x;
    tutti_graph *graph = fresh(&x);
    (void)tutti_op_apply1(graph, &op, (tutti_tensor[]){x, x}, 2, &attr, sizeof attr);
    tutti_type types[3];
    const tutti_node_info info = tutti_node_view(graph, &graph->nodes[0], types);
    tutti_arena arena = {0};
    tutti_lowering lowering;
    assert_int_equal(tutti_node_lower(&info, NULL, 8, &arena, &lowering), TUTTI_OK);
    assert_int_equal(lowering.n_candidates, 2);
    for (int32_t c = 0; c < 2; c++) {
        const tutti_candidate *candidate = &lowering.candidates[c];
        assert_int_equal(candidate->n_launches, 5);
        assert_int_equal(candidate->n_scratch, 3);
        assert_int_equal(candidate->scratch_bytes[1].per_sample, 4);
        assert_int_equal(candidate->scratch_bytes[2].base, c);
        for (int32_t l = 0; l < 5; l++) {
            const tutti_launch *launch = &candidate->launches[l];
            char options[32];
            snprintf(options, sizeof options, "-DL=%d -DC=%d", (int)l, (int)c);
            assert_string_equal(launch->options, options);
            assert_int_equal(launch->n_args, 10);
            for (int32_t i = 0; i < 9; i++) {
                assert_int_equal(launch->args[i].u.i32.base, l);
                assert_int_equal(launch->args[i].u.i32.per_sample, i);
            }
            assert_int_equal(launch->args[9].u.tensor.id, x.id);
            assert_int_equal(launch->rank, 1);
            assert_int_equal(launch->range[0].items.per_sample, 3);
        }
    }
    assert_int_equal(tutti_node_lower(&info, NULL, INT32_MAX / 3, &arena, &lowering), TUTTI_OK);
    assert_int_equal(tutti_node_lower(&info, NULL, INT32_MAX / 3 + 1, &arena, &lowering),
                     TUTTI_UNSUPPORTED);
    assert_non_null(strstr(tutti_error_message(), "pair: input 0 (Nx3) for N = 715827883"));
    op.lower = lower_none;
    assert_int_equal(tutti_node_lower(&info, NULL, 8, &arena, &lowering), TUTTI_INTERNAL);
    op.lower = lower_rounding;
    assert_int_equal(tutti_node_lower(&info, NULL, 8, &arena, &lowering), TUTTI_INTERNAL);
    assert_non_null(strstr(tutti_error_message(), "tolerance of 0.01, but nothing may be rounded"));
    assert_int_equal(
        tutti_node_lower_rounding(&info, NULL, 8, TUTTI_MATMUL_HIGH, &arena, &lowering), TUTTI_OK);
    op.lower = lower_rounding_first;
    assert_int_equal(
        tutti_node_lower_rounding(&info, NULL, 8, TUTTI_MATMUL_MEDIUM, &arena, &lowering),
        TUTTI_INTERNAL);
    assert_non_null(strstr(tutti_error_message(), "tolerance of 0.01, but is the first"));
    tutti_arena_free(&arena);
    tutti_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),     cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_messages), cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_lowering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
