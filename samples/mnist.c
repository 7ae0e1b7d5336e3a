/* A convolution net in the style of LeNet-5 on handwritten digits of 28x28 pixels.
 *
 *     mnist                   the shipped 8x8 digits, scaled to 28x28
 *     mnist --data ~/mnist    MNIST's four IDX files, plain or .gz
 */
#include <stdio.h>
#include <unistd.h>

#include "models/lenet.h"
#include "tutti/tutti.h"

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        tutti_status status_ = (expr);                                                             \
        if (status_ != TUTTI_OK)                                                                   \
            return status_;                                                                        \
    } while (0)

typedef struct mnist_data {
    tutti_dataset *small, *all, *rest, *train, *validation, *test;
} mnist_data;

static void data_free(mnist_data *data) {
    tutti_dataset *sets[] = {data->small, data->all,        data->rest,
                             data->train, data->validation, data->test};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        tutti_dataset_free(sets[i]);
}

/* The names by which the files are known. */
static tutti_status find(const char *directory, const char *part, const char *kind, char *path,
                         size_t size) {
    static const char *const forms[] = {"%s/%s-%s", "%s/%s-%s.gz", "%s/%s.%s", "%s/%s.%s.gz"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        snprintf(path, size, forms[i], directory, part, kind);
        if (access(path, F_OK) == 0)
            return TUTTI_OK;
    }
    if (access(directory, F_OK) != 0)
        return tutti_app_fail(TUTTI_IO, "%s: no such directory", directory);
    return tutti_app_fail(TUTTI_IO, "%s: none of %s-%s, %s-%s.gz, %s.%s and %s.%s.gz is there",
                          directory, part, kind, part, kind, part, kind, part, kind);
}

static tutti_status load_idx(const char *directory, const char *part, tutti_dataset **out) {
    char images[4096], labels[4096], name[64], shape[TUTTI_SHAPE_TEXT];
    snprintf(name, sizeof name, "%s-images", part);
    TRY(find(directory, name, "idx3-ubyte", images, sizeof images));
    snprintf(name, sizeof name, "%s-labels", part);
    TRY(find(directory, name, "idx1-ubyte", labels, sizeof labels));
    TRY(tutti_dataset_load_idx(images, labels, 0, out));
    const tutti_shape *x = &(*out)->x_shape;
    if (x->rank != 3 || x->dim[1] != 28 || x->dim[2] != 28)
        return tutti_app_fail(TUTTI_BAD_INPUT, "%s: the images are %s, expected MNIST's Nx28x28",
                              images, tutti_shape_text(x, shape));
    return tutti_dataset_check_labels(*out, 10);
}

/* True when the pixels are from 0 to 1, as bytes become when they are read. Floats stay as they are. */
static bool is_scaled(const tutti_dataset *set) {
    const int64_t n = set->n * tutti_shape_sample_count(&set->x_shape);
    for (int64_t i = 0; i < n; i++)
        if (set->x[i] < 0 || set->x[i] > 1)
            return false;
    return true;
}

static tutti_status load_files(const char *directory, mnist_data *data) {
    TRY(load_idx(directory, "train", &data->rest));
    TRY(load_idx(directory, "t10k", &data->test));
    const bool scaled = is_scaled(data->rest);
    if (scaled != is_scaled(data->test))
        return tutti_app_fail(
            TUTTI_BAD_INPUT,
            "%s has pixels from 0 to 1, %s others: bytes are scaled when they are "
            "read, floats are not",
            scaled ? data->rest->source : data->test->source,
            scaled ? data->test->source : data->rest->source);
    printf("data set: MNIST's files in %s\n", directory);
    return TUTTI_OK;
}

static tutti_status data_load(const tutti_app *app, mnist_data *data) {
    const uint64_t seed = (uint64_t)app->seed;
    if (app->data != NULL) {
        TRY(load_files(app->data, data));
    } else {
        TRY(tutti_dataset_load_idx(TUTTI_SAMPLE_DATA "/digits-images.idx3-ubyte.gz",
                                   TUTTI_SAMPLE_DATA "/digits-labels.idx1-ubyte.gz", 1.0F / 16,
                                   &data->small));
        TRY(tutti_dataset_resize(data->small, 28, 28, &data->all));
        TRY(tutti_dataset_split(data->all, 0.8, seed, &data->rest, &data->test));
        printf("data set: the shipped 8x8 digits scaled to 28x28, since no --data DIR is given\n");
    }
    TRY(tutti_dataset_split(data->rest, 0.9, seed, &data->train, &data->validation));
    tutti_dataset *const others[] = {data->validation, data->test};
    return tutti_dataset_standardize_channels(data->train, others, 2);
}

static tutti_status build(const tutti_app *app, tutti_graph **out) {
    TRY(tutti_graph_make(out));
    tutti_graph *g = *out;
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 1, 28, 28});
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor logits = lenet(g, x, &lenet_paper, 10);
    tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y));
    tutti_graph_set_output(g, "logits", logits);
    tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, y));
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM,
                                               .lr = (float)app->lr,
                                               .loss_scale = tutti_app_loss_scale(app)});
    return tutti_graph_freeze(g);
}

static tutti_status train(tutti_app *app, mnist_data *data) {
    TRY(data_load(app, data));
    TRY(build(app, &app->graph));
    const tutti_app_task task = {
        .title = "LeNet on handwritten digits",
        .trainer = {.accuracy = "accuracy"},
        .fit = {.validation = data->validation, .augment = {.crop = 2}},
        .train = data->train,
        .test = data->test,
    };
    return tutti_app_run(app, &task, NULL);
}

int main(int argc, char **argv) {
    tutti_app app = {
        .name = "mnist",
        .summary = "Trains a LeNet on handwritten digits on every OpenCL device.",
        .data_argument = "DIR",
        .data_help = "MNIST's IDX files, plain or .gz; default: the shipped digits",
        .epochs = 20,
        .batch = 64,
        .lr = 2e-3,
        .seed = 1,
    };
    mnist_data data = {0};
    tutti_status status = tutti_app_parse(&app, argc, argv);
    if (status == TUTTI_OK && !app.done)
        status = train(&app, &data);
    const int code = tutti_app_finish(&app, status);
    data_free(&data);
    return code;
}
