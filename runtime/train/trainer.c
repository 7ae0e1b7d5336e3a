#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "tutti/ext/op.h"

static tutti_status find_input(const tutti_graph *graph, tutti_tensor given, const char *name,
                               tutti_tensor *out) {
    *out = given.id != 0 ? given : tutti_graph_find(graph, name);
    if (out->id == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "trainer: no input is given for %s, and the graph has none named \"%s\"",
                          name, name);
    return TUTTI_OK;
}

static tutti_status find_tensors(tutti_trainer *trainer, const tutti_trainer_options *options) {
    const tutti_graph *graph = trainer->graph;
    char text[TUTTI_SHAPE_TEXT];
    trainer->loss = tutti_graph_loss(graph);
    if (trainer->loss.id == 0)
        return tutti_fail(TUTTI_STATE, "trainer: the graph has no loss");
    TUTTI_TRY(find_input(graph, options->x, "x", &trainer->x));
    TUTTI_TRY(find_input(graph, options->y, "y", &trainer->y));
    trainer->prediction = tutti_graph_find(graph, trainer->prediction_name);
    if (options->prediction != NULL && trainer->prediction.id == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "trainer: the graph has no output \"%s\"",
                          options->prediction);
    if (options->accuracy == NULL)
        return TUTTI_OK;
    trainer->accuracy = tutti_graph_find(graph, options->accuracy);
    if (trainer->accuracy.id == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "trainer: the graph has no output \"%s\"",
                          options->accuracy);
    const tutti_type type = tutti_tensor_type(graph, trainer->accuracy);
    if (type.shape.rank != 0 || type.dtype != TUTTI_F32)
        return tutti_fail(TUTTI_SHAPE, "trainer: output \"%s\" is %s %s, expected an f32 scalar",
                          options->accuracy, tutti_dtype_name(type.dtype),
                          tutti_shape_text(&type.shape, text));
    return TUTTI_OK;
}

static tutti_status make_plan(tutti_trainer *trainer, const tutti_trainer_options *asked) {
    tutti_plan_options options = {.batch = trainer->batch,
                                  .precision = asked->precision,
                                  .matmul_precision = asked->matmul_precision};
    const int32_t n = tutti_runtime_device_count(trainer->runtime);
    tutti_precision *chosen = calloc((size_t)n + 1, sizeof *chosen);
    if (chosen == NULL)
        return tutti_fail_memory(0, "a trainer");
    tutti_status status = tutti_precision_choose(trainer->graph, trainer->runtime, &options,
                                                 trainer->seed, chosen, &trainer->precision_text);
    options.device_precision = chosen;
    if (status == TUTTI_OK)
        status = tutti_plan_make(trainer->graph, trainer->runtime, &options, &trainer->plan);
    free(chosen);
    return status;
}

static tutti_status prepare(tutti_trainer *trainer, const tutti_trainer_options *options) {
    trainer->prediction_name = strdup(options->prediction != NULL ? options->prediction : "logits");
    if (trainer->prediction_name == NULL)
        return tutti_fail_memory(0, "a trainer");
    trainer->batch = options->batch == 0 ? 32 : options->batch;
    trainer->seed = options->seed;
    if (trainer->batch < 1)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "trainer: batch of %lld samples",
                          (long long)trainer->batch);
    TUTTI_TRY(find_tensors(trainer, options));
    TUTTI_TRY(make_plan(trainer, options));
    return tutti_run_open(trainer->plan, &(tutti_run_options){.seed = trainer->seed},
                          &trainer->run);
}

tutti_status tutti_trainer_open(tutti_graph *graph, tutti_runtime *runtime,
                                const tutti_trainer_options *options, tutti_trainer **out) {
    static const tutti_trainer_options defaults;
    *out = NULL;
    if (graph == NULL || runtime == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "trainer: no %s is given",
                          graph == NULL ? "graph" : "runtime");
    tutti_trainer *trainer = calloc(1, sizeof *trainer);
    if (trainer == NULL)
        return tutti_fail_memory(sizeof *trainer, "a trainer");
    trainer->graph = graph;
    trainer->runtime = runtime;
    const tutti_status status = prepare(trainer, options != NULL ? options : &defaults);
    if (status != TUTTI_OK) {
        tutti_trainer_close(trainer);
        return status;
    }
    *out = trainer;
    return TUTTI_OK;
}

void tutti_trainer_close(tutti_trainer *trainer) {
    if (trainer == NULL)
        return;
    tutti_weights_free(trainer->raw);
    tutti_run_close(trainer->run);
    tutti_plan_free(trainer->plan);
    free(trainer->prediction_name);
    tutti_free(trainer->precision_text);
    free(trainer);
}

tutti_run *tutti_trainer_run(tutti_trainer *trainer) {
    return trainer->run;
}
tutti_plan *tutti_trainer_plan(tutti_trainer *trainer) {
    return trainer->plan;
}
const char *tutti_trainer_precision(const tutti_trainer *trainer) {
    return trainer->precision_text;
}
tutti_runtime *tutti_trainer_runtime(tutti_trainer *trainer) {
    return trainer->runtime;
}

