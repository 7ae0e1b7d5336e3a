/* Backward against finite differences on random graphs, its errors, and the optimizer's nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"
#include "graph/interp.h"
#include "graph/random_graph.h"
#include "seed.h"

#define SAMPLES 5

static double loss_at(interp *in, const tutti_program *program, void *const *feeds) {
    interp_step(in, program, feeds);
    float loss = NAN;
    interp_fetch(in, in->graph->loss, &loss);
    return (double)loss;
}

/* Moves every wanted tensor by h along its direction. */
static void move(interp *in, const tutti_program *program, void *const *feeds,
                 float *const *direction, float *const *at, double h) {
    for (int32_t t = 1; t < in->graph->n_tensors; t++) {
        if (direction[t] == NULL)
            continue;
        float *values = in->memory[0][t];
        for (int32_t k = 0; k < program->n_inputs; k++)
            if (program->inputs[k].id == (uint32_t)t)
                values = feeds[k];
        const size_t count = (size_t)tutti_shape_count(&in->graph->tensors[t].type.shape, SAMPLES);
        for (size_t i = 0; i < count; i++)
            values[i] = (float)((double)at[t][i] + h * (double)direction[t][i]);
    }
}

static void check_graph(uint64_t seed, double *worst) {
    random_graph r;
    rg_make(&r, seed, true, 4 + (int32_t)(seed % 20));
    tutti_graph *g = r.graph;
    const tutti_tensor x = tutti_graph_find(g, "x"), u = tutti_graph_find(g, "u");
    assert_int_equal(tutti_graph_want_grad(g, x), TUTTI_OK);
    assert_int_equal(tutti_graph_want_grad(g, u), TUTTI_OK);
    if (tutti_graph_backward(g) != TUTTI_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, tutti_error_message());
    const int32_t n_tensors = g->n_tensors;
    for (int32_t t = 1; t < n_tensors; t++) {
        char name[32];
        snprintf(name, sizeof name, "grad %d", (int)t);
        const tutti_tensor grad = tutti_graph_grad(g, (tutti_tensor){(uint32_t)t});
        if (g->tensors[t].want_grad && grad.id != 0)
            assert_int_equal(tutti_graph_set_output(g, name, grad), TUTTI_OK);
    }
    assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
    tutti_arena arena = {0};
    tutti_program program;
    assert_int_equal(tutti_program_make(g, TUTTI_EVAL, &arena, &program), TUTTI_OK);
    interp in;
    interp_make(&in, g, 1, (int64_t[]){SAMPLES}, 0, seed);

    float **direction = calloc((size_t)g->n_tensors, sizeof *direction);
    float **at = calloc((size_t)g->n_tensors, sizeof *at);
    void *feeds[8] = {NULL};
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 5);
    for (int32_t t = 1; t < g->n_tensors; t++) {
        const size_t count = (size_t)tutti_shape_count(&g->tensors[t].type.shape, SAMPLES);
        float *values = in.memory[0][t];
        for (int32_t k = 0; k < program.n_inputs; k++)
            if (program.inputs[k].id == (uint32_t)t) {
                values = feeds[k] = malloc((count + 1) * sizeof(float));
                for (size_t i = 0; i < count; i++)
                    values[i] = tutti_rng_uniform(&rng) * 2 - 1;
            }
        if (values == NULL || !g->tensors[t].want_grad)
            continue;
        direction[t] = malloc((count + 1) * sizeof(float));
        at[t] = malloc((count + 1) * sizeof(float));
        memcpy(at[t], values, count * sizeof(float));
        for (size_t i = 0; i < count; i++)
            direction[t][i] = tutti_rng_uniform(&rng) * 2 - 1;
    }
    /* The loss is rounded to float: the error grows with it. */
    double predicted = 0, scale = fmax(1, fabs(loss_at(&in, &program, feeds)));
    for (int32_t t = 1; t < g->n_tensors; t++) {
        const tutti_tensor grad = tutti_graph_grad(g, (tutti_tensor){(uint32_t)t});
        if (direction[t] == NULL || grad.id == 0)
            continue;
        const float *values = in.memory[0][grad.id];
        const size_t count = (size_t)tutti_shape_count(&g->tensors[t].type.shape, SAMPLES);
        for (size_t i = 0; i < count; i++) {
            predicted += (double)values[i] * (double)direction[t][i];
            scale = fmax(scale, fabs((double)values[i]));
        }
    }
    /* Fourth order. Long steps suffer from bends, short ones from the rounding of the loss: a wrong
     * gradient disagrees with all. */
    double error = INFINITY, measured = NAN;
    for (int32_t k = 0; k < 3; k++) {
        const double h = (double[]){0.02, 0.005, 0.002}[k];
        double loss[4];
        for (int32_t i = 0; i < 4; i++) {
            move(&in, &program, feeds, direction, at, h * (double[]){1, -1, 2, -2}[i]);
            loss[i] = loss_at(&in, &program, feeds);
        }
        const double slope = (8 * (loss[0] - loss[1]) - (loss[2] - loss[3])) / (12 * h);
        if (fabs(slope - predicted) / scale < error) {
            error = fabs(slope - predicted) / scale;
            measured = slope;
        }
    }
    *worst = fmax(*worst, error);
    if (!(error < 5e-4))
        fail_msg("seed %llu: measured %g, predicted %g", (unsigned long long)seed, measured,
                 predicted);
    for (int32_t t = 1; t < g->n_tensors; t++) {
        free(direction[t]);
        free(at[t]);
    }
    for (int32_t k = 0; k < program.n_inputs; k++)
        free(feeds[k]);
    free(direction);
    free(at);
    interp_free(&in);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

