/* K batches of n samples with accumulated gradients train as one batch of K n: on the devices that
 * are there, and on one CPU cut in two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "tutti/tutti.h"

enum { FEATURES = 7, HIDDEN = 12, CLASSES = 3, K = 4, SMALL = 6, UPDATES = 5 };
enum { WEIGHTS = HIDDEN * FEATURES + HIDDEN + CLASSES * HIDDEN + CLASSES };

static uint64_t seed;

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

static void model_open(model *m, tutti_runtime *runtime, tutti_optimizer optimizer,
                       int32_t accumulate, int64_t batch) {
    optimizer.accumulate = accumulate;
    ok(tutti_graph_make(&m->graph));
    tutti_graph *g = m->graph;
    m->x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    m->y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    const tutti_tensor hidden = tutti_tanh(g, tutti_nn_linear(g, m->x, HIDDEN, "hidden", NULL));
    m->loss =
        tutti_softmax_cross_entropy(g, tutti_nn_linear(g, hidden, CLASSES, "head", NULL), m->y);
    (void)tutti_graph_set_loss(g, m->loss);
    ok(tutti_graph_optimize(g, &optimizer));
    ok(tutti_graph_freeze(g));
    ok(tutti_plan_make(g, runtime, &(tutti_plan_options){.batch = batch}, &m->plan));
    ok(tutti_run_open(m->plan, &(tutti_run_options){.seed = seed}, &m->run));
}

static void model_close(model *m) {
    tutti_run_close(m->run);
    tutti_plan_free(m->plan);
    tutti_graph_free(m->graph);
}

static void read_weights(const model *m, float *out) {
    memset(out, 0xFF, WEIGHTS * sizeof *out);
    for (int32_t i = 0; i < tutti_graph_param_count(m->graph); i++) {
        const tutti_tensor param = tutti_graph_param_at(m->graph, i);
        const tutti_shape shape = tutti_graph_tensor_shape(m->graph, param);
        const size_t count = (size_t)tutti_shape_count(&shape, 0);
        ok(tutti_run_read(m->run, param, out, count * sizeof *out));
        out += count;
    }
}

static float step(const model *m, int64_t n, const float *x, const int32_t *y) {
    float loss = NAN;
    ok(tutti_run_step(m->run, TUTTI_TRAIN, n, (tutti_feed[]){{m->x, x}, {m->y, y}}, 2,
                      &(tutti_fetch){m->loss, &loss}, 1));
    return loss;
}

static void check(tutti_runtime *runtime, const tutti_optimizer *optimizer, double tolerance) {
    model many, one;
    float x[K * SMALL * FEATURES], before[WEIGHTS], after[WEIGHTS], expected[WEIGHTS];
    int32_t y[K * SMALL];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    model_open(&many, runtime, *optimizer, K, SMALL);
    model_open(&one, runtime, *optimizer, 0, K * SMALL);
    assert_int_equal(tutti_graph_steps_per_update(many.graph), K);
    assert_int_equal(tutti_graph_steps_per_update(one.graph), 1);
    read_weights(&many, before);
    for (int update = 0; update < UPDATES; update++) {
        double mean = 0;
        for (int i = 0; i < K * SMALL * FEATURES; i++)
            x[i] = tutti_rng_normal(&rng);
        for (int i = 0; i < K * SMALL; i++)
            y[i] = (int32_t)tutti_rng_below(&rng, CLASSES);
        for (int k = 0; k < K; k++) {
            mean += (double)step(&many, SMALL, x + k * SMALL * FEATURES, y + k * SMALL) / K;
            read_weights(&many, after);
            if (k < K - 1)
                assert_memory_equal(before, after, sizeof before);
            else
                assert_memory_not_equal(before, after, sizeof before);
        }
        memcpy(before, after, sizeof before);
        /* The loss of the same weights: what each device computed with was up to date. */
        const double loss = (double)step(&one, K * SMALL, x, y);
        if (!(fabs(loss - mean) < 2e-6))
            fail_msg("update %d: loss %.9g, of the whole batch %.9g", update, mean, loss);
        read_weights(&one, expected);
        for (int i = 0; i < WEIGHTS; i++)
            if (!(fabs((double)after[i] - (double)expected[i]) < tolerance))
                fail_msg("update %d, weight %d: %.9g, of the whole batch %.9g", update, i,
                         (double)after[i], (double)expected[i]);
    }
    assert_int_equal(tutti_run_steps(many.run), K * UPDATES);
    model_close(&many);
    model_close(&one);
}

static void check_profile(const char *expression) {
    tutti_profile *profile;
    tutti_runtime *runtime;
    ok(tutti_profile_open(expression, &profile));
    ok(tutti_runtime_open(profile, &runtime));
    check(runtime, &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.5F, .momentum = 0.9F}, 1e-6);
    check(runtime,
          &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.5F, .clip_norm = 0.1F, .accumulate = 1},
          1e-6);
    /* eps keeps gradients that are nearly 0 from being blown up. */
    check(runtime, &(tutti_optimizer){.kind = TUTTI_ADAM, .lr = 0.01F, .eps = 1e-3F}, 1e-6);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
}

static void on_the_devices_present(void **state) {
    (void)state;
    check_profile("auto");
}

static void on_two_devices(void **state) {
    (void)state;
    char path[4096];
    const char *root = getenv("TUTTI_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/samples/profiles/split-cpu.json", root != NULL ? root : ".");
    check_profile(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(on_the_devices_present),
                                       cmocka_unit_test(on_two_devices)};
    const char *wanted = getenv("TUTTI_TEST_SEED");
    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL) * 1000003U;
    printf("TUTTI_TEST_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
