/* What callbacks of a fit see and may do, and early stopping. */
#include "train/fixture.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks),
        cmocka_unit_test(end_reaches_all),
        cmocka_unit_test(early_stop),
        cmocka_unit_test(early_stop_with_states),
        cmocka_unit_test(weights_return_after_an_error),
        cmocka_unit_test(a_callback_may_not_fit),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
