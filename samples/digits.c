/* Handwritten digits: 8x8 pixels, ten classes, one hidden layer.
 *
 *     digits --profile all --plot loss.svg
 *
 * Data: samples/data (see its README.md). 20 % of the images are the test set, a tenth of the rest
 * is the validation set, on which training stops; both are chosen by the seed.
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

typedef struct digits_data {
    tutti_dataset *all, *rest, *part; /* stages of splitting */
    tutti_dataset *train, *validation, *test;
} digits_data;

static void data_free(digits_data *data) {
    tutti_dataset *sets[] = {data->all,   data->rest,       data->part,
                             data->train, data->validation, data->test};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        tutti_dataset_free(sets[i]);
}

static tutti_status data_load(const char *directory, uint64_t seed, digits_data *data) {
    char images[4096], labels[4096];
    snprintf(images, sizeof images, "%s/digits-images.idx3-ubyte.gz", directory);
    snprintf(labels, sizeof labels, "%s/digits-labels.idx1-ubyte.gz", directory);
    /* Pixels of 0 to 16 become 0 to 4: with 0 to 1, Adam needs three times the epochs. */
    TRY(tutti_dataset_load_idx(images, labels, 0.25F, &data->all));
    TRY(tutti_dataset_check_labels(data->all, 10));
    TRY(tutti_dataset_split(data->all, 0.8, seed, &data->rest, &data->test));
    TRY(tutti_dataset_split(data->rest, 0.9, seed, &data->part, &data->validation));
    /* A digit moved by a pixel is the same digit: five images to learn from for each. */
    return tutti_dataset_nudge(data->part, 1, &data->train);
}

static tutti_status build(const tutti_app *app, tutti_graph **out) {
    TRY(tutti_graph_make(out));
    tutti_graph *g = *out;
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 64});
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor h = tutti_relu(g, tutti_nn_linear(g, x, 256, "hidden", NULL));
    h = tutti_dropout(g, h, 0.3F);
    tutti_tensor logits = tutti_nn_linear(g, h, 10, "head", NULL);
    tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y));
    tutti_graph_set_output(g, "logits", logits);
    tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, y));
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM,
                                               .lr = (float)app->lr,
                                               .loss_scale = tutti_app_loss_scale(app)});
    return tutti_graph_freeze(g); /* returns the first error of the calls above */
}

static tutti_status train(tutti_app *app, digits_data *data) {
    TRY(data_load(app->data, (uint64_t)app->seed, data));
    TRY(build(app, &app->graph));
    const tutti_app_task task = {
        .title = "UCI handwritten digits",
        .trainer = {.accuracy = "accuracy"},
        .fit = {.validation = data->validation, .patience = 10},
        .train = data->train,
        .test = data->test,
    };
    return tutti_app_run(app, &task, NULL);
}

int main(int argc, char **argv) {
    tutti_app app = {
        .name = "digits",
        .summary = "Trains a classifier of handwritten digits on every OpenCL device.",
        .data_argument = "DIR",
        .data_help = "directory of the IDX files made by samples/data/make_digits.py",
        .data = TUTTI_SAMPLE_DATA,
        .epochs = 100,
        .batch = 32,
        .lr = 1e-3,
        .seed = 1,
    };
    digits_data data = {0};
    tutti_status status = tutti_app_parse(&app, argc, argv);
    if (status == TUTTI_OK && !app.done)
        status = train(&app, &data);
    const int code = tutti_app_finish(&app, status);
    data_free(&data);
    return code;
}
