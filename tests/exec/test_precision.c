/* Intermediate results in bf16 and f16: near to f32, whoever computes. Loss scaling: a step with
 * gradients that are not finite changes nothing, wherever they come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "exec/run.h"
#include "seed.h"
#include "tutti/tutti.h"

enum { SIDE = 6, FEATURES = 3 * SIDE * SIDE, HIDDEN = 40, CLASSES = 4, BATCH = 24, STEPS = 40 };
enum { PARAMS = 8, VALUES = 20000 };

static uint64_t seed;
/* One CPU cut in two, which share what is compiled. */
static tutti_profile *profile;
static tutti_runtime *runtime;

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s: %s", tutti_status_name(status), tutti_error_message());
}

typedef struct model {
    tutti_graph *graph;
    tutti_tensor x, y, loss;
    tutti_plan *plan;
    tutti_run *run;
} model;

static tutti_tensor build(tutti_graph *g, tutti_tensor x) {
    tutti_tensor h = tutti_reshape(g, x, 4, (int64_t[]){TUTTI_BATCH, 3, SIDE, SIDE});
    h = tutti_nn_conv2d(g, h, 5, 3, 3, "conv", &(tutti_conv2d_options){.padding = {1, 1}}, NULL);
    h = tutti_reshape(g, tutti_relu(g, h), 2, (int64_t[]){TUTTI_BATCH, 5 * SIDE * SIDE});
    h = tutti_gelu(g, tutti_nn_linear(g, h, HIDDEN, "first", NULL));
    const tutti_tensor r = tutti_tanh(g, tutti_nn_linear(g, h, HIDDEN, "second", NULL));
    return tutti_nn_linear(g, tutti_scale(g, tutti_softmax(g, tutti_add(g, h, r)), HIDDEN), CLASSES,
                           "head", NULL);
}

static void model_open(model *m, const tutti_optimizer *optimizer,
                       const tutti_plan_options *options) {
    ok(tutti_graph_make(&m->graph));
    tutti_graph *g = m->graph;
    m->x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    m->y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    m->loss = tutti_softmax_cross_entropy(g, build(g, m->x), m->y);
    (void)tutti_graph_set_loss(g, m->loss);
    ok(tutti_graph_optimize(g, optimizer));
    for (int32_t i = 0; i < tutti_graph_param_count(g); i++) {
        char name[16];
        snprintf(name, sizeof name, "grad%d", (int)i);
        ok(tutti_graph_set_output(g, name, tutti_graph_grad(g, tutti_graph_param_at(g, i))));
    }
    ok(tutti_graph_freeze(g));
    ok(tutti_plan_make(g, runtime, options, &m->plan));
    ok(tutti_run_open(m->plan, &(tutti_run_options){.seed = seed}, &m->run));
}

static void model_close(model *m) {
    tutti_run_close(m->run);
    tutti_plan_free(m->plan);
    tutti_graph_free(m->graph);
}

static const tutti_optimizer adam = {.kind = TUTTI_ADAM, .lr = 1e-2F};
static const tutti_optimizer scaled = {.kind = TUTTI_ADAM, .lr = 1e-2F, .loss_scale = 65536};

static void draw(int step, float *x, int32_t *y) {
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, (uint64_t)step + 1);
    for (int i = 0; i < BATCH; i++) {
        float sum[CLASSES] = {0};
        for (int k = 0; k < FEATURES; k++) {
            x[i * FEATURES + k] = tutti_rng_normal(&rng);
            sum[k % CLASSES] += x[i * FEATURES + k];
        }
        y[i] = 0;
        for (int c = 1; c < CLASSES; c++)
            y[i] = sum[c] > sum[y[i]] ? c : y[i];
    }
}

/* Gradients of all parameters, one behind the other; returns how many numbers. An index below 0 is a
 * batch of which one number is not finite. */