static void test_finite_differences(void **state) {
    (void)state;
    const uint64_t base = test_seed();
    double worst = 0;
    for (uint64_t seed = base; seed < base + 200; seed++)
        check_graph(seed, &worst);
    print_message("seeds from %llu: worst error %g\n", (unsigned long long)base, worst);
}

/* Toy ops with defects. */
static tutti_status same_infer(const tutti_node_info *node, tutti_infer *out) {
    out->type = node->in_type[0];
    return TUTTI_OK;
}

static tutti_status wrong_grad(tutti_graph *graph, const tutti_node_info *node,
                               const tutti_tensor *dout, const bool *want, tutti_tensor *din) {
    (void)node, (void)want;
    din[0] = tutti_sum(graph, dout[0], 0, NULL, false);
    return TUTTI_OK;
}

static const tutti_op no_grad = {
    .name = "plain", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = same_infer};
static const tutti_op stops = {.name = "stops",
                               .n_in_min = 1,
                               .n_in_max = 1,
                               .n_out = 1,
                               .flags = TUTTI_OP_NO_GRAD,
                               .infer = same_infer};
static const tutti_op wrong = {.name = "wrong",
                               .n_in_min = 1,
                               .n_in_max = 1,
                               .n_out = 1,
                               .infer = same_infer,
                               .grad = wrong_grad};

/* loss = sum(op(w)) */
static tutti_graph *toy(const tutti_op *op, tutti_tensor *w) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    *w = tutti_graph_param(g, "w", 1, (int64_t[]){4}, (tutti_init){0});
    const tutti_tensor y = op == NULL ? *w : tutti_op_apply1(g, op, w, 1, NULL, 0);
    assert_int_equal(tutti_graph_set_loss(g, tutti_sum(g, y, 0, NULL, false)), TUTTI_OK);
    return g;
}

static void expect(tutti_graph *g, tutti_status got, tutti_status status, const char *message) {
    assert_int_equal(got, status);
    if (strstr(tutti_error_message(), message) == NULL)
        fail_msg("got: %s\nexpected: %s", tutti_error_message(), message);
    tutti_graph_free(g);
}

