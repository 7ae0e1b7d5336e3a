/* A small trainer on the devices of this machine: softmax regression on random samples. Included by
 * one file per test program. */
#ifndef TESTS_TRAIN_FIXTURE_H
#define TESTS_TRAIN_FIXTURE_H

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
#include "data/data.h"
#include "seed.h"
#include "tutti/tutti.h"

enum { FEATURES = 6, CLASSES = 3, TRAIN_N = 50, BATCH = 16, STEPS = 4 }; /* 16 + 16 + 16 + 2 */

static tutti_profile *profile;
static tutti_runtime *runtime;
static uint64_t seed;

static inline void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s: %s", tutti_status_name(status), tutti_error_message());
}

static inline void assert_message(const char *wanted) {
    if (strstr(tutti_error_message(), wanted) == NULL)
        fail_msg("message \"%s\" does not contain \"%s\"", tutti_error_message(), wanted);
}

static inline tutti_tensor normalised(tutti_graph *g, tutti_tensor x) {
    const int64_t n = FEATURES;
    const tutti_init one = {.kind = TUTTI_INIT_CONSTANT, .a = 1}, zero = {0};
    return tutti_batch_norm(g, x, tutti_graph_param(g, "gamma", 1, &n, one),
                            tutti_graph_param(g, "beta", 1, &n, zero),
                            tutti_graph_state(g, "mean", 1, &n, zero),
                            tutti_graph_state(g, "var", 1, &n, one), 0.1F, 1e-5F);
}

/* Softmax regression; with `norm` behind batch normalisation. */
static inline tutti_graph *make_graph(const tutti_optimizer *optimizer, bool norm) {
    tutti_graph *g;
    ok(tutti_graph_make(&g));
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor logits = tutti_nn_linear(g, norm ? normalised(g, x) : x, CLASSES, "head", NULL);
    tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y));
    tutti_graph_set_output(g, "logits", logits);
    tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, y));
    if (optimizer != NULL)
        tutti_graph_optimize(g, optimizer);
    ok(tutti_graph_freeze(g));
    return g;
}

static const tutti_optimizer sgd = {.kind = TUTTI_SGD, .lr = 0.1F};

/* Random samples whose class depends on the features, with some at random. */
static inline tutti_dataset *make_data(int64_t n, uint64_t stream) {
    const tutti_shape x_shape = {3, true, {1, 2, FEATURES / 2}}, y_shape = {1, true, {1}};
    float *x = malloc((size_t)n * FEATURES * sizeof *x);
    int32_t *y = malloc((size_t)n * sizeof *y);
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, stream);
    for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < FEATURES; k++)
            x[i * FEATURES + k] = tutti_rng_normal(&rng);
        y[i] = x[i * FEATURES] > 0.5F ? 2 : x[i * FEATURES + 1] > 0 ? 1 : 0;
        if (tutti_rng_below(&rng, 8) == 0)
            y[i] = (int32_t)tutti_rng_below(&rng, CLASSES);
    }
    tutti_dataset *set;
    ok(tutti_dataset_make(n, &x_shape, x, TUTTI_I32, &y_shape, y, &set));
    free(x);
    free(y);
    return set;
}

typedef struct bench {
    tutti_graph *graph;
    tutti_trainer *trainer;
    tutti_dataset *train, *validation;
} bench;

static inline bench make_bench_with(const tutti_optimizer *optimizer, bool norm) {
    bench b = {.graph = make_graph(optimizer, norm)};
    b.train = make_data(TRAIN_N, 1);
    b.validation = make_data(35, 2);
    ok(tutti_trainer_open(
        b.graph, runtime,
        &(tutti_trainer_options){.accuracy = "accuracy", .batch = BATCH, .seed = seed},
        &b.trainer));
    return b;
}

static inline bench make_bench(void) {
    return make_bench_with(&sgd, false);
}

static inline void free_bench(bench *b) {
    tutti_trainer_close(b->trainer);
    tutti_graph_free(b->graph);
    tutti_dataset_free(b->train);
    tutti_dataset_free(b->validation);
}

static inline int open_runtime(void **state) {
    (void)state;
    seed = test_seed();
    /* Candidates are not what these tests are about. */
    static const char json[] = "{\"determinism\": \"reproducible\"}";
    if (tutti_profile_parse("test", json, sizeof json - 1, &profile) != TUTTI_OK ||
        tutti_runtime_open(profile, &runtime) != TUTTI_OK) {
        print_error("%s\n", tutti_error_message());
        return -1;
    }
    return 0;
}

static inline int close_runtime(void **state) {
    (void)state;
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    return 0;
}

#endif
