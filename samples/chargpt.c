/* A character-level GPT: learns a text, then writes one.
 *
 *     chargpt                                  the licence texts of this machine
 *     chargpt --data input.txt --layers 6 --width 192 --prompt "ROMEO:"
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/gpt.h"
#include "tutti/text.h"
#include "tutti/tutti.h"

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        tutti_status status_ = (expr);                                                             \
        if (status_ != TUTTI_OK)                                                                   \
            return status_;                                                                        \
    } while (0)

typedef struct chargpt_options {
    gpt_sizes sizes;
    int64_t windows, length;
    const char *prompt;
    double temperature;
} chargpt_options;

typedef struct chargpt_data {
    tutti_text *text;
    tutti_dataset *train, *validation;
    int32_t *context; /* of the text that is written, and its characters */
    int64_t n_context;
    float *logits; /* of one sample */
} chargpt_data;

static void data_free(chargpt_data *data) {
    tutti_dataset_free(data->train);
    tutti_dataset_free(data->validation);
    tutti_text_free(data->text);
    free(data->context);
    free(data->logits);
}

static tutti_status data_load(const tutti_app *app, const chargpt_options *options,
                              chargpt_data *data) {
    static const char *const usual[] = {"/usr/share/common-licenses",
                                        TUTTI_SAMPLE_DATA "/licence.txt"};
    if (app->data != NULL)
        TRY(tutti_text_load(app->data, &data->text));
    else
        TRY(tutti_text_load_first(usual, 2, &data->text));
    printf("data set: %s%s: %lld bytes, %d different\n", data->text->source,
           app->data != NULL ? "" : ", since no --data PATH is given", (long long)data->text->n,
           (int)data->text->n_vocabulary);
    /* The last tenth is for validation. */
    return tutti_text_split(data->text, options->sizes.context, 0.1, 1, &data->train,
                            &data->validation);
}

static tutti_status build(const gpt_sizes *sizes, const tutti_app *app, tutti_graph **out) {
    TRY(tutti_graph_make(out));
    tutti_graph *g = *out;
    const int64_t tokens[] = {TUTTI_BATCH, sizes->context};
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_I32, 2, tokens);
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 2, tokens);
    tutti_tensor logits = gpt(g, x, sizes);
    tutti_tensor labels = tutti_reshape(g, y, 1, (int64_t[]){TUTTI_BATCH});
    tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, labels));
    tutti_graph_set_output(g, "logits", logits);
    tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, labels));
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAMW,
                                               .lr = (float)app->lr,
                                               .beta2 = 0.99F,
                                               .weight_decay = 0.1F,
                                               .no_decay_on_1d = true,
                                               .clip_norm = 1,
                                               .loss_scale = tutti_app_loss_scale(app)});
    return tutti_graph_freeze(g);
}

/* An index with probability in proportion to exp(logit / temperature). */
static int32_t draw(const float *logits, int32_t n, double temperature, uint64_t *state) {
    int32_t best = 0;
    double sum = 0;
    for (int32_t i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    if (temperature <= 0)
        return best;
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)(logits[i] - logits[best]) / temperature);
    /* Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014 */
    uint64_t z = *state += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    double rest = (double)((z ^ (z >> 31)) >> 11) * 0x1p-53 * sum;
    for (int32_t i = 0; i < n; i++) {
        rest -= exp((double)(logits[i] - logits[best]) / temperature);
        if (rest < 0)
            return i;
    }
    return best;
}

/* The end of the prompt as the first context. Before the training, which a character that does not
 * occur in the text would have been for nothing. */
