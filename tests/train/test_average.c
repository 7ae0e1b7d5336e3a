/* Averages of the weights in the trainer: put in the place of the weights and back, validated, and
 * kept with the best weights. */
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

enum { FEATURES = 5, CLASSES = 3, WEIGHTS = FEATURES * CLASSES + CLASSES, EPOCHS = 12 };

static uint64_t seed;
static tutti_profile *profile;
static tutti_runtime *runtime;

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s: %s", tutti_status_name(status), tutti_error_message());
}

static tutti_dataset *make_data(int64_t n, uint64_t stream) {
    const tutti_shape x_shape = {2, true, {1, FEATURES}}, y_shape = {1, true, {1}};
    float *x = malloc((size_t)n * FEATURES * sizeof *x);
    int32_t *y = malloc((size_t)n * sizeof *y);
    tutti_dataset *set;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, stream);
    for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < FEATURES; k++)
            x[i * FEATURES + k] = tutti_rng_normal(&rng);
        y[i] = x[i * FEATURES] > 0 ? 2 : x[i * FEATURES + 1] > 0 ? 1 : 0;
        if (tutti_rng_below(&rng, 4) == 0)
            y[i] = (int32_t)tutti_rng_below(&rng, CLASSES);
    }
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

static bench bench_open(const tutti_optimizer *optimizer) {
    bench b = {.train = make_data(40, 1), .validation = make_data(30, 2)};
    ok(tutti_graph_make(&b.graph));
    tutti_graph *g = b.graph;
    const tutti_tensor x =
        tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    const tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    const tutti_tensor logits = tutti_nn_linear(g, x, CLASSES, "head", NULL);
    (void)tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y));
    (void)tutti_graph_set_output(g, "logits", logits);
    ok(tutti_graph_optimize(g, optimizer));
    ok(tutti_graph_freeze(g));
    ok(tutti_trainer_open(g, runtime, &(tutti_trainer_options){.batch = 8, .seed = seed},
                          &b.trainer));
    return b;
}

static void bench_close(bench *b) {
    tutti_trainer_close(b->trainer);
    tutti_graph_free(b->graph);
    tutti_dataset_free(b->train);
    tutti_dataset_free(b->validation);
}

static void read_weights(tutti_trainer *trainer, const tutti_graph *g, bool average, float *out) {
    memset(out, 0xFF, WEIGHTS * sizeof *out);
    for (int32_t i = 0; i < tutti_graph_param_count(g); i++) {
        tutti_tensor tensor = tutti_graph_param_at(g, i);
        if (average)
            tensor = tutti_graph_average(g, tensor);
        assert_int_not_equal(tensor.id, 0);
        const tutti_shape shape = tutti_graph_tensor_shape(g, tensor);
        const size_t count = (size_t)tutti_shape_count(&shape, 0);
        ok(tutti_run_read(tutti_trainer_run(trainer), tensor, out, count * sizeof *out));
        out += count;
    }
}

static const tutti_optimizer averaging = {.kind = TUTTI_SGD, .lr = 2, .average_decay = 0.9F};

static void averages_take_the_place_of_weights_and_leave_it(void **state) {
    (void)state;
    bench b = bench_open(&averaging);
    float weights[WEIGHTS], averages[WEIGHTS], now[WEIGHTS];
    char digest[65], other[65];
    tutti_metrics raw, averaged;
    ok(tutti_trainer_fit(b.trainer, b.train, &(tutti_fit_options){.epochs = 2}, NULL));
    read_weights(b.trainer, b.graph, false, weights);
    read_weights(b.trainer, b.graph, true, averages);
    assert_memory_not_equal(weights, averages, sizeof weights);
    ok(tutti_trainer_digest(b.trainer, digest));
    ok(tutti_trainer_evaluate(b.trainer, b.validation, &raw));

    ok(tutti_trainer_use_average(b.trainer, true));
    ok(tutti_trainer_use_average(b.trainer, true)); /* twice is as once */
    read_weights(b.trainer, b.graph, false, now);
    assert_memory_equal(now, averages, sizeof now);
    ok(tutti_trainer_digest(b.trainer, other));
    assert_string_not_equal(digest, other);
    ok(tutti_trainer_evaluate(b.trainer, b.validation, &averaged));
    assert_true(raw.loss != averaged.loss);
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train, NULL, NULL), TUTTI_STATE);
    assert_string_equal(tutti_error_message(),
                        "fit: the averages are in the place of the parameters");
    assert_int_equal(tutti_weights_load(b.trainer, "none"), TUTTI_STATE);

    ok(tutti_trainer_use_average(b.trainer, false));
    ok(tutti_trainer_use_average(b.trainer, false));
    read_weights(b.trainer, b.graph, false, now);
    assert_memory_equal(now, weights, sizeof now);
    read_weights(b.trainer, b.graph, true, now);
    assert_memory_equal(now, averages, sizeof now);
    ok(tutti_trainer_digest(b.trainer, other));
    assert_string_equal(digest, other);
    ok(tutti_trainer_fit(b.trainer, b.train, NULL, NULL));

    /* Closing while they are in place loses nothing. */
    ok(tutti_trainer_use_average(b.trainer, true));
    bench_close(&b);
}

