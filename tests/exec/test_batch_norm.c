/* Training with batch normalisation gives the same numbers on one device as on two that share the
 * batch in any way, and evaluation with the running statistics too; the statistics are those of the
 * definition. The data lie far from zero, where E[x^2] - E[x]^2 would have no digits left. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "seed.h"
#include "tutti/tutti.h"

enum { BATCH = 33, C = 4, H = 5, W = 3, FEATURES = C * H * W, HIDDEN = 6, CLASSES = 3, STEPS = 8 };
#define MOMENTUM 0.2F
#define EPS      1e-3F

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

typedef struct model {
    tutti_graph *graph;
    tutti_tensor x, y, loss, logits, mean, var;
} model;

static tutti_tensor norm(tutti_graph *g, tutti_tensor x, int64_t c, const char *name) {
    char names[4][32];
    static const char *const suffix[] = {"gamma", "beta", "mean", "var"};
    for (int i = 0; i < 4; i++)
        snprintf(names[i], sizeof names[i], "%s.%s", name, suffix[i]);
    const tutti_init one = {TUTTI_INIT_CONSTANT, 1, 0}, spread = {TUTTI_INIT_UNIFORM, 0.5F, 1.5F};
    return tutti_batch_norm(g, x, tutti_graph_param(g, names[0], 1, &c, spread),
                            tutti_graph_param(g, names[1], 1, &c, spread),
                            tutti_graph_state(g, names[2], 1, &c, (tutti_init){0}),
                            tutti_graph_state(g, names[3], 1, &c, one), MOMENTUM, EPS);
}

static void make(model *m) {
    ok(tutti_graph_make(&m->graph));
    tutti_graph *g = m->graph;
    m->x = tutti_graph_input(g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, C, H, W});
    m->y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor h = tutti_tanh(g, norm(g, m->x, C, "first"));
    h = tutti_reshape(g, h, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    h = tutti_tanh(g, norm(g, tutti_nn_linear(g, h, HIDDEN, "hidden", NULL), HIDDEN, "second"));
    m->logits = tutti_nn_linear(g, h, CLASSES, "head", NULL);
    m->loss = tutti_softmax_cross_entropy(g, m->logits, m->y);
    m->mean = tutti_graph_find(g, "first.mean");
    m->var = tutti_graph_find(g, "first.var");
    ok(tutti_graph_set_loss(g, m->loss));
    ok(tutti_graph_set_output(g, "logits", m->logits));
    ok(tutti_graph_optimize(g,
                            &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.05F, .momentum = 0.5F}));
    ok(tutti_graph_freeze(g));
}

typedef struct result {
    float loss[STEPS], eval_loss, logits[BATCH * CLASSES];
    float mean[C], var[C], gamma[C], beta[HIDDEN], second[HIDDEN], weight[HIDDEN * FEATURES];
} result;

static int64_t samples(int step) {
    return step % 3 == 2 ? BATCH / 2 : BATCH;
}

static void draw(uint64_t seed, int step, float *x, int32_t *y) {
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, (uint64_t)step + 1);
    for (int i = 0; i < BATCH; i++) {
        y[i] = (int32_t)tutti_rng_below(&rng, CLASSES);
        for (int k = 0; k < FEATURES; k++)
            x[i * FEATURES + k] =
                50 + 10 * (float)(k / (H * W)) + tutti_rng_normal(&rng) + 0.5F * (float)y[i];
    }
}

static void fetch(const model *m, tutti_run *run, const char *name, float *out, size_t size) {
    memset(out, 0xff, size);
    ok(tutti_run_read(run, tutti_graph_find(m->graph, name), out, size));
}

static void train(const model *m, tutti_plan *plan, const double *shares, uint64_t seed,
                  result *out) {
    static float x[BATCH * FEATURES];
    int32_t y[BATCH];
    tutti_run *run;
    memset(out, 0xff, sizeof *out);
    ok(tutti_run_open(plan, &(tutti_run_options){.seed = 3, .shares = shares}, &run));
    const tutti_feed feeds[] = {{m->x, x}, {m->y, y}};
    for (int step = 0; step < STEPS; step++) {
        draw(seed, step, x, y);
        ok(tutti_run_step(run, TUTTI_TRAIN, samples(step), feeds, 2,
                          &(tutti_fetch){m->loss, &out->loss[step]}, 1));
    }
    draw(seed, 0, x, y);
    const tutti_fetch fetches[] = {{m->loss, &out->eval_loss}, {m->logits, out->logits}};
    ok(tutti_run_step(run, TUTTI_EVAL, BATCH, feeds, 2, fetches, 2));
    float predicted[BATCH * CLASSES];
    memset(predicted, 0xff, sizeof predicted);
    ok(tutti_run_step(run, TUTTI_PREDICT, BATCH, feeds, 1, &(tutti_fetch){m->logits, predicted},
                      1));
    for (int i = 0; i < BATCH * CLASSES; i++)
        assert_true(fabsf(predicted[i] - out->logits[i]) < 1e-6F);
    fetch(m, run, "first.mean", out->mean, sizeof out->mean);
    fetch(m, run, "first.var", out->var, sizeof out->var);
    fetch(m, run, "first.gamma", out->gamma, sizeof out->gamma);
    fetch(m, run, "second.beta", out->beta, sizeof out->beta);
    fetch(m, run, "second.var", out->second, sizeof out->second);
    fetch(m, run, "hidden.weight", out->weight, sizeof out->weight);
    tutti_run_close(run);
}

static void same(const char *what, const double *shares, const float *got, const float *expected,
                 size_t count, double tolerance) {
    double largest = 0, off = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)expected[i]));
        const double difference = fabs((double)got[i] - (double)expected[i]);
        off = fmax(off, isfinite(difference) ? difference : INFINITY);
    }
    if (!(off <= tolerance * largest))
        fail_msg("%s, shares %g/%g: differs by %g of %g", what, shares[0], shares[1], off, largest);
}
#define SAME(member)                                                                               \
    same(#member, shares[s], (const float *)&got.member, (const float *)&alone.member,             \
         sizeof got.member / sizeof(float), 1e-5)

/* The running statistics by their definition. */
static void check_statistics(const result *r, uint64_t seed) {
    static float x[BATCH * FEATURES];
    int32_t y[BATCH];
    for (int c = 0; c < C; c++) {
        double running_mean = 0, running_var = 1;
        for (int step = 0; step < STEPS; step++) {
            const int64_t n = samples(step), count = n * H * W;
            double mean = 0, squares = 0;
            draw(seed, step, x, y);
            for (int64_t i = 0; i < count; i++)
                mean += (double)x[(i / (H * W) * C + c) * H * W + i % (H * W)] / (double)count;
            for (int64_t i = 0; i < count; i++)
                squares += pow((double)x[(i / (H * W) * C + c) * H * W + i % (H * W)] - mean, 2);
            running_mean = 0.8 * running_mean + 0.2 * mean;
            running_var = 0.8 * running_var + 0.2 * squares / (double)(count - 1);
        }
        assert_true(fabs((double)r->mean[c] - running_mean) < 1e-6 * running_mean);
        if (!(fabs((double)r->var[c] - running_var) < 1e-5 * running_var))
            fail_msg("running_var[%d] is %.9g, expected %.9g", c, (double)r->var[c], running_var);
    }
}

