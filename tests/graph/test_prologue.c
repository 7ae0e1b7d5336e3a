/* Which elementwise work becomes the prologue of a reduction, where it stands, what it keeps, and how
 * candidates that do not take one are completed. That values stay the same is test_split.c's matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"
#include "graph/fuse.h"
#include "graph/labels.h"
#include "graph/lowering.h"
#include "op/ops.h"
#include "op/reduce.h"
#include "plan/make.h"

static const tutti_init zeros = {.kind = TUTTI_INIT_ZEROS};
static tutti_arena arena;

static tutti_graph *fresh(void) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    return g;
}

static tutti_tensor rows(tutti_graph *g, const char *name, int64_t columns) {
    return tutti_graph_input(g, name, TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, columns});
}

static tutti_tensor param(tutti_graph *g, const char *name, int64_t n) {
    return tutti_graph_param(g, name, 1, (int64_t[]){n}, zeros);
}

static void output(tutti_graph *g, const char *name, tutti_tensor t) {
    assert_int_equal(tutti_graph_set_output(g, name, t), TUTTI_OK);
}

static tutti_program expect(tutti_graph *g, tutti_mode mode, const char *labels) {
    return labels_expect(g, mode, &arena, labels);
}

static void done(tutti_graph *g) {
    tutti_graph_free(g);
    tutti_arena_free(&arena);
}

static tutti_tensor sum_rows(tutti_graph *g, tutti_tensor x) {
    return tutti_sum(g, x, 1, (int32_t[]){1}, false);
}

static void test_alone(void **state) {
    (void)state;
    /* A loss: neither the differences nor the squares have memory. */
    tutti_graph *g = fresh();
    const tutti_tensor x = rows(g, "x", 6), t = rows(g, "t", 6);
    assert_int_equal(tutti_graph_set_loss(g, tutti_mse(g, x, t)), TUTTI_OK);
    tutti_program p = expect(g, TUTTI_EVAL, "sub+mul+sum scale_over_batch |");
    const tutti_node_info *node = &p.items[0].node;
    assert_int_equal(tutti_fused_size(node), 3);
    assert_int_equal(node->n_in, 2);
    assert_int_equal(node->n_out, 1);
    assert_true(node->op->cost(node, 5).bytes == 4.0 * (2 * 5 * 6 + 1));
    int32_t used = 0;
    for (int32_t i = 1; i < g->n_tensors; i++)
        used += p.used[i];
    assert_int_equal(used, 4);
    done(g);

    /* Through a reshape; a maximum; not a single value that is broadcast to all. */
    g = fresh();
    const tutti_tensor y = tutti_tanh(g, rows(g, "x", 6));
    output(g, "a", sum_rows(g, tutti_reshape(g, y, 2, (int64_t[]){TUTTI_BATCH, 6})));
    output(g, "b", tutti_max(g, tutti_neg(g, rows(g, "y", 6)), 1, (int32_t[]){1}, false));
    output(g, "c",
           sum_rows(g, tutti_add(g, rows(g, "z", 1),
                                 tutti_graph_param(g, "w", 2, (int64_t[]){1, 7}, zeros))));
    expect(g, TUTTI_PREDICT, "tanh+sum neg+max add sum");
    done(g);
}

static void test_kept(void **state) {
    (void)state;
    /* What others read is written as it goes, in the memory of an operand that nobody needs. */
    tutti_graph *g = fresh();
    const tutti_tensor x = rows(g, "x", 6);
    const tutti_tensor a = tutti_tanh(g, tutti_add(g, tutti_softmax(g, x), param(g, "b", 6)));
    const tutti_tensor z = tutti_scale(g, a, 2);
    output(g, "sum", sum_rows(g, z));
    output(g, "a", a);
    output(g, "z", tutti_softmax(g, z));
    tutti_program p = expect(g, TUTTI_PREDICT, "softmax add+tanh+scale+sum softmax");
    const tutti_node_info *node = &p.items[1].node;
    assert_int_equal(node->n_out, 3);
    assert_int_equal(node->out[1].id, a.id);
    assert_int_equal(node->out[2].id, z.id);
    assert_true(node->op->cost(node, 5).bytes == 4.0 * (3 * 5 * 6 + 6 + 5));
    tutti_liveness live;
    assert_int_equal(tutti_liveness_make(g, &p, true, &arena, &live), TUTTI_OK);
    assert_int_equal(live.root[a.id], node->in[0].id);
    assert_int_equal(live.root[z.id], z.id);
    done(g);

    /* The sum stands where the chain stood, before what reads the chain. */
    g = fresh();
    const tutti_tensor h = tutti_relu(g, rows(g, "x", 6));
    const tutti_tensor s = tutti_softmax(g, h);
    output(g, "y", tutti_mul(g, s, tutti_sum(g, h, 1, (int32_t[]){1}, true)));
    expect(g, TUTTI_PREDICT, "relu+sum softmax mul");
    done(g);

    /* One of two sums: the other reads what the first has kept. */
    g = fresh();
    const tutti_tensor both = tutti_abs(g, rows(g, "x", 6));
    output(g, "rows", sum_rows(g, both));
    output(g, "columns", tutti_sum(g, both, 1, (int32_t[]){0}, false));
    expect(g, TUTTI_PREDICT, "abs+sum sum |");
    done(g);
}