static size_t step(const model *m, int index, float *grads, float *out_loss) {
    float x[BATCH * FEATURES];
    int32_t y[BATCH];
    tutti_fetch fetches[PARAMS + 1] = {{m->loss, out_loss}};
    size_t at = 0;
    draw(abs(index), x, y);
    if (index < 0)
        x[tutti_rng_stream("bad") % (BATCH * FEATURES)] = INFINITY;
    assert_int_equal(tutti_graph_param_count(m->graph), PARAMS);
    for (int32_t i = 0; i < PARAMS; i++) {
        const tutti_tensor grad = tutti_graph_grad(m->graph, tutti_graph_param_at(m->graph, i));
        const tutti_shape shape = tutti_graph_tensor_shape(m->graph, grad);
        fetches[i + 1] = (tutti_fetch){grad, grads + at};
        at += (size_t)tutti_shape_count(&shape, 0);
        assert_true(at <= VALUES);
    }
    memset(grads, 0xFF, at * sizeof *grads);
    *out_loss = NAN;
    ok(tutti_run_step(m->run, TUTTI_TRAIN, BATCH, (tutti_feed[]){{m->x, x}, {m->y, y}}, 2, fetches,
                      PARAMS + 1));
    return at;
}

static double distance(const float *a, const float *b, size_t count) {
    double square = 0, difference = 0;
    for (size_t i = 0; i < count; i++) {
        square += (double)b[i] * (double)b[i];
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    return sqrt(difference / square);
}

static void runtime_open(void) {
    char path[4096];
    const char *root = getenv("TUTTI_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/samples/profiles/split-cpu.json", root != NULL ? root : ".");
    ok(tutti_profile_open(path, &profile));
    ok(tutti_runtime_open(profile, &runtime));
    assert_int_equal(tutti_runtime_device_count(runtime), 2);
}

static void check_explained(const model *exact, const model *rounded, const char *type) {
    char *text, found[64];
    ok(tutti_plan_explain(exact->plan, &text));
    assert_null(strstr(text, "f16"));
    tutti_free(text);
    ok(tutti_plan_explain(rounded->plan, &text));
    snprintf(found, sizeof found, "; results for each sample stored as %s", type);
    assert_non_null(strstr(text, found));
    snprintf(found, sizeof found, "Nx%d %s", HIDDEN, type);
    assert_non_null(strstr(text, found));
    tutti_free(text);
}

static void put_explained(const model *m, const char *text, bool expected) {
    char *plan;
    ok(tutti_plan_explain(m->plan, &plan));
    if ((strstr(plan, text) != NULL) != expected)
        fail_msg("\"%s\" is %sin: %s", text, expected ? "not " : "", plan);
    tutti_free(plan);
}

static void check_near(const tutti_optimizer *optimizer, const tutti_plan_options *options,
                       const char *type, double tolerance) {
    model exact, rounded;
    static float a[VALUES], b[VALUES];
    float loss_a = NAN, loss_b = NAN;
    model_open(&exact, &adam, &(tutti_plan_options){.batch = BATCH});
    model_open(&rounded, optimizer, options);
    if (type != NULL)
        check_explained(&exact, &rounded, type);
    for (int s = 0; s < STEPS; s++) {
        const size_t count = step(&exact, s, a, &loss_a);
        (void)step(&rounded, s, b, &loss_b);
        const double apart = distance(b, a, count);
        if (s == 0 && !(apart < tolerance && (apart > 1e-6 || type == NULL)))
            fail_msg("gradients are %g apart", apart);
        if (s == 0 && !(fabs((double)loss_a - (double)loss_b) < tolerance))
            fail_msg("losses %g and %g", (double)loss_a, (double)loss_b);
    }
    print_message("last loss: f32 %g, %s %g\n", (double)loss_a, type != NULL ? type : "scaled",
                  (double)loss_b);
    if (!(fabs((double)loss_a - (double)loss_b) < 0.1))
        fail_msg("after %d steps, losses %g and %g", STEPS, (double)loss_a, (double)loss_b);
    assert_int_equal(tutti_run_skipped(rounded.run), 0);
    assert_int_equal(tutti_run_steps(rounded.run), STEPS);
    model_close(&exact);
    model_close(&rounded);
}

static void training_is_near_to_f32(void **state) {
    (void)state;
    check_near(&adam, &(tutti_plan_options){.batch = BATCH, .precision = TUTTI_PRECISION_BF16},
               "bf16", 0.02);
    check_near(&scaled, &(tutti_plan_options){.batch = BATCH, .precision = TUTTI_PRECISION_F16},
               "f16", 0.005);
    check_near(&scaled, &(tutti_plan_options){.batch = BATCH}, NULL, 1e-5);
}

/* Whatever kernels win, products of rounded operands are as near as results stored in bf16. */
static void products_may_round(void **state) {
    (void)state;
    model exact, rounded;
    static float a[VALUES], b[VALUES];
    float loss_a = NAN, loss_b = NAN;
    model_open(&exact, &adam, &(tutti_plan_options){.batch = BATCH});
    model_open(&rounded, &adam,
               &(tutti_plan_options){.batch = BATCH, .matmul_precision = TUTTI_MATMUL_MEDIUM});
    put_explained(&exact, "round", false);
    put_explained(&exact, "cpu_bf16", false);
    put_explained(&rounded, "may round their operands to tf32 or bf16", true);
    const size_t count = step(&exact, 0, a, &loss_a);
    (void)step(&rounded, 0, b, &loss_b);
    if (!(distance(b, a, count) < 0.02) || !(fabs((double)loss_a - (double)loss_b) < 0.02))
        fail_msg("gradients are %g apart, losses %g and %g", distance(b, a, count), (double)loss_a,
                 (double)loss_b);
    model_close(&exact);
    model_close(&rounded);
}

/* One half of the CPU stores f32, the other bf16: what they exchange is f32. */
static void devices_may_differ(void **state) {
    (void)state;
    const tutti_precision mixed[] = {TUTTI_PRECISION_F32, TUTTI_PRECISION_BF16};
    check_near(&adam, &(tutti_plan_options){.batch = BATCH, .device_precision = mixed}, "bf16",
               0.02);
}

/* Parameters and the optimizer's states. */
static size_t read_all(const model *m, float *out) {
    size_t at = 0;
    for (uint32_t id = 1; id < (uint32_t)m->graph->n_tensors; id++) {
        const tutti_tensor_record *record = &m->graph->tensors[id];
        if (record->kind != TUTTI_TENSOR_PARAM && record->kind != TUTTI_TENSOR_STATE)
            continue;
        const size_t count = (size_t)tutti_shape_count(&record->type.shape, 0);
        assert_true(at + count <= (size_t)5 * VALUES);
        ok(tutti_run_read(m->run, (tutti_tensor){id}, out + at, count * sizeof *out));
        at += count;
    }
    return at;
}

static float scale_of(const model *m) {
    float scale = NAN;
    ok(tutti_run_get_scalar(m->run, "loss_scale", &scale));
    return scale;
}

/* A run that meets bad batches ends where one ends that never met them, bit by bit. */
static void check_skipping(const tutti_optimizer *optimizer, const double *shares) {
    static float before[5 * VALUES], after[5 * VALUES], grads[VALUES];
    model smooth, rough;
    float loss;
    model_open(&smooth, optimizer, &(tutti_plan_options){.batch = BATCH});
    model_open(&rough, optimizer, &(tutti_plan_options){.batch = BATCH});
    ok(tutti_run_set_shares(smooth.run, shares));
    ok(tutti_run_set_shares(rough.run, shares));
    for (int s = 0; s < 6; s++) {
        (void)step(&smooth, s, grads, &loss);
        for (int bad = 0; bad < (s == 1 ? 2 : s == 3); bad++) {
            const float scale = scale_of(&rough);
            const size_t count = read_all(&rough, before);
            (void)step(&rough, -1 - s, grads, &loss);
            assert_int_equal(read_all(&rough, after), count);
            assert_memory_equal(before, after, count * sizeof *before);
            assert_int_equal(tutti_run_steps(rough.run), s);
            assert_true(scale_of(&rough) == scale / 2);
        }
        (void)step(&rough, s, grads, &loss);
        const size_t count = read_all(&rough, after);
        assert_int_equal(read_all(&smooth, before), count);
        assert_memory_equal(before, after, count * sizeof *before);
    }
    assert_int_equal(tutti_run_skipped(rough.run), 3);
    assert_int_equal(tutti_run_steps(rough.run), 6);
    assert_true(scale_of(&smooth) == optimizer->loss_scale);
    assert_true(scale_of(&rough) == optimizer->loss_scale / 8);
    model_close(&smooth);
    model_close(&rough);
}

static void a_skipped_step_changes_nothing(void **state) {
    (void)state;
    const double alone[] = {1, 0}, both[] = {0.5, 0.5}, other[] = {0, 1};
    check_skipping(&scaled, alone);
    check_skipping(&(tutti_optimizer){.kind = TUTTI_SGD,
                                      .lr = 0.1F,
                                      .momentum = 0.9F,
                                      .clip_norm = 0.5F,
                                      .average_decay = 0.9F,
                                      .loss_scale = 1024},
                   both);
    check_skipping(&(tutti_optimizer){.kind = TUTTI_ADAMW, .accumulate = 3, .loss_scale = 65536},
                   other);
}

static void the_scale_grows(void **state) {
    (void)state;
    static float grads[VALUES];
    float loss;
    model m;
    model_open(&m, &scaled,
               &(tutti_plan_options){.batch = BATCH, .precision = TUTTI_PRECISION_F16});
    ok(tutti_run_set_scalar(m.run, "loss_scale", 1024));
    m.run->n_good = TUTTI_LOSS_SCALE_GROWTH - 2;
    (void)step(&m, 0, grads, &loss);
    assert_true(scale_of(&m) == 1024);
    (void)step(&m, 1, grads, &loss);
    assert_true(scale_of(&m) == 2048);
    model_close(&m);
    /* The largest scale is too much for gradients in f16, which products read. */
    model_open(&m, &scaled,
               &(tutti_plan_options){.batch = BATCH, .precision = TUTTI_PRECISION_BF16});
    m.run->n_good = TUTTI_LOSS_SCALE_GROWTH - 1;
    ok(tutti_run_set_scalar(m.run, "loss_scale", 0x1p24F));
    assert_int_equal(m.run->n_good, 0);
    m.run->n_good = TUTTI_LOSS_SCALE_GROWTH - 1;
    (void)step(&m, 2, grads, &loss);
    assert_true(scale_of(&m) == 0x1p24F);
    ok(tutti_run_set_scalar(m.run, "loss_scale", 1));
    (void)step(&m, -1, grads, &loss);
    assert_true(scale_of(&m) == 1);
    assert_int_equal(tutti_run_set_scalar(m.run, "loss_scale", 3), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_run_set_scalar(m.run, "loss_scale.inverse", 1), TUTTI_INVALID_ARGUMENT);
    model_close(&m);
}

static tutti_graph *small_graph(const tutti_optimizer *optimizer) {
    tutti_graph *g;
    ok(tutti_graph_make(&g));
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 3});
    const tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    (void)tutti_graph_set_loss(
        g, tutti_softmax_cross_entropy(g, tutti_nn_linear(g, x, 2, "head", NULL), y));
    ok(tutti_graph_optimize(g, optimizer));
    ok(tutti_graph_freeze(g));
    return g;
}