static void test_errors(void **state) {
    (void)state;
    tutti_tensor w;
    tutti_graph *g = toy(&no_grad, &w);
    expect(g, tutti_graph_backward(g), TUTTI_UNSUPPORTED,
           "plain: the loss depends on it, but the op has no gradient");
    g = toy(&wrong, &w);
    expect(g, tutti_graph_backward(g), TUTTI_SHAPE,
           "wrong: grad gave input 0 (4) a gradient of f32 scalar");
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    expect(g, tutti_graph_backward(g), TUTTI_STATE, "backward: no loss is declared");
    g = toy(NULL, &w);
    assert_int_equal(tutti_graph_backward(g), TUTTI_OK);
    expect(g, tutti_graph_backward(g), TUTTI_STATE, "backward: was already appended");

    static const tutti_param_group backwards = {.lr_factor = -1};
    static const tutti_param_group undecided = {.weight_decay = 0.5F, .no_decay = true};
    static const tutti_param_group misspelt = {.pattern = "*.bais"};
    static const tutti_param_group shadowed[] = {{.lr_factor = 2}, {.pattern = "[w]"}};
    static const struct {
        tutti_optimizer options;
        const char *message;
    } bad[] = {
        {{.kind = (tutti_optimizer_kind)7}, "7 is no optimizer"},
        {{.lr = -1}, "lr is -1"},
        {{.lr = NAN}, "lr is "},
        {{.lr = INFINITY}, "lr is inf"},
        {{.momentum = 1}, "momentum is 1"},
        {{.nesterov = true}, "nesterov needs a momentum"},
        {{.kind = TUTTI_ADAM, .momentum = 0.5F}, "of SGD and RMSprop only"},
        {{.kind = TUTTI_RMSPROP, .momentum = 0.5F, .nesterov = true}, "of SGD only"},
        {{.kind = TUTTI_ADAGRAD, .centered = true}, "of RMSprop only"},
        {{.kind = TUTTI_RMSPROP, .alpha = 1}, "alpha is 1"},
        {{.kind = TUTTI_SGD, .n_groups = 1}, "1 groups at"},
        {{.groups = &backwards, .n_groups = 1}, "lr_factor of a group is -1"},
        {{.groups = &undecided, .n_groups = 1}, "has weight_decay 0.5 and no_decay"},
        {{.groups = &misspelt, .n_groups = 1}, "group 0, \"*.bais\", matches no parameter"},
        {{.groups = shadowed, .n_groups = 2},
         "group 1, \"[w]\", is left without a parameter: \"w\" falls into group 0, \"*\", which"},
        {{.kind = TUTTI_ADAM, .beta2 = 1}, "beta2 is 1"},
        {{.clip_norm = -1}, "clip_norm is -1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        g = toy(NULL, &w);
        expect(g, tutti_graph_optimize(g, &bad[i].options), TUTTI_INVALID_ARGUMENT, bad[i].message);
    }
    g = toy(NULL, &w);
    assert_int_equal(tutti_graph_backward(g), TUTTI_OK);
    expect(g, tutti_graph_set_output(g, "g3", (tutti_tensor){0}), TUTTI_INVALID_ARGUMENT,
           "output \"g3\": the tensor is invalid: is it the gradient of");
    g = toy(&stops, &w);
    expect(g, tutti_graph_optimize(g, &(tutti_optimizer){0}), TUTTI_INVALID_ARGUMENT,
           "the loss depends on no parameter");
    g = toy(NULL, &w);
    assert_int_equal(tutti_graph_optimize(g, &(tutti_optimizer){0}), TUTTI_OK);
    expect(g, tutti_graph_optimize(g, &(tutti_optimizer){0}), TUTTI_STATE, "already appended");
    g = toy(NULL, &w);
    (void)tutti_graph_scalar(g, "lr", 1);
    expect(g, tutti_graph_optimize(g, &(tutti_optimizer){0}), TUTTI_INVALID_ARGUMENT,
           "scalar \"lr\": the name is taken");
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    expect(g, tutti_graph_freeze(g), TUTTI_STATE, "neither a loss nor an output");
    g = toy(NULL, &w);
    assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
    assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
    assert_int_equal(tutti_neg(g, w).id, 0);
    assert_string_equal(tutti_error_message(), "neg: the graph is frozen");
    assert_int_equal(tutti_graph_status(g), TUTTI_OK);
    tutti_graph_free(g);
}

/* Two of three parameters count for the norm; the third has no gradient and no update. */
static void test_clipping(void **state) {
    (void)state;
    for (int32_t i = 0; i < 2; i++) {
        const float clip = i == 0 ? 0.25F : 1e6F;
        tutti_graph *g;
        assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
        const tutti_init init = {.kind = TUTTI_INIT_ZEROS};
        const tutti_tensor a = tutti_graph_param(g, "a", 1, (int64_t[]){3}, init);
        const tutti_tensor b = tutti_graph_param(g, "b", 2, (int64_t[]){2, 2}, init);
        (void)tutti_graph_param(g, "c", 0, NULL, init);
        tutti_tensor loss = tutti_sum(g, tutti_mul(g, a, a), 0, NULL, false);
        loss = tutti_add(g, loss, tutti_sum(g, tutti_exp(g, b), 0, NULL, false));
        assert_int_equal(tutti_graph_set_loss(g, loss), TUTTI_OK);
        const tutti_optimizer sgd = {.kind = TUTTI_SGD, .lr = 0.5F, .clip_norm = clip};
        assert_int_equal(tutti_graph_optimize(g, &sgd), TUTTI_OK);
        assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
        tutti_arena arena = {0};
        tutti_program program;
        assert_int_equal(tutti_program_make(g, TUTTI_TRAIN, &arena, &program), TUTTI_OK);
        interp in;
        interp_make(&in, g, 1, (int64_t[]){1}, 0, 3);
        double before[7], grad[7], norm = 0;
        for (int32_t k = 0; k < 7; k++) {
            before[k] = (double)(k < 3 ? ((float *)in.memory[0][a.id])[k]
                                       : ((float *)in.memory[0][b.id])[k - 3]);
            grad[k] = k < 3 ? 2 * before[k] : exp(before[k]);
            norm += grad[k] * grad[k];
        }
        const double factor = fmin(1, (double)clip / (sqrt(norm) + 1e-6));
        assert_true(i == 0 ? factor < 1 : factor == 1);
        interp_step(&in, &program, NULL);
        for (int32_t k = 0; k < 7; k++) {
            const double after = (double)(k < 3 ? ((float *)in.memory[0][a.id])[k]
                                                : ((float *)in.memory[0][b.id])[k - 3]);
            assert_true(fabs(after - (before[k] - 0.5 * factor * grad[k])) < 1e-6);
        }
        interp_free(&in);
        tutti_arena_free(&arena);
        tutti_graph_free(g);
    }
}

static void test_states(void **state) {
    (void)state;
    static const struct {
        tutti_optimizer options;
        const char *names[4];
        float lr;
    } cases[] = {{{.kind = TUTTI_SGD}, {NULL}, 0.01F},
                 {{.kind = TUTTI_SGD, .momentum = 0.9F}, {"w.momentum"}, 0.01F},
                 {{.kind = TUTTI_ADAM}, {"w.m", "w.v"}, 0.001F},
                 {{.kind = TUTTI_ADAMW, .lr = 0.125F}, {"w.m", "w.v"}, 0.125F},
                 {{.kind = TUTTI_LAMB}, {"w.m", "w.v"}, 0.001F},
                 {{.kind = TUTTI_ADAGRAD}, {"w.sum"}, 0.01F},
                 {{.kind = TUTTI_RMSPROP}, {"w.square"}, 0.01F},
                 {{.kind = TUTTI_RMSPROP, .momentum = 0.5F, .centered = true},
                  {"w.square", "w.mean", "w.momentum"},
                  0.01F}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_tensor w;
        tutti_graph *g = toy(NULL, &w);
        assert_int_equal(tutti_graph_optimize(g, &cases[i].options), TUTTI_OK);
        int32_t found = 0, states = 0;
        for (; cases[i].names[found] != NULL; found++)
            assert_int_not_equal(tutti_graph_find(g, cases[i].names[found]).id, 0);
        for (int32_t t = 1; t < g->n_tensors; t++)
            states += g->tensors[t].kind == TUTTI_TENSOR_STATE;
        assert_int_equal(states, found);
        assert_string_equal(g->scalars[0].name, "lr");
        assert_true(g->scalars[0].initial == cases[i].lr);
        tutti_graph_free(g);
    }
}

static void quiet(void *user, tutti_log_level level, const char *message) {
    (void)user, (void)level, (void)message;
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
