/* The trainer on the devices of this machine. */
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

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s: %s", tutti_status_name(status), tutti_error_message());
}

static void assert_message(const char *wanted) {
    if (strstr(tutti_error_message(), wanted) == NULL)
        fail_msg("message \"%s\" does not contain \"%s\"", tutti_error_message(), wanted);
}

static tutti_tensor normalised(tutti_graph *g, tutti_tensor x) {
    const int64_t n = FEATURES;
    const tutti_init one = {.kind = TUTTI_INIT_CONSTANT, .a = 1}, zero = {0};
    return tutti_batch_norm(g, x, tutti_graph_param(g, "gamma", 1, &n, one),
                            tutti_graph_param(g, "beta", 1, &n, zero),
                            tutti_graph_state(g, "mean", 1, &n, zero),
                            tutti_graph_state(g, "var", 1, &n, one), 0.1F, 1e-5F);
}

/* Softmax regression; with `norm` behind batch normalisation. */
static tutti_graph *make_graph(const tutti_optimizer *optimizer, bool norm) {
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
static tutti_dataset *make_data(int64_t n, uint64_t stream) {
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

static bench make_bench_with(const tutti_optimizer *optimizer, bool norm) {
    bench b = {.graph = make_graph(optimizer, norm)};
    b.train = make_data(TRAIN_N, 1);
    b.validation = make_data(35, 2);
    ok(tutti_trainer_open(
        b.graph, runtime,
        &(tutti_trainer_options){.accuracy = "accuracy", .batch = BATCH, .seed = seed},
        &b.trainer));
    return b;
}

static bench make_bench(void) {
    return make_bench_with(&sgd, false);
}

static void free_bench(bench *b) {
    tutti_trainer_close(b->trainer);
    tutti_graph_free(b->graph);
    tutti_dataset_free(b->train);
    tutti_dataset_free(b->validation);
}

static void read_weights(tutti_trainer *trainer, const tutti_graph *g, float *w, float *bias) {
    tutti_run *run = tutti_trainer_run(trainer);
    ok(tutti_run_read(run, tutti_graph_find(g, "head.weight"), w, CLASSES * FEATURES * sizeof *w));
    ok(tutti_run_read(run, tutti_graph_find(g, "head.bias"), bias, CLASSES * sizeof *bias));
}

/* Probabilities of one sample in double; returns its loss. */
static double forward(const double *w, const double *bias, const float *x, int32_t label,
                      double p[CLASSES]) {
    double sum = 0;
    for (int c = 0; c < CLASSES; c++) {
        double z = bias[c];
        for (int k = 0; k < FEATURES; k++)
            z += w[c * FEATURES + k] * (double)x[k];
        p[c] = exp(z);
        sum += p[c];
    }
    for (int c = 0; c < CLASSES; c++)
        p[c] /= sum;
    return -log(p[label]);
}

static void widen(const float *from, double *to, int n) {
    for (int i = 0; i < n; i++)
        to[i] = (double)from[i];
}

/* Two epochs of SGD, computed here in double over the same batches, with a smaller last batch. */
static void compare_with_sgd(const tutti_optimizer *optimizer) {
    bench b = make_bench_with(optimizer, false);
    int64_t clipped = 0;
    float w[CLASSES * FEATURES], bias[CLASSES];
    double rw[CLASSES * FEATURES], rb[CLASSES], losses[2] = {0};
    read_weights(b.trainer, b.graph, w, bias);
    widen(w, rw, CLASSES * FEATURES);
    widen(bias, rb, CLASSES);
    tutti_batcher *batches;
    ok(tutti_batcher_make(b.train, BATCH, &batches));
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        tutti_batcher_shuffle(batches, seed, epoch);
        const void *batch, *y;
        int64_t n;
        while ((n = tutti_batcher_next(batches, &batch, &y)) > 0) {
            const float *x = batch;
            double gw[CLASSES * FEATURES] = {0}, gb[CLASSES] = {0}, p[CLASSES];
            for (int64_t i = 0; i < n; i++) {
                const int32_t label = ((const int32_t *)y)[i];
                losses[epoch] += forward(rw, rb, x + i * FEATURES, label, p);
                for (int c = 0; c < CLASSES; c++) {
                    const double d = (p[c] - (c == label)) / (double)n;
                    gb[c] += d;
                    for (int k = 0; k < FEATURES; k++)
                        gw[c * FEATURES + k] += d * (double)x[i * FEATURES + k];
                }
            }
            double norm = 0, rate = 0.1;
            for (int i = 0; i < CLASSES * FEATURES; i++)
                norm += gw[i] * gw[i];
            for (int c = 0; c < CLASSES; c++)
                norm += gb[c] * gb[c];
            norm = sqrt(norm);
            if (optimizer->clip_norm > 0 && norm > (double)optimizer->clip_norm) {
                rate *= (double)optimizer->clip_norm / norm;
                clipped++;
            }
            for (int i = 0; i < CLASSES * FEATURES; i++)
                rw[i] -= rate * gw[i];
            for (int c = 0; c < CLASSES; c++)
                rb[c] -= rate * gb[c];
        }
    }
    tutti_batcher_free(batches);
    /* One epoch per call: the second call goes on where the first ended. */
    for (int epoch = 0; epoch < 2; epoch++) {
        tutti_metrics metrics;
        ok(tutti_trainer_fit(b.trainer, b.train, NULL, &metrics));
        assert_int_equal(metrics.samples, TRAIN_N);
        assert_true(fabs(metrics.loss - losses[epoch] / TRAIN_N) < 1e-5);
        assert_true(metrics.accuracy >= 0 && metrics.accuracy <= 1);
    }
    read_weights(b.trainer, b.graph, w, bias);
    for (int i = 0; i < CLASSES * FEATURES; i++)
        assert_true(fabs((double)w[i] - rw[i]) < 1e-5);
    for (int c = 0; c < CLASSES; c++)
        assert_true(fabs((double)bias[c] - rb[c]) < 1e-5);
    assert_int_equal(tutti_run_steps(tutti_trainer_run(b.trainer)), 2 * STEPS);
    assert_int_equal(clipped > 0, optimizer->clip_norm > 0);
    free_bench(&b);
}

static void fit_is_sgd(void **state) {
    (void)state;
    compare_with_sgd(&sgd);
}

static void gradients_are_clipped(void **state) {
    (void)state;
    compare_with_sgd(&(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.1F, .clip_norm = 0.25F});
}

static void predict_equals_evaluate(void **state) {
    (void)state;
    bench b = make_bench();
    ok(tutti_trainer_fit(b.trainer, b.train, &(tutti_fit_options){.epochs = 3}, NULL));
    tutti_metrics metrics;
    ok(tutti_trainer_evaluate(b.trainer, b.validation, &metrics));
    assert_int_equal(metrics.samples, 35);
    float logits[35 * CLASSES], w[CLASSES * FEATURES], bias[CLASSES];
    memset(logits, 0xFF, sizeof logits);
    ok(tutti_trainer_predict(b.trainer, b.validation->x, 35, logits));
    read_weights(b.trainer, b.graph, w, bias);
    double rw[CLASSES * FEATURES], rb[CLASSES], loss = 0, reference = 0, hits = 0;
    widen(w, rw, CLASSES * FEATURES);
    widen(bias, rb, CLASSES);
    for (int i = 0; i < 35; i++) {
        const int32_t label = ((int32_t *)b.validation->y)[i];
        double p[CLASSES], sum = 0;
        int best = 0;
        for (int c = 0; c < CLASSES; c++) {
            sum += exp((double)logits[i * CLASSES + c]);
            if (logits[i * CLASSES + c] > logits[i * CLASSES + best])
                best = c;
        }
        loss += log(sum) - (double)logits[i * CLASSES + label];
        hits += best == label;
        reference += forward(rw, rb, b.validation->x + i * FEATURES, label, p);
    }
    assert_true(fabs(metrics.loss - loss / 35) < 1e-5);
    assert_true(fabs(metrics.loss - reference / 35) < 1e-5);
    assert_true(fabs(metrics.accuracy - hits / 35) < 1e-6);
    free_bench(&b);
}

/* What a callback saw, and when it is to stop. */
typedef struct witness {
    int count[4];
    tutti_event last;
    int64_t stop_at; /* total steps; 0: never */
    tutti_status stop_with;
    double val_loss[64], lr[64 * STEPS];
    char digest[64][65];
    tutti_progress seen;
} witness;

static tutti_status watch(void *user, tutti_event event, const tutti_progress *p,
                          tutti_trainer *trainer) {
    witness *w = user;
    assert_true(w->last != TUTTI_EVENT_END); /* nothing follows the end */
    assert_int_equal(event == TUTTI_EVENT_BEGIN, w->count[0] == 0);
    w->count[event]++;
    w->last = event;
    w->seen = *p;
    if (event == TUTTI_EVENT_STEP) {
        assert_true(isnan(p->val_loss));
        assert_true(isfinite(p->loss) && isfinite(p->accuracy) && p->samples_per_s > 0);
        assert_true(p->eta_s >= 0 && p->elapsed_s > 0);
        assert_int_equal(p->step, (w->count[TUTTI_EVENT_STEP] - 1) % STEPS + 1);
        assert_int_equal(p->steps, STEPS);
        w->lr[w->count[TUTTI_EVENT_STEP] - 1] = p->lr;
    }
    if (event == TUTTI_EVENT_EPOCH) {
        assert_int_equal(p->epoch, w->count[TUTTI_EVENT_EPOCH]);
        w->val_loss[p->epoch] = p->val_loss;
        ok(tutti_trainer_digest(trainer, w->digest[p->epoch]));
    }
    return event == TUTTI_EVENT_STEP && w->stop_at > 0 && p->total_steps >= w->stop_at
               ? w->stop_with
               : TUTTI_OK;
}

static void callbacks(void **state) {
    (void)state;
    bench b = make_bench();
    witness first = {.last = TUTTI_EVENT_BEGIN}, second = {.last = TUTTI_EVENT_BEGIN};
    const tutti_callback functions[] = {watch, watch};
    void *users[] = {&first, &second};
    tutti_fit_options options = {.epochs = 3,
                                 .validation = b.validation,
                                 .callbacks = functions,
                                 .callback_users = users,
                                 .n_callbacks = 2};
    ok(tutti_trainer_fit(b.trainer, b.train, &options, NULL));
    const int expected[] = {1, 3 * STEPS, 3, 1};
    assert_memory_equal(first.count, expected, sizeof expected);
    assert_memory_equal(second.count, expected, sizeof expected);
    assert_true(isfinite(first.val_loss[3]) && first.seen.samples_per_s > 0);
    tutti_metrics metrics;
    ok(tutti_trainer_evaluate(b.trainer, b.validation, &metrics));
    assert_true(fabs(metrics.loss - first.val_loss[3]) < 1e-7);

    first = (witness){.stop_at = 3 * STEPS + STEPS + 2, .stop_with = TUTTI_STOPPED};
    second = (witness){0};
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train, &options, &metrics), TUTTI_STOPPED);
    assert_message("stopped by a callback in epoch 2, step 2");
    assert_int_equal(first.count[TUTTI_EVENT_END], 1);
    assert_int_equal(second.count[TUTTI_EVENT_END], 1);
    assert_int_equal(second.count[TUTTI_EVENT_STEP], STEPS + 1);
    assert_int_equal(metrics.samples, TRAIN_N); /* of the last whole epoch */

    first = (witness){.stop_at = 1, .stop_with = TUTTI_IO};
    second = (witness){0};
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train, &options, &metrics), TUTTI_IO);
    assert_true(isnan(metrics.loss));
    free_bench(&b);
}

