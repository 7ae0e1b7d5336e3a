/* Binary classification: features to ten hidden units to one probability.
 *
 *     binary                                   a generated data set of eight features
 *     binary --data patients.csv --target ill  numbers with a header; the target is 0 or 1
 */
#include <stdio.h>
#include <stdlib.h>

#include "tutti/tutti.h"

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        tutti_status status_ = (expr);                                                             \
        if (status_ != TUTTI_OK)                                                                   \
            return status_;                                                                        \
    } while (0)

typedef struct binary_options {
    const char *target;
    bool no_header;
} binary_options;

typedef struct binary_data {
    tutti_dataset *all, *rest, *train, *validation, *test;
} binary_data;

static void data_free(binary_data *data) {
    tutti_dataset *sets[] = {data->all, data->rest, data->train, data->validation, data->test};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        tutti_dataset_free(sets[i]);
}

static tutti_status data_load(const tutti_app *app, const binary_options *options,
                              binary_data *data) {
    static const char *const of_file[] = {"target", "no-header"};
    const uint64_t seed = (uint64_t)app->seed;
    TRY(tutti_app_check_data(app, true, of_file, sizeof of_file / sizeof *of_file));
    if (app->data != NULL) {
        const tutti_csv_options csv = {.target = options->target,
                                       .no_header = options->no_header,
                                       .target_min = 0,
                                       .target_max = 1,
                                       .target_whole = true};
        const tutti_status loaded = tutti_dataset_load_csv(app->data, &csv, &data->all);
        if (loaded == TUTTI_INVALID_ARGUMENT) /* options that exclude each other */
            return TUTTI_USAGE;
        TRY(loaded);
    } else {
        TRY(tutti_dataset_make_binary(4000, 8, 0.01F, seed, &data->all));
    }
    TRY(tutti_dataset_split(data->all, 0.8, seed, &data->rest, &data->test));
    TRY(tutti_dataset_split(data->rest, 0.9, seed, &data->train, &data->validation));
    /* Mean and deviation are learnt on the training part only. */
    tutti_dataset *const others[] = {data->validation, data->test};
    return tutti_dataset_standardize(data->train, others, 2);
}

static tutti_status build(int64_t features, const tutti_app *app, tutti_graph **out) {
    TRY(tutti_graph_make(out));
    tutti_graph *g = *out;
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, features});
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 1});
    tutti_tensor h = tutti_relu(g, tutti_nn_linear(g, x, 10, "hidden", NULL));
    tutti_tensor logit = tutti_nn_linear(g, h, 1, "head", NULL);
    /* On logits the loss stays exact where the sigmoid is 0 or 1 in float. */
    tutti_graph_set_loss(g, tutti_bce_with_logits(g, logit, y));
    tutti_graph_set_output(g, "probability", tutti_sigmoid(g, logit));
    tutti_graph_set_output(g, "accuracy", tutti_binary_accuracy(g, logit, y));
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM,
                                               .lr = (float)app->lr,
                                               .loss_scale = tutti_app_loss_scale(app)});
    return tutti_graph_freeze(g);
}

static tutti_status train(tutti_app *app, const binary_options *options, binary_data *data) {
    TRY(data_load(app, options, data));
    TRY(build(tutti_shape_sample_count(&data->all->x_shape), app, &app->graph));
    const tutti_app_task task = {
        .title = "Binary classification",
        .trainer = {.accuracy = "accuracy", .prediction = "probability"},
        .fit = {.validation = data->validation, .patience = 10},
        .train = data->train,
        .test = data->test,
    };
    TRY(tutti_app_run(app, &task, NULL));
    float probability[5];
    const int64_t shown = data->test->n < 5 ? data->test->n : 5;
    TRY(tutti_trainer_predict(app->trainer, data->test->x, shown, probability));
    printf("first test samples, probability (target):");
    for (int64_t i = 0; i < shown; i++)
        printf(" %.3f (%g)", (double)probability[i], (double)((float *)data->test->y)[i]);
    printf("\n");
    return TUTTI_OK;
}

int main(int argc, char **argv) {
    binary_options options = {0};
    const tutti_app_option own[] = {
        {"target", "NAME", "column of the CSV file to predict, 0 or 1; default: the last",
         TUTTI_APP_TEXT, (void *)&options.target, 0, 0},
        {"no-header", NULL, "the CSV file has no line of names", TUTTI_APP_FLAG, &options.no_header,
         0, 0},
    };
    tutti_app app = {
        .name = "binary",
        .summary = "Trains a binary classifier on every OpenCL device.",
        .data_argument = "FILE.csv",
        .data_help = "numbers, one sample per line; default: a generated set",
        .options = own,
        .n_options = sizeof own / sizeof *own,
        .epochs = 50,
        .batch = 32,
        .lr = 1e-2,
        .seed = 1,
    };
    binary_data data = {0};
    tutti_status status = tutti_app_parse(&app, argc, argv);
    if (status == TUTTI_OK && !app.done)
        status = train(&app, &options, &data);
    const int code = tutti_app_finish(&app, status);
    data_free(&data);
    return code;
}
