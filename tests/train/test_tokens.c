/* Training on windows of a text, on part of a data set per epoch, and on changed images. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "seed.h"
#include "tutti/tutti.h"

enum { T = 5, V = 4, CHARS = 203 };

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

static tutti_text *make_text(void) {
    char bytes[CHARS];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 5);
    for (int i = 0; i < CHARS; i++) /* mostly the next of "abcd" */
        bytes[i] = (char)(i < V || tutti_rng_below(&rng, 4) == 0
                              ? 'a' + (i < V ? i : (int)tutti_rng_below(&rng, V))
                              : 'a' + (bytes[i - 1] - 'a' + 1) % V);
    tutti_text *text;
    ok(tutti_text_make(bytes, CHARS, &text));
    assert_int_equal(text->n_vocabulary, V);
    return text;
}

/* Logits are linear in the token's id: enough to be told apart from anything else. */
static tutti_graph *make_graph(void) {
    tutti_graph *g;
    ok(tutti_graph_make(&g));
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_I32, 2, (int64_t[]){TUTTI_BATCH, T});
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 2, (int64_t[]){TUTTI_BATCH, T});
    tutti_tensor rows =
        tutti_reshape(g, tutti_cast(g, x, TUTTI_F32), 2, (int64_t[]){TUTTI_BATCH, 1});
    tutti_tensor logits = tutti_nn_linear(g, rows, V, "head", NULL);
    tutti_tensor labels = tutti_reshape(g, y, 1, (int64_t[]){TUTTI_BATCH});
    tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, labels));
    tutti_graph_set_output(g, "logits", logits);
    tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, labels));
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM, .lr = 0.05F});
    ok(tutti_graph_freeze(g));
    return g;
}

static tutti_trainer *open_trainer(tutti_graph *g) {
    tutti_trainer *trainer;
    ok(tutti_trainer_open(
        g, runtime, &(tutti_trainer_options){.accuracy = "accuracy", .batch = 8, .seed = seed},
        &trainer));
    return trainer;
}

/* Loss and accuracy over every row of every sample, in double. */
static void reference(const tutti_dataset *set, const float *w, const float *b, double *out_loss,
                      double *out_accuracy) {
    double loss = 0, hits = 0;
    for (int64_t i = 0; i < set->n; i++)
        for (int t = 0; t < T; t++) {
            const int32_t id = ((const int32_t *)tutti_dataset_x(set, i))[t];
            const int32_t label = ((const int32_t *)tutti_dataset_y(set, i))[t];
            double z[V], sum = 0;
            int best = 0;
            for (int v = 0; v < V; v++) {
                z[v] = (double)w[v] * id + (double)b[v];
                sum += exp(z[v]);
                best = z[v] > z[best] ? v : best;
            }
            loss += log(sum) - z[label];
            hits += best == label;
        }
    *out_loss = loss / (double)(set->n * T);
    *out_accuracy = hits / (double)(set->n * T);
}