static tutti_status fail_at_end(void *user, tutti_event event, const tutti_progress *progress,
                                tutti_trainer *trainer) {
    (void)progress;
    (void)trainer;
    return event == TUTTI_EVENT_END ? *(const tutti_status *)user : TUTTI_OK;
}

/* Every callback gets END, also behind one that fails there; the first failure is returned. */
static void end_reaches_all(void **state) {
    (void)state;
    bench b = make_bench();
    witness w = {0};
    tutti_status first = TUTTI_STOPPED, second = TUTTI_IO;
    const tutti_callback functions[] = {fail_at_end, fail_at_end, watch};
    void *users[] = {&first, &second, &w};
    const tutti_fit_options options = {
        .callbacks = functions, .callback_users = users, .n_callbacks = 3};
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train, &options, NULL), TUTTI_STOPPED);
    assert_message("stopped by a callback");
    assert_int_equal(w.count[TUTTI_EVENT_END], 1);
    assert_int_equal(w.count[TUTTI_EVENT_STEP], STEPS);
    free_bench(&b);
}

static void check_early_stop(bool norm) {
    bench b = make_bench_with(&sgd, norm);
    witness w = {0};
    const tutti_callback function = watch;
    void *user = &w;
    /* The rate grows with the epochs, so that the validation loss turns at some point. */
    const tutti_fit_options options = {
        .epochs = 60,
        .validation = b.validation,
        .schedule = {.kind = TUTTI_LR_STEP, .gamma = 1.5F, .every_epochs = 1},
        .patience = 3,
        .callbacks = &function,
        .callback_users = &user,
        .n_callbacks = 1};
    ok(tutti_trainer_fit(b.trainer, b.train, &options, NULL));
    int best = 1;
    const int epochs = w.count[TUTTI_EVENT_EPOCH];
    for (int e = 2; e <= epochs; e++)
        if (w.val_loss[e] < w.val_loss[best])
            best = e;
    print_message("best epoch %d of %d\n", best, epochs);
    assert_true(epochs < 60);
    assert_int_equal(epochs, best + 3);
    char digest[65];
    ok(tutti_trainer_digest(b.trainer, digest));
    assert_string_equal(digest, w.digest[best]);
    assert_string_not_equal(digest, w.digest[epochs]);
    tutti_metrics metrics;
    ok(tutti_trainer_evaluate(b.trainer, b.validation, &metrics));
    assert_true(fabs(metrics.loss - w.val_loss[best]) < 1e-7);
    /* The schedule was followed, and the base rate is back. */
    for (int e = 0; e < epochs; e++)
        assert_true(fabs(w.lr[e * STEPS] / (0.1 * pow(1.5, e)) - 1) < 1e-5);
    float lr;
    ok(tutti_run_get_scalar(tutti_trainer_run(b.trainer), "lr", &lr));
    assert_true(lr == 0.1F);
    free_bench(&b);
}

