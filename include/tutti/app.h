/* What the samples share: their options, and the way from a graph and data sets to a trained model,
 * its metrics and a summary.
 *
 *     tutti_app app = {.name = "digits", .summary = "…", .epochs = 100, .batch = 32, .lr = 1e-3};
 *     tutti_status status = tutti_app_parse(&app, argc, argv);
 *     if (status == TUTTI_OK && !app.done)
 *         status = train(&app);                 builds app.graph, loads data, tutti_app_run
 *     return tutti_app_finish(&app, status);    the program's exit code
 *
 * These functions write results to standard output; nothing here exits. One thread at a time.
 */
#ifndef TUTTI_APP_H
#define TUTTI_APP_H

#include "tutti/report.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tutti_app_kind {
    TUTTI_APP_FLAG, /* value: bool * */
    TUTTI_APP_TEXT, /* const char ** (NULL: not given) */
    TUTTI_APP_INT,  /* int64_t * */
    TUTTI_APP_REAL, /* double * */
    /* int64_t *: which of the words of `argument`, "refuse|drop|fill", from 0 */
    TUTTI_APP_CHOICE
} tutti_app_kind;

/* One option, "--name" or "--name ARGUMENT". What `value` points to holds the default. */
typedef struct tutti_app_option {
    const char *name;
    const char *argument; /* placeholder in the help */
    const char *help;     /* one line */
    tutti_app_kind kind;
    void *value;
    double min, max; /* of numbers, inclusive */
} tutti_app_option;

typedef struct tutti_app {
    /* Set by the program. */
    const char *name, *summary;
    const char *data_argument, *data_help; /* of --data, in the help */
    const tutti_app_option *options;       /* of its own */
    int32_t n_options;
    /* Shared options; the program sets defaults, parsing changes them. */
    const char *profile; /* file or expression; NULL: auto */
    const char *data;
    int64_t epochs; /* 0: evaluate only */
    int64_t batch;
    double lr;
    int64_t seed;
    const char *load, *save; /* weights, as tutti_weights_load and tutti_weights_save */
    const char *metrics, *plot;
    int64_t precision;        /* a tutti_precision */
    int64_t matmul_precision; /* a tutti_matmul_precision */
    bool explain, quiet;
    /* State. */
    bool done;          /* --help or --version was answered: nothing is left to do */
    uint64_t given;     /* bit i: the command line has options[i] */
    tutti_graph *graph; /* made by the program, freed by tutti_app_finish */
    tutti_profile *opened_profile;
    tutti_runtime *runtime;
    tutti_trainer *trainer;
    tutti_report *report;
} tutti_app;

/* Parses the command line. Errors: TUTTI_USAGE with a one-line message that names the option and
 * what it expects. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_app_parse(tutti_app *app, int argc, char **argv);

/* loss_scale of the optimizer for the precision that was asked for. */
TUTTI_API float tutti_app_loss_scale(const tutti_app *app);
/* For options of the program that mean something with a data set of the user only (with_data), or with
 * the program's own only: TUTTI_USAGE when one of the n names is given otherwise. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_app_check_data(const tutti_app *app, bool with_data,
                                                           const char *const *names, int32_t n);
/* Fails with a message of the program, of which tutti_error_message() may be a part. */
TUTTI_API tutti_status tutti_app_fail(tutti_status status, const char *format, ...)
    TUTTI_PRINTF(2, 3);

typedef struct tutti_app_task {
    const char *title;             /* of the loss curves */
    tutti_trainer_options trainer; /* batch and seed come from the options */
    tutti_fit_options fit;         /* epochs come from the options; the report is added */
    const tutti_dataset *train;
    const tutti_dataset *test; /* fit.validation once more, where there is no other */
} tutti_app_task;

/* Sees that the files can be written, opens profile, devices and trainer, loads weights, prints the plan when --explain asks for it,
 * trains app->graph (frozen) for --epochs, saves weights, evaluates on the test set, writes metrics
 * and loss curves, and prints the summary: test accuracy, samples/s, each device's share, kernels, time to the first step, the path
 * of the loss curves. The trainer stays open for predictions. out_test may be NULL. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_app_run(tutti_app *app, const tutti_app_task *task,
                                                    tutti_metrics *out_test);
/* Prints the message of a failed status on standard error, closes all, and returns the exit code.
 * What could not be written to standard output is a failure too. */
TUTTI_API int tutti_app_finish(tutti_app *app, tutti_status status);

#ifdef __cplusplus
}
#endif
#endif
