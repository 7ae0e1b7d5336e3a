/* Tables: numeric and categorical columns to a number or a class, by a small perceptron.
 *
 *     tabular                                       a generated table of flats: the rent
 *     tabular --data flats.csv --target rent        regression, since the target is a number
 *     tabular --data iris.csv --target species      classification, since it is a text
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/mlp.h"
#include "tutti/table.h"
#include "tutti/tutti.h"

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        tutti_status status_ = (expr);                                                             \
        if (status_ != TUTTI_OK)                                                                   \
            return status_;                                                                        \
    } while (0)

typedef struct tabular_options {
    const char *target, *categorical, *ignore, *missing_text, *separator;
    bool classes, no_header;
    int64_t missing, hidden, width;
} tabular_options;

typedef struct tabular_data {
    tutti_table *all, *rest, *train_rows, *validation_rows, *test_rows;
    tutti_encoder *encoder;
    tutti_dataset *train, *validation, *test;
} tabular_data;

static void data_free(tabular_data *data) {
    tutti_table *tables[] = {data->all, data->rest, data->train_rows, data->validation_rows,
                             data->test_rows};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        tutti_table_free(tables[i]);
    tutti_encoder_free(data->encoder);
    tutti_dataset_free(data->train);
    tutti_dataset_free(data->validation);
    tutti_dataset_free(data->test);
}

static tutti_status load_csv(const char *path, const tabular_options *options, tutti_table **out) {
    const bool tab = options->separator != NULL && strcmp(options->separator, "tab") == 0;
    if (options->separator != NULL && options->separator[1] != '\0' && !tab)
        return tutti_app_fail(TUTTI_USAGE,
                              "option '--separator': \"%s\" is neither one character nor tab",
                              options->separator);
    const tutti_table_options table = {.target = options->target,
                                       .categorical = options->categorical,
                                       .ignore = options->ignore,
                                       .classes = options->classes,
                                       .missing = (tutti_missing)options->missing,
                                       .missing_text = options->missing_text,
                                       .no_header = options->no_header,
                                       .separator = tab ? '\t'
                                                    : options->separator != NULL
                                                        ? *options->separator
                                                        : ','};
    const tutti_status status = tutti_table_load_csv(path, &table, out);
    /* options that exclude each other */
    return status == TUTTI_INVALID_ARGUMENT ? TUTTI_USAGE : status;
}

static tutti_status load(const tutti_app *app, const tabular_options *options, tabular_data *data) {
    static const char *const of_file[] = {"target",       "categorical", "ignore",   "missing",
                                          "missing-text", "no-header",   "separator"};
    const uint64_t seed = (uint64_t)app->seed;
    TRY(tutti_app_check_data(app, true, of_file, sizeof of_file / sizeof *of_file));
    if (app->data != NULL)
        TRY(load_csv(app->data, options, &data->all));
    else
        TRY(tutti_table_make_flats(4000, options->classes, seed, &data->all));
    printf("data set: %s%s\n", tutti_table_source(data->all),
           app->data != NULL ? "" : ", since no --data FILE.csv is given");
    if (tutti_table_dropped(data->all) > 0)
        printf("left out: %lld row%s with missing cells\n",
               (long long)tutti_table_dropped(data->all),
               tutti_table_dropped(data->all) == 1 ? "" : "s");
    TRY(tutti_table_split(data->all, 0.8, seed, &data->rest, &data->test_rows));
    TRY(tutti_table_split(data->rest, 0.9, seed, &data->train_rows, &data->validation_rows));
    /* Means, deviations and categories come from the training part only. */
    TRY(tutti_encoder_learn(data->train_rows, NULL, &data->encoder));
    TRY(tutti_encoder_apply(data->encoder, data->train_rows, &data->train));
    TRY(tutti_encoder_apply(data->encoder, data->validation_rows, &data->validation));
    return tutti_encoder_apply(data->encoder, data->test_rows, &data->test);
}