static void early_stop(void **state) {
    (void)state;
    check_early_stop(false);
}

/* The running statistics return to their best with the parameters. */
static void early_stop_with_states(void **state) {
    (void)state;
    check_early_stop(true);
}

static void equal_runs_are_equal(void **state) {
    (void)state;
    char digests[3][65];
    for (int i = 0; i < 3; i++) {
        seed += i == 2;
        bench b = make_bench();
        seed -= i == 2;
        ok(tutti_trainer_fit(b.trainer, b.train, &(tutti_fit_options){.epochs = 2}, NULL));
        ok(tutti_trainer_digest(b.trainer, digests[i]));
        free_bench(&b);
    }
    assert_int_equal(strlen(digests[0]), 64);
    /* Several devices may share batches by measured times: the same sums in another order. */
    if (tutti_runtime_device_count(runtime) == 1)
        assert_string_equal(digests[0], digests[1]);
    assert_string_not_equal(digests[0], digests[2]);
}

static void not_finite(void **state) {
    (void)state;
    bench b = make_bench();
    b.train->x[5 * FEATURES] = INFINITY;
    assert_int_equal(
        tutti_trainer_fit(b.trainer, b.train, &(tutti_fit_options){.epochs = 50}, NULL),
        TUTTI_BAD_INPUT);
    assert_message("in epoch 1, step ");
    free_bench(&b);
    b = make_bench();
    ((int32_t *)b.train->y)[7] = CLASSES; /* no such class */
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train, NULL, NULL), TUTTI_BAD_INPUT);
    assert_message("the loss is ");
    free_bench(&b);
    b = make_bench();
    b.validation->x[3] = NAN;
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train,
                                       &(tutti_fit_options){.validation = b.validation}, NULL),
                     TUTTI_BAD_INPUT);
    assert_message("fit: validation in epoch 1: evaluate: the loss is nan");
    tutti_metrics metrics = {0};
    b.validation->x[3] = 0;
    ((int32_t *)b.validation->y)[BATCH + 1] = CLASSES;
    assert_int_equal(tutti_trainer_evaluate(b.trainer, b.validation, &metrics), TUTTI_BAD_INPUT);
    assert_message("evaluate: the loss is nan, not finite from samples 16 to 31 on");
    assert_true(isnan(metrics.loss) && metrics.samples == b.validation->n);
    free_bench(&b);
}