/* Inputs so large that only small scales leave the weight's gradient finite. */
static void overflow_lowers_the_scale(void **state) {
    (void)state;
    tutti_graph *g = small_graph(&scaled);
    tutti_plan *plan;
    tutti_run *run;
    ok(tutti_plan_make(g, runtime, &(tutti_plan_options){.batch = 1}, &plan));
    ok(tutti_run_open(plan, NULL, &run));
    const float x[3] = {2e33F, -1e33F, 0}, weight[6] = {1e-34F, 0, 0, 0, 1e-34F, 0};
    const int32_t y = 1;
    ok(tutti_run_write(run, tutti_graph_find(g, "head.weight"), weight, sizeof weight));
    ok(tutti_run_set_scalar(run, "loss_scale", 0x1p24F));
    const tutti_feed feeds[] = {{tutti_graph_find(g, "x"), x}, {tutti_graph_find(g, "y"), &y}};
    for (int i = 0; i < 20 && tutti_run_steps(run) == 0; i++)
        ok(tutti_run_step(run, TUTTI_TRAIN, 1, feeds, 2, NULL, 0));
    float scale = NAN;
    ok(tutti_run_get_scalar(run, "loss_scale", &scale));
    print_message("%d steps were skipped, the scale is %g\n", (int)tutti_run_skipped(run),
                  (double)scale);
    assert_int_equal(tutti_run_steps(run), 1);
    assert_true(tutti_run_skipped(run) > 2);
    assert_true((double)scale * exp2((double)tutti_run_skipped(run)) == 0x1p24);
    tutti_run_close(run);
    tutti_plan_free(plan);
    tutti_graph_free(g);
}