static tutti_status check_side(const tutti_trainer *trainer, tutti_tensor input, tutti_dtype dtype,
                               const tutti_shape *rows, const char *what, const char *side) {
    char wanted[TUTTI_SHAPE_TEXT], given[TUTTI_SHAPE_TEXT];
    const tutti_type type = tutti_tensor_type(trainer->graph, input);
    if (type.shape.batched && type.dtype == dtype &&
        tutti_shape_sample_count(&type.shape) == tutti_shape_sample_count(rows))
        return TUTTI_OK;
    return tutti_fail(TUTTI_SHAPE, "%s: %s of the data set are %s %s, input \"%s\" is %s %s", what,
                      side, tutti_dtype_name(dtype), tutti_shape_text(rows, given),
                      tutti_graph_tensor_name(trainer->graph, input), tutti_dtype_name(type.dtype),
                      tutti_shape_text(&type.shape, wanted));
}

tutti_status tutti_trainer_check(const tutti_trainer *trainer, const tutti_dataset *set,
                                 const char *what) {
    if (set == NULL || set->n < 1 || set->x == NULL || set->y == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s: %s", what,
                          set == NULL  ? "no data set is given"
                          : set->n < 1 ? "the data set has no samples"
                                       : "the data set lacks features or targets");
    TUTTI_TRY(check_side(trainer, trainer->x, set->x_dtype, &set->x_shape, what, "features"));
    return check_side(trainer, trainer->y, set->y_dtype, &set->y_shape, what, "targets");
}

tutti_status tutti_trainer_step(tutti_trainer *trainer, tutti_mode mode, int64_t n, const void *x,
                                const void *y, tutti_mean *mean, float *out_loss) {
    float loss = NAN, accuracy = NAN;
    if (mode == TUTTI_TRAIN && trainer->raw != NULL)
        return tutti_fail(TUTTI_STATE, "fit: the averages are in the place of the parameters");
    const tutti_feed feeds[2] = {{trainer->x, x}, {trainer->y, y}};
    const tutti_fetch fetches[2] = {{trainer->loss, &loss}, {trainer->accuracy, &accuracy}};
    TUTTI_TRY(tutti_run_step(trainer->run, mode, n, feeds, 2, fetches,
                             trainer->accuracy.id != 0 ? 2 : 1));
    mean->loss += (double)loss * (double)n;
    mean->accuracy += (double)accuracy * (double)n;
    mean->samples += n;
    *out_loss = loss;
    return TUTTI_OK;
}

tutti_status tutti_trainer_evaluate(tutti_trainer *trainer, const tutti_dataset *set,
                                    tutti_metrics *out) {
    TUTTI_TRY(tutti_trainer_check(trainer, set, "evaluate"));
    if (out == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "evaluate: no place for the metrics is given");
    const double begin = tutti_clock_s();
    tutti_batcher *batches;
    TUTTI_TRY(tutti_batcher_make(set, trainer->batch, &batches));
    tutti_mean mean = {0};
    int64_t first = -1, last = -1; /* of the first samples whose loss is not finite */
    tutti_status status = TUTTI_OK;
    while (status == TUTTI_OK) {
        const void *x, *y;
        float loss;
        const int64_t n = tutti_batcher_next(batches, &x, &y);
        if (n == 0)
            break;
        status = tutti_trainer_step(trainer, TUTTI_EVAL, n, x, y, &mean, &loss);
        if (status == TUTTI_OK && first < 0 && !isfinite(loss)) {
            first = mean.samples - n;
            last = mean.samples - 1;
        }
    }
    tutti_batcher_free(batches);
    TUTTI_TRY(status);
    const double seconds = tutti_clock_s() - begin;
    *out = (tutti_metrics){.loss = mean.loss / (double)mean.samples,
                           .accuracy = mean.accuracy / (double)mean.samples,
                           .samples = mean.samples,
                           .seconds = seconds,
                           .samples_per_s = (double)mean.samples / seconds};
    if (first < 0)
        return TUTTI_OK;
    return tutti_fail(
        TUTTI_BAD_INPUT,
        "evaluate: the loss is %g, not finite from samples %lld to %lld on: is a value "
        "of the data set not finite, a label out of range, or have the weights "
        "diverged?",
        out->loss, (long long)first, (long long)last);
}

tutti_status tutti_trainer_predict(tutti_trainer *trainer, const void *x, int64_t n, float *out) {
    if (n < 0 || (n > 0 && (x == NULL || out == NULL)))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "predict: %lld samples%s", (long long)n,
                          n < 0 ? "" : ", but no features or no place for the result");
    if (trainer->prediction.id == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "predict: the graph has no output \"%s\"",
                          trainer->prediction_name);
    char text[TUTTI_SHAPE_TEXT];
    const tutti_type in = tutti_tensor_type(trainer->graph, trainer->x);
    const tutti_type result = tutti_tensor_type(trainer->graph, trainer->prediction);
    if (!result.shape.batched || result.dtype != TUTTI_F32)
        return tutti_fail(TUTTI_SHAPE, "predict: output \"%s\" is %s %s, expected f32 per sample",
                          trainer->prediction_name, tutti_dtype_name(result.dtype),
                          tutti_shape_text(&result.shape, text));
    const size_t x_row =
        (size_t)tutti_shape_sample_count(&in.shape) * tutti_dtype_size_bytes(in.dtype);
    const int64_t out_row = tutti_shape_sample_count(&result.shape);
    for (int64_t i = 0; i < n; i += trainer->batch) {
        const int64_t part = n - i < trainer->batch ? n - i : trainer->batch;
        const tutti_feed feed = {trainer->x, (const char *)x + (size_t)i * x_row};
        const tutti_fetch fetch = {trainer->prediction, out + i * out_row};
        TUTTI_TRY(tutti_run_step(trainer->run, TUTTI_PREDICT, part, &feed, 1, &fetch, 1));
    }
    return TUTTI_OK;
}
