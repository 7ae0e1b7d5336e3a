/* A residual network (He et al. 2016) on images of 3x32x32 in ten classes.
 *
 *     cifar                                        a generated set of textured shapes
 *     cifar --data cifar-10-batches-bin --epochs 160 --depth 56
 */
#include <stdio.h>

#include "models/resnet.h"
#include "tutti/tutti.h"

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        tutti_status status_ = (expr);                                                             \
        if (status_ != TUTTI_OK)                                                                   \
            return status_;                                                                        \
    } while (0)

typedef struct cifar_options {
    int64_t depth; /* 0, 1, 2 …: 20, 32, 44 … layers */
    int64_t width, images;
} cifar_options;

typedef struct cifar_data {
    tutti_dataset *all, *rest, *train, *validation, *test;
} cifar_data;

static void data_free(cifar_data *data) {
    tutti_dataset *sets[] = {data->all, data->rest, data->train, data->validation, data->test};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        tutti_dataset_free(sets[i]);
}

static tutti_status data_load(const tutti_app *app, const cifar_options *options,
                              cifar_data *data) {
    const uint64_t seed = (uint64_t)app->seed;
    TRY(tutti_app_check_data(app, false, &(const char *){"images"}, 1));
    if (app->data != NULL) {
        TRY(tutti_dataset_load_cifar10(app->data, &data->rest, &data->test));
        printf("data set: CIFAR-10's files in %s\n", app->data);
    } else {
        TRY(tutti_dataset_make_textures(options->images, seed, &data->all));
        TRY(tutti_dataset_split(data->all, 0.8, seed, &data->rest, &data->test));
        printf("data set: generated shapes with textures, since no --data DIR is given\n");
    }
    TRY(tutti_dataset_split(data->rest, 0.9, seed, &data->train, &data->validation));
    tutti_dataset *const others[] = {data->validation, data->test};
    return tutti_dataset_standardize_channels(data->train, others, 2);
}

static tutti_status build(const cifar_options *options, const tutti_app *app, tutti_graph **out) {
    TRY(tutti_graph_make(out));
    tutti_graph *g = *out;
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 3, 32, 32});
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor logits = resnet(g, x, 20 + 12 * (int32_t)options->depth, options->width, 10);
    tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y));
    tutti_graph_set_output(g, "logits", logits);
    tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, y));
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_SGD,
                                               .lr = (float)app->lr,
                                               .momentum = 0.9F,
                                               .nesterov = true,
                                               .weight_decay = 5e-4F,
                                               .loss_scale = tutti_app_loss_scale(app)});
    return tutti_graph_freeze(g);
}

static tutti_status train(tutti_app *app, const cifar_options *options, cifar_data *data) {
    TRY(data_load(app, options, data));
    TRY(build(options, app, &app->graph));
    const tutti_app_task task = {
        .title = "Residual network on images of 32x32",
        .trainer = {.accuracy = "accuracy"},
        .fit = {.validation = data->validation,
                .augment = {.flip = true, .crop = 4},
                .schedule = {.kind = TUTTI_LR_ONE_CYCLE}},
        .train = data->train,
        .test = data->test,
    };
    return tutti_app_run(app, &task, NULL);
}

int main(int argc, char **argv) {
    cifar_options options = {.width = 16, .images = 6000};
    const tutti_app_option own[] = {
        {"depth", "20|32|44|56", "layers", TUTTI_APP_CHOICE, &options.depth, 0, 0},
        {"width", "N", "channels of the first stage", TUTTI_APP_INT, &options.width, 1, 1024},
        {"images", "N", "size of the generated set", TUTTI_APP_INT, &options.images, 100, 1e6},
    };
    tutti_app app = {
        .name = "cifar",
        .summary = "Trains a residual network on small images on every OpenCL device.",
        .data_argument = "DIR",
        .data_help = "CIFAR-10, binary version; default: a generated set",
        .options = own,
        .n_options = sizeof own / sizeof *own,
        .epochs = 5,
        .batch = 64,
        .lr = 0.1,
        .seed = 1,
    };
    cifar_data data = {0};
    tutti_status status = tutti_app_parse(&app, argc, argv);
    if (status == TUTTI_OK && !app.done)
        status = train(&app, &options, &data);
    const int code = tutti_app_finish(&app, status);
    data_free(&data);
    return code;
}