/* A graph whose inner values f16 does not hold. */
static tutti_graph *large_graph(void) {
    tutti_graph *g;
    ok(tutti_graph_make(&g));
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 3});
    const tutti_tensor y = tutti_graph_input(g, "y", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 2});
    const tutti_tensor h = tutti_nn_linear(g, tutti_scale(g, x, 1e7F), 2, "head", NULL);
    (void)tutti_graph_set_loss(g, tutti_mse(g, tutti_scale(g, tutti_gelu(g, h), 1e-7F), y));
    ok(tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_SGD, .loss_scale = 4}));
    ok(tutti_graph_freeze(g));
    return g;
}

static void choose(const tutti_graph *g, tutti_precision wanted, tutti_precision expected) {
    tutti_precision chosen[2] = {TUTTI_PRECISION_AUTO, TUTTI_PRECISION_AUTO};
    char *text;
    ok(tutti_precision_choose(g, runtime,
                              &(tutti_plan_options){.batch = BATCH, .precision = wanted}, seed,
                              chosen, &text));
    for (int i = 0; i < 2; i++)
        if (chosen[i] != expected)
            fail_msg("device %d: %d, expected %d: %s", i, (int)chosen[i], (int)expected, text);
    tutti_free(text);
}

static void a_choice_is_tried(void **state) {
    (void)state;
    tutti_precision chosen[2];
    char *text = NULL;
    tutti_graph *g = small_graph(&adam);
    choose(g, TUTTI_PRECISION_F32, TUTTI_PRECISION_F32);
    choose(g, TUTTI_PRECISION_BF16, TUTTI_PRECISION_BF16);
    ok(tutti_precision_choose(g, runtime,
                              &(tutti_plan_options){.batch = 3, .precision = TUTTI_PRECISION_AUTO},
                              seed, chosen, &text));
    for (int i = 0; i < 2; i++)
        assert_true(chosen[i] == TUTTI_PRECISION_F32 || chosen[i] == TUTTI_PRECISION_BF16);
    assert_non_null(strstr(text, "a step of "));
    assert_null(strstr(text, "f16 taken: loss nan"));
    tutti_free(text);
    tutti_graph_free(g);
    g = large_graph();
    choose(g, TUTTI_PRECISION_BF16, TUTTI_PRECISION_BF16);
    assert_int_equal(tutti_precision_choose(
                         g, runtime,
                         &(tutti_plan_options){.batch = BATCH, .precision = TUTTI_PRECISION_F16},
                         seed, chosen, &text),
                     TUTTI_WRONG_RESULT);
    assert_null(text);
    assert_non_null(strstr(tutti_error_message(), "is too far from f32 in a trial step"));
    tutti_graph_free(g);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    tutti_graph *g = small_graph(&adam);
    tutti_plan *plan;
    tutti_plan_options options = {.batch = 4, .precision = TUTTI_PRECISION_F16};
    assert_int_equal(tutti_plan_make(g, runtime, &options, &plan), TUTTI_INVALID_ARGUMENT);
    assert_non_null(strstr(tutti_error_message(), "needs the optimizer's loss_scale"));
    options.precision = TUTTI_PRECISION_AUTO;
    assert_int_equal(tutti_plan_make(g, runtime, &options, &plan), TUTTI_INVALID_ARGUMENT);
    assert_non_null(strstr(tutti_error_message(), "auto is for tutti_precision_choose"));
    options.precision = (tutti_precision)99;
    assert_int_equal(tutti_plan_make(g, runtime, &options, &plan), TUTTI_INVALID_ARGUMENT);
    options = (tutti_plan_options){.batch = 4, .matmul_precision = (tutti_matmul_precision)7};
    assert_int_equal(tutti_plan_make(g, runtime, &options, &plan), TUTTI_INVALID_ARGUMENT);
    assert_non_null(strstr(tutti_error_message(), "7 is no precision of products"));
    tutti_graph_free(g);
    const float bad[] = {-1, 0.5F, 3, 0x1p25F, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(tutti_graph_make(&g));
        assert_int_equal(tutti_graph_optimize(g, &(tutti_optimizer){.loss_scale = bad[i]}),
                         TUTTI_INVALID_ARGUMENT);
        assert_non_null(strstr(tutti_error_message(), "must be a power of two from 1 to 2^24"));
        tutti_graph_free(g);
    }
}

static int close_all(void **state) {
    (void)state;
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    return 0;
}

static int open_all(void **state) {
    (void)state;
    runtime_open();
    return 0;
}

int main(void) {
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_is_near_to_f32), cmocka_unit_test(devices_may_differ),
        cmocka_unit_test(products_may_round),      cmocka_unit_test(a_skipped_step_changes_nothing),
        cmocka_unit_test(the_scale_grows),         cmocka_unit_test(overflow_lowers_the_scale),
        cmocka_unit_test(a_choice_is_tried),       cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