static void windows(void **state) {
    (void)state;
    tutti_text *text = make_text();
    tutti_dataset *train, *validation;
    ok(tutti_text_split(text, T, 0.2, 1, &train, &validation));
    tutti_graph *g = make_graph();
    tutti_trainer *trainer = open_trainer(g);
    tutti_metrics before, metrics;
    ok(tutti_trainer_evaluate(trainer, validation, &before));
    tutti_fit_options options = {.epochs = 3, .samples_per_epoch = 30, .validation = validation};
    ok(tutti_trainer_fit(trainer, train, &options, &metrics));
    assert_int_equal(metrics.samples, 30);
    assert_int_equal(tutti_run_steps(tutti_trainer_run(trainer)), 3 * 4); /* 8 + 8 + 8 + 6 */
    options = (tutti_fit_options){.epochs = 4};
    ok(tutti_trainer_fit(trainer, train, &options, &metrics));
    assert_int_equal(metrics.samples, train->n);
    float w[V], b[V];
    ok(tutti_run_read(tutti_trainer_run(trainer), tutti_graph_find(g, "head.weight"), w, sizeof w));
    ok(tutti_run_read(tutti_trainer_run(trainer), tutti_graph_find(g, "head.bias"), b, sizeof b));
    const tutti_dataset *const sets[] = {train, validation};
    for (int i = 0; i < 2; i++) {
        double loss, accuracy;
        reference(sets[i], w, b, &loss, &accuracy);
        ok(tutti_trainer_evaluate(trainer, sets[i], &metrics));
        assert_int_equal(metrics.samples, sets[i]->n);
        assert_true(fabs(metrics.loss - loss) < 1e-5);
        assert_true(fabs(metrics.accuracy - accuracy) < 1e-5);
    }
    assert_true(metrics.loss < before.loss);
    /* A prediction holds T rows of V logits. */
    float logits[3][T][V];
    memset(logits, 0xff, sizeof logits);
    int32_t ids[3 * T];
    for (int i = 0; i < 3 * T; i++)
        ids[i] = i % V;
    ok(tutti_trainer_predict(trainer, ids, 3, logits[0][0]));
    for (int i = 0; i < 3 * T; i++)
        for (int v = 0; v < V; v++)
            assert_true(fabs((double)logits[i / T][i % T][v] -
                             ((double)w[v] * ids[i] + (double)b[v])) < 1e-5);
    assert_int_equal(
        tutti_trainer_fit(trainer, train, &(tutti_fit_options){.augment.flip = true}, NULL),
        TUTTI_SHAPE);
    assert_message("windows of a text");
    assert_int_equal(
        tutti_trainer_fit(trainer, train, &(tutti_fit_options){.samples_per_epoch = -1}, NULL),
        TUTTI_INVALID_ARGUMENT);
    tutti_dataset *floats;
    ok(tutti_dataset_make_binary(10, T, 0, 1, &floats));
    assert_int_equal(tutti_trainer_fit(trainer, floats, NULL, NULL), TUTTI_SHAPE);
    assert_message("features of the data set are f32 Nx5, input \"x\" is i32 Nx5");
    tutti_dataset_free(floats);
    tutti_dataset_free(train);
    tutti_dataset_free(validation);
    tutti_text_free(text);
    tutti_trainer_close(trainer);
    tutti_graph_free(g);
}

/* The sum of the first column of pixels is what the model sees of an image. */
static void changed_images(void **state) {
    (void)state;
    const tutti_shape x_shape = {3, true, {1, 4, 4}}, y_shape = {1, true, {1}};
    enum { N = 24 };
    float x[N * 16];
    int32_t y[N];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 6);
    for (int i = 0; i < N * 16; i++)
        x[i] = tutti_rng_normal(&rng);
    for (int i = 0; i < N; i++)
        y[i] = (int32_t)tutti_rng_below(&rng, 3);
    tutti_dataset *set;
    ok(tutti_dataset_make(N, &x_shape, x, TUTTI_I32, &y_shape, y, &set));
    char digests[4][65];
    double plain_loss = 0;
    for (int i = 0; i < 4; i++) {
        tutti_graph *g;
        ok(tutti_graph_make(&g));
        tutti_tensor in = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 16});
        tutti_tensor labels = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
        tutti_tensor logits = tutti_nn_linear(g, in, 3, "head", NULL);
        tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, labels));
        tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, labels));
        tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.1F});
        ok(tutti_graph_freeze(g));
        tutti_trainer *trainer = open_trainer(g);
        tutti_metrics metrics;
        ok(tutti_trainer_evaluate(trainer, set,
                                  &metrics)); /* what is not training stays as it is */
        if (i == 0)
            plain_loss = metrics.loss;
        assert_true(metrics.loss == plain_loss);
        const tutti_augment augment[4] = {{0}, {.flip = true}, {.crop = 2}, {.crop = 2}};
        ok(tutti_trainer_fit(trainer, set, &(tutti_fit_options){.epochs = 2, .augment = augment[i]},
                             NULL));
        ok(tutti_trainer_digest(trainer, digests[i]));
        tutti_trainer_close(trainer);
        tutti_graph_free(g);
    }
    assert_string_not_equal(digests[0], digests[1]);
    assert_string_not_equal(digests[0], digests[2]);
    assert_string_equal(digests[2], digests[3]);
    tutti_dataset_free(set);
}

static int open_runtime(void **state) {
    (void)state;
    seed = test_seed();
    static const char json[] = "{\"determinism\": \"reproducible\"}";
    if (tutti_profile_parse("test", json, sizeof json - 1, &profile) != TUTTI_OK ||
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
        cmocka_unit_test(windows),
        cmocka_unit_test(changed_images),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
