/* What the trainer refuses, and how it ends where a loss is not finite. */
#include "train/fixture.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_finite),
        cmocka_unit_test(what_is_missing_is_refused),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
