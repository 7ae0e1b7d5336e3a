/* Which values the backward pass computes again, that they then have no memory between the passes, and
 * that no bit of a training changes, on random graphs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"
#include "graph/interp.h"
#include "graph/random_graph.h"
#include "plan/make.h"
#include "seed.h"
#include "tutti/nn.h"

#define SAMPLES 7
#define STEPS   2

static int32_t count_copies(const tutti_graph *g) {
    int32_t count = 0;
    for (int32_t i = 1; i < g->n_tensors; i++)
        count += strstr(g->tensors[i].name, " again") != NULL;
    return count;
}

static tutti_graph *fresh(void) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    return g;
}

static tutti_tensor loss_of(tutti_graph *g, tutti_tensor y) {
    return tutti_mean(g, tutti_mul(g, y, y), 0, NULL, false);
}

/* Trains; without copies when the graph is frozen behind the pass's back. */
static tutti_program train(tutti_graph *g, bool copies, tutti_arena *arena) {
    const tutti_optimizer sgd = {.kind = TUTTI_SGD, .lr = 0.05F};
    if (tutti_graph_optimize(g, &sgd) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    if (copies)
        assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
    g->frozen = true;
    tutti_program p;
    if (tutti_program_make(g, TUTTI_TRAIN, arena, &p) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    return p;
}

/* Bytes for SAMPLES samples that live at once. */
static int64_t most_live(const tutti_graph *g, const tutti_program *p, tutti_arena *arena) {
    tutti_liveness live;
    assert_int_equal(tutti_liveness_make(g, p, true, arena, &live), TUTTI_OK);
    int64_t most = 0;
    for (int32_t k = 0; k < p->n_items; k++) {
        int64_t bytes = 0;
        for (uint32_t id = 1; id < (uint32_t)g->n_tensors; id++)
            if (live.first[id] <= k && k <= live.last[id] && !tutti_tensor_is_fixed(g, id))
                bytes += 4 * tutti_shape_count(&g->tensors[id].type.shape, SAMPLES);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static tutti_graph *blocks(void) {
    tutti_graph *g = fresh();
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 4, 6, 6});
    const tutti_conv2d_options same = {.padding = {1, 1}};
    for (int32_t i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.a", (int)i);
        tutti_tensor y = tutti_nn_conv2d(g, x, 4, 3, 3, name, &same, NULL);
        snprintf(name, sizeof name, "%d.b", (int)i);
        y = tutti_relu(g, tutti_nn_batch_norm(g, y, name, NULL));
        snprintf(name, sizeof name, "%d.c", (int)i);
        y = tutti_nn_conv2d(g, y, 4, 3, 3, name, &same, NULL);
        snprintf(name, sizeof name, "%d.d", (int)i);
        y = tutti_nn_batch_norm(g, y, name, NULL);
        x = tutti_relu(g, i > 0 ? tutti_add(g, y, x) : y);
    }
    assert_int_equal(tutti_graph_set_loss(g, loss_of(g, x)), TUTTI_OK);
    return g;
}

static void test_blocks(void **state) {
    (void)state;
    tutti_arena arena = {0};
    tutti_graph *plain = blocks(), *g = blocks();
    const tutti_program p = train(plain, false, &arena), q = train(g, true, &arena);
    assert_int_equal(count_copies(plain), 0);
    /* Three pairs of batch norm and ReLU in the blocks; the first block's result, and the second's,
     * which is made of it; the last one is needed at once. */
    assert_int_equal(count_copies(g), 3 * 2 + 2 + 5);
    assert_true(most_live(g, &q, &arena) * 10 < most_live(plain, &p, &arena) * 8);
    /* The mask and the copy are one kernel with the convolution before. */
    int32_t together = 0, launches[2] = {0, 0};
    for (int32_t k = 0; k < q.n_items; k++) {
        const tutti_item *item = &q.items[k];
        launches[0] += item->kind == TUTTI_ITEM_NODE && !item->alias;
        together += item->kind == TUTTI_ITEM_NODE &&
                    strncmp(tutti_fused_label(&item->node),
                            "conv_transpose2d+batch_norm+relu+heaviside+mul", 46) == 0;
    }
    for (int32_t k = 0; k < p.n_items; k++)
        launches[1] += p.items[k].kind == TUTTI_ITEM_NODE && !p.items[k].alias;
    assert_in_range(together, 3, 4);
    /* Between the passes, what is read by a convolution alone became part of it. */
    assert_int_equal(launches[0] + 3, launches[1]);
    /* No copies outside of training. */
    tutti_program predict;
    assert_int_equal(tutti_program_make(g, TUTTI_EVAL, &arena, &predict), TUTTI_OK);
    for (int32_t i = 1; i < g->n_tensors; i++)
        if (strstr(g->tensors[i].name, " again") != NULL)
            assert_false(predict.used[i]);
    tutti_graph_free(plain);
    tutti_graph_free(g);
    tutti_arena_free(&arena);
}

/* y of (x, w), then some layers, so that the backward pass is far. */
static int32_t copies_of(tutti_tensor (*make)(tutti_graph *g, tutti_tensor x), bool is_output) {
    tutti_graph *g = fresh();
    tutti_arena arena = {0};
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 64});
    tutti_tensor y = make(g, tutti_nn_linear(g, x, 64, "first", NULL));
    if (is_output)
        assert_int_equal(tutti_graph_set_output(g, "y", y), TUTTI_OK);
    for (int32_t i = 0; i < 9; i++) {
        char name[16];
        snprintf(name, sizeof name, "l%d", (int)i);
        y = tutti_nn_linear(g, y, 64, name, NULL);
    }
    assert_int_equal(tutti_graph_set_loss(g, loss_of(g, y)), TUTTI_OK);
    (void)train(g, true, &arena);
    const int32_t count = count_copies(g);
    tutti_graph_free(g);
    tutti_arena_free(&arena);
    return count;
}