/* Spoils the training set when an epoch is over. */
typedef struct spoiler {
    tutti_dataset *set;
    int32_t after_epoch;
} spoiler;

static tutti_status spoil(void *user, tutti_event event, const tutti_progress *progress,
                          tutti_trainer *trainer) {
    (void)trainer;
    const spoiler *s = user;
    if (event == TUTTI_EVENT_EPOCH && progress->epoch == s->after_epoch)
        for (int64_t i = 0; i < s->set->n; i++)
            s->set->x[i * FEATURES] = INFINITY;
    return TUTTI_OK;
}

static void weights_return_after_an_error(void **state) {
    (void)state;
    bench b = make_bench();
    witness w = {0};
    spoiler s = {b.train, 3};
    const tutti_callback functions[] = {watch, spoil};
    void *const users[] = {&w, &s};
    const tutti_fit_options options = {.epochs = 10,
                                       .validation = b.validation,
                                       .patience = 10,
                                       .callbacks = functions,
                                       .callback_users = users,
                                       .n_callbacks = 2};
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train, &options, NULL), TUTTI_BAD_INPUT);
    assert_message("in epoch 4, step 1");
    int best = 1;
    for (int e = 2; e <= 3; e++)
        if (w.val_loss[e] < w.val_loss[best])
            best = e;
    char digest[65];
    ok(tutti_trainer_digest(b.trainer, digest));
    assert_string_equal(digest, w.digest[best]);
    tutti_metrics metrics;
    ok(tutti_trainer_evaluate(b.trainer, b.validation, &metrics));
    assert_true(fabs(metrics.loss - w.val_loss[best]) < 1e-7);
    free_bench(&b);
}