static tutti_status build(const tabular_options *options, const tutti_encoder *encoder,
                          const tutti_app *app, tutti_graph **out) {
    TRY(tutti_graph_make(out));
    tutti_graph *g = *out;
    const bool classes = encoder->n_classes > 0;
    tutti_tensor x =
        tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, encoder->n_features});
    tutti_tensor y = classes ? tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH})
                             : tutti_graph_input(g, "y", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 1});
    tutti_tensor h =
        mlp(g, x, (int32_t)options->hidden, options->width, classes ? encoder->n_classes : 1);
    tutti_graph_set_loss(g, classes ? tutti_softmax_cross_entropy(g, h, y) : tutti_mse(g, h, y));
    tutti_graph_set_output(g, "prediction", h);
    if (classes)
        tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, h, y));
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAMW,
                                               .lr = (float)app->lr,
                                               .weight_decay = 1e-2F,
                                               .loss_scale = tutti_app_loss_scale(app)});
    return tutti_graph_freeze(g);
}

static tutti_status train(tutti_app *app, const tabular_options *options, tabular_data *data) {
    TRY(load(app, options, data));
    TRY(build(options, data->encoder, app, &app->graph));
    const bool classes = data->encoder->n_classes > 0;
    const tutti_app_task task = {
        .title = data->encoder->target,
        .trainer = {.accuracy = classes ? "accuracy" : NULL, .prediction = "prediction"},
        .fit = {.validation = data->validation, .patience = 15},
        .train = data->train,
        .test = data->test,
    };
    tutti_metrics test;
    TRY(tutti_app_run(app, &task, &test));
    if (!classes) /* back in the target's unit */
        printf(
            "%s: root of the mean squared error on test rows %.4g, deviation of the target %.4g\n",
            data->encoder->target, sqrt(test.loss) * (double)data->encoder->target_deviation,
            (double)data->encoder->target_deviation);
    return TUTTI_OK;
}

int main(int argc, char **argv) {
    tabular_options options = {.missing = TUTTI_MISSING_REFUSE, .hidden = 2, .width = 64};
    const tutti_app_option own[] = {
        {"target", "NAME", "column to predict; default: the last", TUTTI_APP_TEXT,
         (void *)&options.target, 0, 0},
        {"classes", NULL, "the target names a class even if it is a number", TUTTI_APP_FLAG,
         &options.classes, 0, 0},
        {"categorical", "NAMES", "columns that are texts even if they look like numbers",
         TUTTI_APP_TEXT, (void *)&options.categorical, 0, 0},
        {"ignore", "NAMES", "columns that are no features", TUTTI_APP_TEXT, (void *)&options.ignore,
         0, 0},
        {"missing", "refuse|drop|fill", "rows with missing cells", TUTTI_APP_CHOICE,
         &options.missing, 0, 0},
        {"missing-text", "TEXT", "stands for a missing cell besides an empty one", TUTTI_APP_TEXT,
         (void *)&options.missing_text, 0, 0},
        {"no-header", NULL, "the CSV file has no line of names; columns are 1, 2, ...",
         TUTTI_APP_FLAG, &options.no_header, 0, 0},
        {"separator", "CHAR", "between cells, or tab; default: a comma", TUTTI_APP_TEXT,
         (void *)&options.separator, 0, 0},
        {"hidden", "N", "hidden layers", TUTTI_APP_INT, &options.hidden, 0, 64},
        {"width", "N", "units of a hidden layer", TUTTI_APP_INT, &options.width, 1, 65536},
    };
    tutti_app app = {
        .name = "tabular",
        .summary = "Trains a model of a table's column on every OpenCL device.",
        .data_argument = "FILE.csv",
        .data_help = "table with a header; default: a generated one",
        .options = own,
        .n_options = sizeof own / sizeof *own,
        .epochs = 100,
        .batch = 64,
        .lr = 2e-3,
        .seed = 1,
    };
    tabular_data data = {0};
    tutti_status status = tutti_app_parse(&app, argc, argv);
    if (status == TUTTI_OK && !app.done)
        status = train(&app, &options, &data);
    const int code = tutti_app_finish(&app, status);
    data_free(&data);
    return code;
}