static tutti_status read_prompt(const chargpt_options *options, chargpt_data *data) {
    const tutti_text *text = data->text;
    const int64_t context = options->sizes.context;
    const size_t length = options->prompt != NULL ? strlen(options->prompt) : 1;
    data->n_context = length < (size_t)context ? (int64_t)length : context;
    data->context = calloc((size_t)context, sizeof *data->context);
    if (data->context == NULL)
        return TUTTI_OUT_OF_MEMORY;
    if (options->prompt == NULL) { /* a new line */
        data->context[0] = text->id_of['\n'] >= 0 ? text->id_of['\n'] : text->ids[0];
        return TUTTI_OK;
    }
    int32_t *ids = calloc(length, sizeof *ids);
    if (ids == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const tutti_status status = tutti_text_encode(text, options->prompt, (int64_t)length, ids);
    if (status == TUTTI_OK)
        memcpy(data->context, ids + length - (size_t)data->n_context,
               (size_t)data->n_context * sizeof *ids);
    free(ids);
    return status == TUTTI_OK
               ? TUTTI_OK
               : tutti_app_fail(status, "option '--prompt': %s", tutti_error_message());
}

/* Continues the prompt, a character at a time. */
static tutti_status write_text(tutti_app *app, const chargpt_options *options, chargpt_data *data) {
    const int64_t context = options->sizes.context;
    const int32_t vocabulary = data->text->n_vocabulary;
    int64_t n = data->n_context;
    uint64_t state = (uint64_t)app->seed;
    data->logits = calloc((size_t)(context * vocabulary), sizeof *data->logits);
    if (data->logits == NULL)
        return TUTTI_OUT_OF_MEMORY;
    printf("\n%s", options->prompt != NULL ? options->prompt : "");
    for (int64_t i = 0; i < options->length; i++) {
        /* What follows the last character is not looked at. */
        TRY(tutti_trainer_predict(app->trainer, data->context, 1, data->logits));
        const int32_t next =
            draw(data->logits + (n - 1) * vocabulary, vocabulary, options->temperature, &state);
        putchar(data->text->vocabulary[next]);
        if (n == context)
            memmove(data->context, data->context + 1, (size_t)--n * sizeof *data->context);
        data->context[n++] = next;
    }
    printf("\n");
    return TUTTI_OK;
}

static tutti_status check_sizes(const gpt_sizes *s) {
    if (s->width % s->heads != 0)
        return tutti_app_fail(
            TUTTI_USAGE,
            "options '--width' %lld and '--heads' %lld: the heads must divide the "
            "width",
            (long long)s->width, (long long)s->heads);
    if (s->width / s->heads > 256)
        return tutti_app_fail(
            TUTTI_USAGE,
            "options '--width' %lld and '--heads' %lld: a head has %lld channels, "
            "expected at most 256",
            (long long)s->width, (long long)s->heads, (long long)(s->width / s->heads));
    return TUTTI_OK;
}

static tutti_status train(tutti_app *app, chargpt_options *options, chargpt_data *data) {
    TRY(check_sizes(&options->sizes));
    TRY(data_load(app, options, data));
    TRY(read_prompt(options, data));
    options->sizes.vocabulary = data->text->n_vocabulary;
    TRY(build(&options->sizes, app, &app->graph));
    const int64_t windows = options->windows < data->train->n ? options->windows : data->train->n;
    const int64_t steps = app->epochs * ((windows + app->batch - 1) / app->batch);
    const tutti_app_task task = {
        .title = "Character-level GPT",
        .trainer = {.accuracy = "accuracy"},
        .fit = {.validation = data->validation,
                .samples_per_epoch = options->windows,
                .schedule = {.kind = TUTTI_LR_COSINE,
                             .final_factor = 0.1F,
                             .warmup_steps = steps < 50 ? steps : 50}},
        .train = data->train,
        .test = data->validation,
    };
    tutti_metrics validation;
    TRY(tutti_app_run(app, &task, &validation));
    printf("validation loss in bits per byte: %.4f\n", validation.loss / log(2));
    return write_text(app, options, data);
}

int main(int argc, char **argv) {
    chargpt_options options = {.sizes = {.layers = 4, .width = 128, .heads = 4, .context = 128},
                               .windows = 1600,
                               .length = 400,
                               .temperature = 0.8};
    const tutti_app_option own[] = {
        {"layers", "N", "transformer blocks", TUTTI_APP_INT, &options.sizes.layers, 1, 100},
        {"width", "N", "channels", TUTTI_APP_INT, &options.sizes.width, 1, 8192},
        {"heads", "N", "attention heads; they divide the width", TUTTI_APP_INT,
         &options.sizes.heads, 1, 256},
        {"context", "N", "bytes of the text that are looked at", TUTTI_APP_INT,
         &options.sizes.context, 2, 8192},
        {"windows", "N", "random windows of the text in an epoch", TUTTI_APP_INT, &options.windows,
         1, 1e9},
        {"prompt", "TEXT", "what the written text begins with; default: a new line", TUTTI_APP_TEXT,
         (void *)&options.prompt, 0, 0},
        {"length", "N", "bytes to write", TUTTI_APP_INT, &options.length, 0, 1e9},
        {"temperature", "T", "0 takes the likeliest character", TUTTI_APP_REAL,
         &options.temperature, 0, 100},
    };
    tutti_app app = {
        .name = "chargpt",
        .summary = "Trains a character-level GPT on every OpenCL device and lets it write.",
        .data_argument = "PATH",
        .data_help = "text file or directory; default: this machine's licence texts",
        .options = own,
        .n_options = sizeof own / sizeof *own,
        .epochs = 5,
        .batch = 16,
        .lr = 1e-3,
        .seed = 1,
    };
    chargpt_data data = {0};
    tutti_status status = tutti_app_parse(&app, argc, argv);
    if (status == TUTTI_OK && !app.done)
        status = train(&app, &options, &data);
    const int code = tutti_app_finish(&app, status);
    data_free(&data);
    return code;
}