static void test_refused(void **state) {
    (void)state;
    /* An epilogue goes before a prologue; a sum over devices comes before what reads it. */
    tutti_graph *g = fresh();
    const tutti_tensor x = rows(g, "x", 6);
    const tutti_tensor w = tutti_graph_param(g, "w", 2, (int64_t[]){6, 4}, zeros);
    output(g, "a", sum_rows(g, tutti_relu(g, tutti_matmul(g, x, w, false, false))));
    const tutti_tensor mean = tutti_sum(g, x, 1, (int32_t[]){0}, true);
    output(g, "b", tutti_sum(g, tutti_mul(g, mean, mean), 1, (int32_t[]){1}, false));
    expect(g, TUTTI_PREDICT, "matmul+relu sum sum | mul+sum");
    done(g);

    /* What the chain made is summed over devices before the op reads it. */
    g = fresh();
    const tutti_tensor z = rows(g, "z", 6);
    const tutti_tensor over_batch = tutti_mean(g, z, 1, (int32_t[]){0}, false);
    const tutti_tensor peak = tutti_max(g, over_batch, 1, (int32_t[]){0}, false);
    output(g, "y", tutti_div(g, z, peak));
    expect(g, TUTTI_PREDICT, "sum scale_over_batch | max div");
    done(g);
}

static const tutti_device_info gpu = {.type = TUTTI_DEVICE_GPU,
                                      .simd_floats = 1,
                                      .compute_units = 2,
                                      .max_work_group = 4096,
                                      .max_work_item = {4096, 4096, 4096},
                                      .local_memory_bytes = 1 << 20};

static void test_loads(void **state) {
    (void)state;
    /* Either operand of a product, also with an epilogue, and through a reshape; the images of a
     * convolution. */
    tutti_graph *g = fresh();
    const tutti_tensor x = rows(g, "x", 6);
    const tutti_tensor w = tutti_graph_param(g, "w", 2, (int64_t[]){6, 4}, zeros);
    const tutti_tensor y = tutti_matmul(g, tutti_tanh(g, x), w, false, false);
    output(g, "a", tutti_relu(g, y));
    output(g, "b", tutti_matmul(g, x, tutti_abs(g, w), false, false));
    const tutti_tensor image =
        tutti_graph_input(g, "i", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 2, 5, 5});
    const tutti_tensor taps = tutti_graph_param(g, "t", 4, (int64_t[]){3, 2, 3, 3}, zeros);
    const tutti_tensor z = tutti_scale(g, image, 2), none = {0};
    output(g, "c",
           tutti_conv2d(g, tutti_reshape(g, z, 4, (int64_t[]){TUTTI_BATCH, 2, 5, 5}), taps, none,
                        NULL));
    const tutti_program p = expect(g, TUTTI_PREDICT, "tanh+matmul+relu abs+matmul scale+conv2d");
    assert_int_equal(((const tutti_prologue *)p.items[1].node.attr)->slot, 1);
    assert_int_equal(p.items[1].node.in[0].id, w.id);
    assert_int_equal(p.items[1].node.in[1].id, x.id);
    assert_int_equal(tutti_fused_size(&p.items[0].node), 3);
    assert_ptr_equal(tutti_fused_core(&p.items[0].node)->op, &tutti_op_matmul);
    /* Neither the chain's result nor the product's has memory. */
    assert_false(p.used[y.id]);
    /* Without GPUs all stays apart. */
    tutti_program cpu;
    assert_int_equal(tutti_program_make_for(g, TUTTI_PREDICT,
                                            (tutti_program_options){.narrow = TUTTI_F32}, &arena,
                                            &cpu),
                     TUTTI_OK);
    assert_int_equal(cpu.n_items, 6);
    for (int32_t i = 0; i < cpu.n_items; i++)
        assert_ptr_not_equal(cpu.items[i].node.op, &tutti_op_prologue);
    done(g);

    /* Not what others read, nor both operands at once, nor the weights of a convolution. */
    g = fresh();
    const tutti_tensor u = rows(g, "x", 6), t = tutti_tanh(g, u), s = tutti_abs(g, u);
    const tutti_tensor v = tutti_graph_param(g, "w", 2, (int64_t[]){6, 4}, zeros);
    output(g, "a", tutti_matmul(g, t, v, false, false));
    output(g, "b", tutti_matmul(g, t, v, false, false));
    output(g, "c", tutti_matmul(g, s, s, true, false));
    const tutti_tensor photo =
        tutti_graph_input(g, "i", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 2, 5, 5});
    const tutti_tensor k = tutti_graph_param(g, "t", 4, (int64_t[]){3, 2, 3, 3}, zeros);
    output(g, "d", tutti_conv2d(g, photo, tutti_abs(g, k), none, NULL));
    expect(g, TUTTI_PREDICT, "tanh abs matmul matmul matmul abs conv2d |");
    done(g);
}

