/* The trainer: a fit is stochastic gradient descent, equal runs are equal, predictions agree with
 * evaluation. */
#include "train/fixture.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fit_is_sgd),
        cmocka_unit_test(gradients_are_clipped),
        cmocka_unit_test(predict_equals_evaluate),
        cmocka_unit_test(equal_runs_are_equal),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