static tutti_status fit_again(void *user, tutti_event event, const tutti_progress *progress,
                              tutti_trainer *trainer) {
    (void)progress;
    const tutti_status inner = tutti_trainer_fit(trainer, user, NULL, NULL);
    if (inner == TUTTI_STATE && strstr(tutti_error_message(), "from a callback") != NULL)
        return event == TUTTI_EVENT_STEP ? TUTTI_STOPPED : TUTTI_OK;
    return TUTTI_INTERNAL;
}

static void a_callback_may_not_fit(void **state) {
    (void)state;
    bench b = make_bench();
    const tutti_callback function = fit_again;
    void *const user = b.train;
    const tutti_fit_options options = {
        .callbacks = &function, .callback_users = &user, .n_callbacks = 1};
    assert_int_equal(tutti_trainer_fit(b.trainer, b.train, &options, NULL), TUTTI_STOPPED);
    ok(tutti_trainer_fit(b.trainer, b.train, NULL, NULL));
    free_bench(&b);
}

static void refuses(const bench *b, tutti_fit_options options, const char *message) {
    assert_int_equal(tutti_trainer_fit(b->trainer, b->train, &options, NULL),
                     TUTTI_INVALID_ARGUMENT);
    assert_message(message);
}

static void what_is_missing_is_refused(void **state) {
    (void)state;
    bench b = make_bench();
    tutti_metrics metrics;
    float out[CLASSES];
    const tutti_callback none = NULL;
    tutti_trainer *trainer;
    assert_int_equal(tutti_trainer_fit(b.trainer, NULL, NULL, NULL), TUTTI_INVALID_ARGUMENT);
    assert_message("fit: no data set");
    assert_int_equal(tutti_trainer_evaluate(b.trainer, NULL, &metrics), TUTTI_INVALID_ARGUMENT);
    assert_message("evaluate: no data set");
    assert_int_equal(tutti_trainer_evaluate(b.trainer, b.train, NULL), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_trainer_predict(b.trainer, NULL, 1, out), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_trainer_predict(b.trainer, b.train->x, 1, NULL), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_trainer_predict(b.trainer, b.train->x, -1, out), TUTTI_INVALID_ARGUMENT);
    ok(tutti_trainer_predict(b.trainer, NULL, 0, NULL));
    assert_int_equal(tutti_trainer_open(NULL, runtime, NULL, &trainer), TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_trainer_open(b.graph, NULL, NULL, &trainer), TUTTI_INVALID_ARGUMENT);
    const int64_t n = b.train->n;
    b.train->n = 0;
    refuses(&b, (tutti_fit_options){0}, "has no samples");
    b.train->n = n;
    refuses(&b, (tutti_fit_options){.schedule = {.kind = (tutti_lr_kind)9}}, "the kind 9");
    refuses(&b, (tutti_fit_options){.schedule = {.kind = TUTTI_LR_STEP, .gamma = NAN}},
            "gamma nan");
    refuses(&b, (tutti_fit_options){.schedule = {.kind = TUTTI_LR_COSINE, .final_factor = -0.5F}},
            "final factor -0.5");
    refuses(&b, (tutti_fit_options){.schedule = {.kind = TUTTI_LR_ONE_CYCLE, .rise = 30}},
            "rise 30");
    refuses(&b, (tutti_fit_options){.schedule = {.kind = TUTTI_LR_STEP, .gamma = -1}}, "gamma -1");
    refuses(&b, (tutti_fit_options){.schedule = {.kind = TUTTI_LR_ONE_CYCLE, .warmup_steps = 3}},
            "3 warm-up steps, but one cycle has a rise of its own");
    refuses(&b, (tutti_fit_options){.epochs = 2, .schedule = {.warmup_steps = 2 * STEPS + 1}},
            "9 warm-up steps, but the fit has 8");
    ok(tutti_trainer_fit(b.trainer, b.train,
                         &(tutti_fit_options){.epochs = 2, .schedule = {.warmup_steps = 2 * STEPS}},
                         NULL));
    refuses(&b, (tutti_fit_options){.patience = 1, .min_delta = (double)NAN}, "min_delta");
    refuses(&b, (tutti_fit_options){.n_callbacks = 1}, "no array");
    refuses(&b, (tutti_fit_options){.n_callbacks = -1}, "-1 callbacks");
    refuses(&b, (tutti_fit_options){.n_callbacks = 1, .callbacks = &none}, "callback 0 is NULL");
    free_bench(&b);
}