static tutti_runtime *open_devices(const char *json, tutti_profile **profile) {
    tutti_runtime *runtime;
    ok(tutti_profile_parse("test", json, strlen(json), profile));
    ok(tutti_runtime_open(*profile, &runtime));
    return runtime;
}

static void test_splits(void **state) {
    (void)state;
    static const double shares[][2] = {{1, 0}, {0.5, 0.5}, {0.97, 0.03}, {0, 1}};
    const uint64_t seed = test_seed();
    tutti_profile *profiles[2];
    tutti_runtime *one =
        open_devices("{\"determinism\": \"reproducible\", \"devices\": [{\"match\": "
                     "{\"platform\": \"Portable*\", \"index\": 0}}]}",
                     &profiles[0]);
    tutti_runtime *two =
        open_devices("{\"determinism\": \"reproducible\", \"devices\": [{\"match\": "
                     "{\"platform\": \"Portable*\"}, \"partition\": [1, 1]}]}",
                     &profiles[1]);
    assert_int_equal(tutti_runtime_device_count(two), 2);
    model m;
    tutti_plan *plan;
    static result alone, got;
    make(&m);
    ok(tutti_plan_make(m.graph, one, &(tutti_plan_options){.batch = BATCH}, &plan));
    train(&m, plan, NULL, seed, &alone);
    tutti_plan_free(plan);
    assert_true(alone.loss[STEPS - 1] < alone.loss[0]);
    check_statistics(&alone, seed);
    ok(tutti_plan_make(m.graph, two, &(tutti_plan_options){.batch = BATCH}, &plan));
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
        train(&m, plan, shares[s], seed, &got);
        check_statistics(&got, seed);
        SAME(loss);
        SAME(eval_loss);
        SAME(logits);
        SAME(mean);
        SAME(var);
        SAME(gamma);
        SAME(beta);
        SAME(second);
        SAME(weight);
    }
    tutti_plan_free(plan);
    tutti_graph_free(m.graph);
    tutti_runtime_close(two);
    tutti_runtime_close(one);
    tutti_profile_free(profiles[1]);
    tutti_profile_free(profiles[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_splits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