/* What is copied is read by the products' gradients; the softmax is read by its own gradient. */
static tutti_tensor cheap(tutti_graph *g, tutti_tensor x) {
    return tutti_relu(g, tutti_scale(g, tutti_softmax(g, x), 3));
}

static tutti_tensor dear(tutti_graph *g, tutti_tensor x) {
    return tutti_tanh(g, tutti_softmax(g, x));
}

static tutti_tensor random_mask(tutti_graph *g, tutti_tensor x) {
    return tutti_dropout(g, tutti_softmax(g, x), 0.5F);
}

static tutti_tensor operand_gone(tutti_graph *g, tutti_tensor x) {
    return tutti_relu(g, x);
}

static tutti_tensor through_alias(tutti_graph *g, tutti_tensor x) {
    const tutti_tensor y = tutti_scale(g, tutti_softmax(g, x), 3);
    return tutti_reshape(g, tutti_reshape(g, y, 3, (int64_t[]){TUTTI_BATCH, 8, 8}), 2,
                         (int64_t[]){TUTTI_BATCH, 64});
}

static void test_choice(void **state) {
    (void)state;
    assert_int_equal(copies_of(cheap, false), 2);
    assert_int_equal(copies_of(cheap, true), 0);
    assert_int_equal(copies_of(dear, false), 0);
    assert_int_equal(copies_of(random_mask, false), 0);
    assert_int_equal(copies_of(operand_gone, false), 0);
    assert_int_equal(copies_of(through_alias, false), 0);
}

/* A node that waits for the work that a copy is fused with does not wait beyond its readers, even those
 * that were added after the backward pass. */