static void misuse(void **state) {
    (void)state;
    bench b = make_bench();
    tutti_dataset *floats, *narrow;
    tutti_metrics metrics;
    float out[CLASSES];
    ok(tutti_dataset_make_binary(10, FEATURES, 0, 1, &floats));
    assert_int_equal(tutti_trainer_fit(b.trainer, floats, NULL, NULL), TUTTI_SHAPE);
    assert_message("fit: targets of the data set are f32 Nx1, input \"y\" is i32 N");
    ok(tutti_dataset_make_binary(10, FEATURES + 1, 0, 1, &narrow));
    assert_int_equal(tutti_trainer_evaluate(b.trainer, narrow, &metrics), TUTTI_SHAPE);
    assert_message("evaluate: features of the data set are f32 Nx7, input \"x\" is f32 Nx6");
    assert_int_equal(
        tutti_trainer_fit(b.trainer, b.train, &(tutti_fit_options){.validation = narrow}, NULL),
        TUTTI_SHAPE);
    assert_message("fit: validation: features");
    assert_int_equal(
        tutti_trainer_fit(b.trainer, b.train, &(tutti_fit_options){.epochs = -1}, NULL),
        TUTTI_INVALID_ARGUMENT);
    tutti_dataset_free(floats);
    tutti_dataset_free(narrow);
    tutti_trainer *none;
    assert_int_equal(tutti_trainer_open(b.graph, runtime,
                                        &(tutti_trainer_options){.accuracy = "precision"}, &none),
                     TUTTI_INVALID_ARGUMENT);
    assert_message("no output \"precision\"");
    assert_null(none);
    assert_int_equal(
        tutti_trainer_open(b.graph, runtime, &(tutti_trainer_options){.accuracy = "logits"}, &none),
        TUTTI_SHAPE);
    assert_int_equal(
        tutti_trainer_open(b.graph, runtime, &(tutti_trainer_options){.batch = -1}, &none),
        TUTTI_INVALID_ARGUMENT);
    free_bench(&b);
    /* Without an optimizer: evaluate and predict work, fit does not. */
    tutti_graph *graph = make_graph(NULL, false);
    tutti_dataset *set = make_data(20, 3);
    tutti_trainer *trainer;
    ok(tutti_trainer_open(graph, runtime, &(tutti_trainer_options){.seed = seed}, &trainer));
    assert_int_equal(tutti_trainer_fit(trainer, set, NULL, NULL), TUTTI_STATE);
    assert_message("no optimizer");
    ok(tutti_trainer_evaluate(trainer, set, &metrics));
    assert_true(isfinite(metrics.loss) && isnan(metrics.accuracy));
    ok(tutti_trainer_predict(trainer, set->x, 1, out));
    tutti_trainer_close(trainer);
    tutti_trainer_close(NULL);
    tutti_dataset_free(set);
    tutti_graph_free(graph);
}

static int open_runtime(void **state) {
    (void)state;
    seed = test_seed();
    if (tutti_profile_open(NULL, &profile) != TUTTI_OK ||
        tutti_runtime_open(profile, &runtime) != TUTTI_OK) {
        print_error("%s\n", tutti_error_message());
        return -1;
    }
    return 0;
}

static int close_runtime(void **state) {
    (void)state;
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fit_is_sgd),
        cmocka_unit_test(gradients_are_clipped),
        cmocka_unit_test(predict_equals_evaluate),
        cmocka_unit_test(callbacks),
        cmocka_unit_test(end_reaches_all),
        cmocka_unit_test(early_stop),
        cmocka_unit_test(early_stop_with_states),
        cmocka_unit_test(equal_runs_are_equal),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(weights_return_after_an_error),
        cmocka_unit_test(a_callback_may_not_fit),
        cmocka_unit_test(what_is_missing_is_refused),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
