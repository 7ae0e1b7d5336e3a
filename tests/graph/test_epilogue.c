/* Which elementwise work becomes the epilogue of which op, where it stands, and how candidates that
 * do not take one are completed. That values stay the same is test_split.c's matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"
#include "graph/interp.h"
#include "graph/lowering.h"
#include "op/ops.h"

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

static tutti_tensor param(tutti_graph *g, const char *name, int64_t k, int64_t n) {
    return tutti_graph_param(g, name, k > 0 ? 2 : 1, k > 0 ? (int64_t[]){k, n} : (int64_t[]){n},
                             zeros);
}

static void output(tutti_graph *g, const char *name, tutti_tensor t) {
    assert_int_equal(tutti_graph_set_output(g, name, t), TUTTI_OK);
}

/* The labels of what runs, in order; a reduction is "|". */
static tutti_program expect(tutti_graph *g, tutti_mode mode, const char *labels) {
    if (!g->frozen && tutti_graph_freeze(g) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    tutti_program p;
    if (tutti_program_make(g, mode, &arena, &p) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    char text[512] = "";
    for (int32_t k = 0; k < p.n_items; k++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", k > 0 ? " " : "",
                 p.items[k].kind == TUTTI_ITEM_NODE ? tutti_fused_label(&p.items[k].node) : "|");
    assert_string_equal(text, labels);
    return p;
}

static void done(tutti_graph *g) {
    tutti_graph_free(g);
    tutti_arena_free(&arena);
}

static void test_forward(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    tutti_tensor x = rows(g, "x", 6), w = param(g, "w", 6, 4), b = param(g, "b", 0, 4);
    const tutti_tensor y = tutti_relu(g, tutti_add(g, tutti_matmul(g, x, w, false, false), b));
    output(g, "y", y);
    tutti_program p = expect(g, TUTTI_PREDICT, "matmul+add+relu");
    const tutti_node_info *node = &p.items[0].node;
    assert_int_equal(tutti_fused_size(node), 3);
    assert_int_equal(node->n_in, 3);
    assert_int_equal(node->n_out, 1);
    assert_int_equal(node->in[2].id, b.id);
    assert_int_equal(node->out[0].id, y.id);
    /* The product itself is neither written nor read. */
    assert_true(node->op->cost(node, 5).bytes == 4.0 * (5 * 6 + 6 * 4 + 4 + 5 * 4));
    for (int32_t i = 1; i < g->n_tensors; i++)
        assert_int_equal(p.used[i], (uint32_t)i == x.id || (uint32_t)i == w.id ||
                                        (uint32_t)i == b.id || (uint32_t)i == y.id);
    done(g);

    /* Reshapes do not part them; what is read elsewhere too becomes an output of its own. */
    g = fresh();
    x = rows(g, "x", 6);
    const tutti_tensor h =
        tutti_add(g, tutti_matmul(g, x, param(g, "w", 6, 4), false, false), param(g, "b", 0, 4));
    const tutti_tensor planes = tutti_reshape(g, h, 3, (int64_t[]){TUTTI_BATCH, 2, 2});
    output(g, "y",
           tutti_mul(g, tutti_tanh(g, planes),
                     tutti_graph_param(g, "c", 2, (int64_t[]){2, 1}, zeros)));
    output(g, "h", h);
    p = expect(g, TUTTI_PREDICT, "matmul+add+tanh+mul");
    assert_int_equal(p.items[0].node.n_out, 2);
    done(g);

    /* Of two products the later one; the other is an operand. A convolution, its bias inside. */
    g = fresh();
    x = rows(g, "x", 6);
    output(g, "y",
           tutti_add(g, tutti_matmul(g, x, param(g, "w", 6, 4), false, false),
                     tutti_matmul(g, x, param(g, "v", 6, 4), false, false)));
    const tutti_tensor image =
        tutti_graph_input(g, "image", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 2, 5, 5});
    const tutti_tensor kernel = tutti_graph_param(g, "kernel", 4, (int64_t[]){3, 2, 3, 3}, zeros);
    output(g, "z", tutti_relu(g, tutti_conv2d(g, image, kernel, param(g, "d", 0, 3), NULL)));
    p = expect(g, TUTTI_PREDICT, "matmul matmul+add conv2d+relu");
    assert_int_equal(p.items[1].node.in[2].id, p.items[0].node.out[0].id);
    done(g);
}

static void test_backward(void **state) {
    (void)state;
    /* The mask of a ReLU goes into the product with the weights, and stays before the sum over
     * devices that came between the two. */
    tutti_graph *g = fresh();
    tutti_tensor y = rows(g, "x", 6);
    y = tutti_relu(g, tutti_matmul(g, y, param(g, "u", 6, 7), false, false));
    y = tutti_relu(g, tutti_matmul(g, y, param(g, "v", 7, 600000), false, false));
    assert_int_equal(tutti_graph_set_loss(g, tutti_sum(g, y, 0, NULL, false)), TUTTI_OK);
    assert_int_equal(tutti_graph_backward(g), TUTTI_OK);
    output(g, "du", tutti_graph_grad(g, tutti_graph_find(g, "u")));
    output(g, "dv", tutti_graph_grad(g, tutti_graph_find(g, "v")));
    expect(g, TUTTI_TRAIN,
           "matmul+relu matmul+relu sum constant broadcast_like+heaviside+mul "
           "matmul+heaviside+mul matmul | | matmul |");
    done(g);

    /* What reads a sum over the batch comes after the reduction. */
    g = fresh();
    const tutti_tensor x = rows(g, "x", 6);
    const tutti_tensor mean = tutti_sum(g, x, 1, (int32_t[]){0}, false);
    const tutti_tensor product = tutti_matmul(g, x, param(g, "w", 6, 6), false, false);
    output(g, "y", tutti_sub(g, product, mean));
    expect(g, TUTTI_PREDICT, "sum | matmul+sub");
    done(g);
}

static void test_refused(void **state) {
    (void)state;
    /* An output, read twice, and a result that is broadcast. */
    tutti_graph *g = fresh();
    const tutti_tensor x = rows(g, "x", 6), w = param(g, "w", 6, 4), v = param(g, "v", 6, 1);
    const tutti_tensor a = tutti_matmul(g, x, w, false, false);
    output(g, "a", a);
    output(g, "tanh", tutti_tanh(g, a));
    const tutti_tensor b = tutti_matmul(g, x, w, false, false);
    output(g, "softmax", tutti_softmax(g, b));
    output(g, "b", tutti_tanh(g, b));
    const tutti_tensor c = tutti_matmul(g, x, v, false, false);
    output(g, "c", tutti_add(g, x, c));
    expect(g, TUTTI_PREDICT, "matmul tanh matmul softmax tanh matmul add");
    done(g);

    /* A sum has no such kernel. */
    g = fresh();
    const tutti_tensor m = rows(g, "m", 4);
    output(g, "y", tutti_tanh(g, tutti_sum(g, m, 1, (int32_t[]){1}, true)));
    expect(g, TUTTI_PREDICT, "sum tanh");
    done(g);
}

static const tutti_device_info gpu = {.type = TUTTI_DEVICE_GPU,
                                      .simd_floats = 1,
                                      .compute_units = 2,
                                      .max_work_group = 4096,
                                      .max_work_item = {4096, 4096, 4096},
                                      .local_memory_bytes = 1 << 20};

static void test_candidates(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    const tutti_tensor x = rows(g, "x", 64), w = param(g, "w", 64, 48), b = param(g, "b", 0, 48);
    const tutti_tensor product = tutti_matmul(g, x, w, false, false);
    output(g, "y", tutti_relu(g, tutti_add(g, product, b)));
    const tutti_program p = expect(g, TUTTI_PREDICT, "matmul+add+relu");
    tutti_lowering lowering;
    assert_int_equal(tutti_node_lower(&p.items[0].node, &gpu, 8, &arena, &lowering), TUTTI_OK);
    assert_true(lowering.n_candidates >= 2);
    int32_t routines = 0;
    for (int32_t c = 0; c < lowering.n_candidates; c++) {
        const tutti_candidate *candidate = &lowering.candidates[c];
        const bool whole = candidate->launches[0].routine == NULL;
        routines += !whole;
        /* One launch, or the routine's and the chain's with memory between them. */
        assert_int_equal(candidate->n_launches, whole ? 1 : 2);
        assert_int_equal(candidate->n_scratch, whole ? 0 : 1);
        if (!whole)
            assert_int_equal(tutti_extent_value(candidate->scratch_bytes[0], 3), 4 * 3 * 48);
        for (int32_t l = 0; l < candidate->n_launches; l++)
            for (int32_t i = 0; i < candidate->launches[l].n_args; i++)
                assert_false(candidate->launches[l].args[i].kind == TUTTI_ARG_TENSOR &&
                             candidate->launches[l].args[i].u.tensor.id == product.id);
    }
    assert_int_equal(routines, 1);
    assert_null(lowering.candidates[0].launches[0].file);
    assert_non_null(strstr(lowering.candidates[0].launches[0].source, "#include \"matmul.cl\""));
    done(g);
}

static void quiet(void *user, tutti_log_level level, const char *message) {
    (void)user, (void)level, (void)message;
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