static void test_order(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    tutti_arena arena = {0};
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 64});
    const tutti_init uniform = {TUTTI_INIT_UNIFORM, -1, 1};
    const tutti_tensor side = tutti_graph_param(g, "side", 2, (int64_t[]){64, 64}, uniform);
    const tutti_tensor weight = tutti_graph_param(g, "weight", 2, (int64_t[]){64, 64}, uniform);
    assert_int_equal(tutti_graph_want_grad(g, x), TUTTI_OK);
    const tutti_tensor v = tutti_relu(g, x);
    const tutti_tensor s = tutti_matmul(g, x, side, false, false);
    tutti_tensor y = tutti_add(g, s, tutti_matmul(g, v, weight, false, false));
    for (int32_t i = 0; i < 9; i++) {
        char name[16];
        snprintf(name, sizeof name, "l%d", (int)i);
        y = tutti_nn_linear(g, y, 64, name, NULL);
    }
    assert_int_equal(tutti_graph_set_loss(g, loss_of(g, y)), TUTTI_OK);
    assert_int_equal(tutti_graph_backward(g), TUTTI_OK);
    const tutti_tensor grad = tutti_graph_grad(g, weight);
    assert_int_equal(tutti_graph_set_output(g, "square", tutti_mul(g, grad, grad)), TUTTI_OK);
    (void)train(g, true, &arena);
    assert_int_equal(count_copies(g), 1);
    for (int32_t n = 0; n < g->n_nodes; n++)
        for (int32_t i = 0; i < g->nodes[n].n_in; i++)
            assert_true(g->tensors[g->nodes[n].in[i].id].node < n);
    tutti_graph_free(g);
    tutti_arena_free(&arena);
}

static void compare(const interp *a, const interp *b, uint32_t id, uint64_t seed) {
    const size_t bytes = interp_count(a, id, 0) * sizeof(float);
    if (memcmp(a->memory[0][id], b->memory[0][id], bytes) != 0)
        fail_msg("seed %llu: %s differs", (unsigned long long)seed, a->graph->tensors[id].name);
}

static void test_bits(void **state) {
    (void)state;
    const uint64_t base = test_seed();
    int32_t copies = 0;
    for (uint64_t seed = base; seed < base + 100; seed++) {
        tutti_arena arena = {0};
        random_graph r[2];
        tutti_program p[2];
        interp in[2];
        for (int32_t i = 0; i < 2; i++) {
            rg_make(&r[i], seed, false, 25);
            p[i] = train(r[i].graph, i == 1, &arena);
            interp_make(&in[i], r[i].graph, 1, (int64_t[]){SAMPLES}, 0, seed);
        }
        copies += count_copies(r[1].graph);
        assert_int_equal(p[0].n_inputs, p[1].n_inputs);
        for (int32_t step = 0; step < STEPS; step++) {
            void *feeds[8];
            for (int32_t k = 0; k < p[0].n_inputs; k++) {
                const size_t count = interp_count(&in[0], p[0].inputs[k].id, 0);
                float *values = feeds[k] = malloc((count + 1) * sizeof *values);
                tutti_rng rng;
                tutti_rng_begin(&rng, seed + (uint64_t)step, (uint64_t)k);
                for (size_t i = 0; i < count; i++)
                    values[i] = tutti_rng_uniform(&rng) * 2 - 1;
            }
            for (int32_t i = 0; i < 2; i++)
                interp_step(&in[i], &p[i], feeds);
            for (int32_t k = 0; k < p[0].n_inputs; k++)
                free(feeds[k]);
            compare(&in[0], &in[1], r[0].graph->loss.id, seed);
        }
        for (int32_t i = 1; i < r[0].graph->n_tensors; i++)
            if (interp_lasts(&in[0], i))
                compare(&in[0], &in[1], (uint32_t)i, seed);
        for (int32_t i = 0; i < 2; i++) {
            interp_free(&in[i]);
            tutti_graph_free(r[i].graph);
        }
        tutti_arena_free(&arena);
    }
    print_message("%d copies\n", (int)copies);
    assert_true(copies > 5);
}

static void quiet(void *user, tutti_log_level level, const char *message) {
    (void)user, (void)level, (void)message;
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks), cmocka_unit_test(test_choice),
                                       cmocka_unit_test(test_order), cmocka_unit_test(test_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