static void before_the_first_update_both_are_the_same(void **state) {
    (void)state;
    tutti_optimizer slow = averaging;
    slow.accumulate = 100; /* more than the steps of the epoch */
    bench b = bench_open(&slow);
    float weights[WEIGHTS], now[WEIGHTS];
    read_weights(b.trainer, b.graph, false, weights);
    ok(tutti_trainer_fit(b.trainer, b.train, NULL, NULL));
    ok(tutti_trainer_use_average(b.trainer, true));
    read_weights(b.trainer, b.graph, false, now);
    assert_memory_equal(now, weights, sizeof now);
    ok(tutti_trainer_use_average(b.trainer, false));
    bench_close(&b);
}

static void without_averages_it_fails(void **state) {
    (void)state;
    bench b = bench_open(&(tutti_optimizer){.kind = TUTTI_SGD});
    assert_int_equal(tutti_trainer_use_average(b.trainer, true), TUTTI_STATE);
    assert_string_equal(tutti_error_message(), "average: the optimizer has no average_decay");
    ok(tutti_trainer_use_average(b.trainer, false));
    bench_close(&b);
}

typedef struct record {
    const tutti_graph *graph;
    float weights[EPOCHS][WEIGHTS], averages[EPOCHS][WEIGHTS];
    double val_loss[EPOCHS];
    int32_t epochs;
} record;

static tutti_status note(void *user, tutti_event event, const tutti_progress *progress,
                         tutti_trainer *trainer) {
    record *r = user;
    if (event != TUTTI_EVENT_EPOCH)
        return TUTTI_OK;
    read_weights(trainer, r->graph, false, r->weights[r->epochs]);
    read_weights(trainer, r->graph, true, r->averages[r->epochs]);
    r->val_loss[r->epochs++] = progress->val_loss;
    return TUTTI_OK;
}

static void the_best_weights_come_with_their_averages(void **state) {
    (void)state;
    bench b = bench_open(&averaging);
    record r = {.graph = b.graph};
    tutti_metrics metrics;
    float now[WEIGHTS];
    const tutti_callback callback = note;
    ok(tutti_trainer_fit(b.trainer, b.train,
                         &(tutti_fit_options){.epochs = EPOCHS,
                                              .validation = b.validation,
                                              .validate_average = true,
                                              .patience = 3,
                                              .callbacks = &callback,
                                              .callback_users = (void *[]){&r},
                                              .n_callbacks = 1},
                         NULL));
    int32_t best = 0;
    for (int32_t i = 1; i < r.epochs; i++)
        best = r.val_loss[i] < r.val_loss[best] ? i : best;
    printf("best epoch %d of %d\n", (int)best + 1, (int)r.epochs);
    read_weights(b.trainer, b.graph, false, now);
    assert_memory_equal(now, r.weights[best], sizeof now);
    read_weights(b.trainer, b.graph, true, now);
    assert_memory_equal(now, r.averages[best], sizeof now);
    ok(tutti_trainer_use_average(b.trainer, true));
    ok(tutti_trainer_evaluate(b.trainer, b.validation, &metrics));
    assert_true(metrics.loss == r.val_loss[best]);
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_take_the_place_of_weights_and_leave_it),
        cmocka_unit_test(before_the_first_update_both_are_the_same),
        cmocka_unit_test(without_averages_it_fails),
        cmocka_unit_test(the_best_weights_come_with_their_averages),
    };
    const char *wanted = getenv("TUTTI_TEST_SEED");
    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL) * 1000003U;
    printf("TUTTI_TEST_SEED=%llu\n", (unsigned long long)seed);
    static const char json[] = "{\"determinism\": \"reproducible\"}";
    if (tutti_profile_parse("test", json, sizeof json - 1, &profile) != TUTTI_OK ||
        tutti_runtime_open(profile, &runtime) != TUTTI_OK) {
        fprintf(stderr, "%s\n", tutti_error_message());
        return 1;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    return failed;
}