/* The first candidate takes a cheap chain, and is offered again with the chain apart; a dear one is
 * taken when that was measured to be faster. */
static void test_apart(void **state) {
    (void)state;
    for (int32_t dear = 0; dear < 2; dear++) {
        tutti_graph *g = fresh();
        const tutti_tensor x = rows(g, "x", 64);
        const tutti_tensor w = tutti_graph_param(g, "w", 2, (int64_t[]){64, 64}, zeros);
        output(g, "y",
               tutti_matmul(g, dear ? tutti_gelu(g, x) : tutti_relu(g, x), w, false, false));
        const tutti_program p = expect(g, TUTTI_PREDICT, dear ? "gelu+matmul" : "relu+matmul");
        tutti_lowering lowering;
        assert_int_equal(tutti_node_lower(&p.items[0].node, &gpu, 64, &arena, &lowering), TUTTI_OK);
        const int32_t n = lowering.n_candidates;
        assert_true(n >= 3);
        const tutti_candidate *apart = &lowering.candidates[dear ? 0 : n - 1];
        const tutti_candidate *takes = &lowering.candidates[dear ? 1 : 0];
        char name[64];
        snprintf(name, sizeof name, "%s_apart", takes->name);
        assert_string_equal(apart->name, name);
        assert_int_equal(apart->n_launches, takes->n_launches + 1);
        assert_true(takes->launches[0].prologue);
        assert_int_equal(takes->n_scratch + 1, apart->n_scratch);
        /* A pointer that is not read stands in for the chain's result, which is nowhere. */
        assert_int_equal(takes->launches[0].args[0].u.tensor.id, w.id);
        assert_non_null(strstr(takes->launches[0].source, "#define PROLOGUE_OF 0"));
        done(g);
    }
}

/* Negative sums, by the kernel of sums or by one that takes no prologue. */
static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    for (int32_t takes = 0; takes < 2; takes++) {
        tutti_candidate *c = tutti_lowering_candidate(out, takes ? "takes" : "plain");
        tutti_launch *launch = tutti_candidate_launch(out, c, "sum.cl", "reduce_row", "%s", "");
        tutti_launch_tensor(out, launch, node->in[0]);
        tutti_launch_tensor(out, launch, node->out[0]);
        if (takes)
            tutti_launch_prologue(out, launch);
        tutti_launch_range(launch, tutti_extent_const(1), 1, 1);
    }
    return tutti_lowering_status(out);
}

static void test_candidates(void **state) {
    (void)state;
    for (int32_t kept = 0; kept < 2; kept++) {
        tutti_op op = tutti_op_sum;
        op.lower = lower;
        tutti_graph *g = fresh();
        const tutti_tensor x = rows(g, "x", 6), y = tutti_tanh(g, x);
        const tutti_reduce_attr attr = {.axes = 2};
        const tutti_tensor z = tutti_op_apply1(g, &op, &y, 1, &attr, sizeof attr);
        output(g, "z", z);
        if (kept)
            output(g, "y", y);
        const tutti_program p = expect(g, TUTTI_PREDICT, "tanh+sum");
        tutti_lowering lowering;
        assert_int_equal(tutti_node_lower(&p.items[0].node, &gpu, 8, &arena, &lowering), TUTTI_OK);
        const tutti_candidate *plain = &lowering.candidates[0], *takes = &lowering.candidates[1];
        /* The chain's launch and the op's, with memory between them, or one launch. */
        assert_int_equal(plain->n_launches, 2);
        assert_string_equal(plain->launches[0].entry, "tutti_tanh");
        assert_string_equal(plain->launches[1].entry, "reduce_row");
        assert_int_equal(plain->n_scratch, kept ? 0 : 1);
        if (!kept)
            assert_int_equal(tutti_extent_value(plain->scratch_bytes[0], 3), 4 * 3 * 6);
        const tutti_arg *between = &plain->launches[1].args[0];
        assert_int_equal(between->kind, kept ? TUTTI_ARG_TENSOR : TUTTI_ARG_SCRATCH);
        assert_int_equal(takes->n_launches, 1);
        assert_int_equal(takes->n_scratch, 0);
        const uint32_t ids[] = {z.id, x.id, y.id};
        assert_int_equal(takes->launches[0].n_args, kept ? 3 : 2);
        for (int32_t i = 0; i < takes->launches[0].n_args; i++)
            assert_int_equal(takes->launches[0].args[i].u.tensor.id, ids[i]);
        assert_non_null(strstr(takes->launches[0].source, "#include \"sum.cl\""));
        done(g);
    }
}

static void quiet(void *user, tutti_log_level level, const char *message) {
    (void)user, (void)level, (void)message;
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),   cmocka_unit_test(test_kept),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_loads),
        cmocka_unit_test(test_apart),   cmocka_unit_test(test_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
