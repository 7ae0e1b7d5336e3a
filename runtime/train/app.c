#include "tutti/app.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

enum { CALLBACKS_MAX = 16 };

static tutti_status print_plan(tutti_app *app) {
    char *text;
    TUTTI_TRY(tutti_plan_explain(tutti_trainer_plan(app->trainer), &text));
    const bool printed = fputs(text, stdout) >= 0 &&
                         fputs(tutti_trainer_precision(app->trainer), stdout) >= 0 &&
                         fflush(stdout) == 0;
    tutti_free(text);
    return printed ? TUTTI_OK
                   : tutti_fail(TUTTI_IO, "cannot write standard output: %s", strerror(errno));
}

float tutti_app_loss_scale(const tutti_app *app) {
    return app->precision == TUTTI_PRECISION_F16 ? 65536 : 0;
}

tutti_status tutti_app_fail(tutti_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)tutti_fail_v(status, format, args);
    va_end(args);
    return status;
}

/* How the fit went, of which only its last event tells. */
static tutti_status note_end(void *user, tutti_event event, const tutti_progress *progress,
                             tutti_trainer *trainer) {
    (void)trainer;
    if (event == TUTTI_EVENT_END)
        *(tutti_progress *)user = *progress;
    return TUTTI_OK;
}

static tutti_status fit(tutti_app *app, const tutti_app_task *task, tutti_progress *out_end) {
    tutti_callback callbacks[CALLBACKS_MAX];
    void *users[CALLBACKS_MAX] = {NULL};
    tutti_fit_options options = task->fit;
    if (options.n_callbacks < 0 || options.n_callbacks > CALLBACKS_MAX - 2)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%d callbacks, expected at most %d",
                          options.n_callbacks, CALLBACKS_MAX - 2);
    for (int32_t i = 0; i < options.n_callbacks; i++) {
        callbacks[i] = options.callbacks[i];
        users[i] = options.callback_users != NULL ? options.callback_users[i] : NULL;
    }
    callbacks[options.n_callbacks] = tutti_report_callback;
    users[options.n_callbacks++] = app->report;
    callbacks[options.n_callbacks] = note_end;
    users[options.n_callbacks++] = out_end;
    options.callbacks = callbacks;
    options.callback_users = users;
    options.epochs = (int32_t)app->epochs;
    return tutti_trainer_fit(app->trainer, task->train, &options, NULL);
}

static void print_devices(const tutti_app *app) {
    for (int32_t i = 0; i < tutti_runtime_device_count(app->runtime); i++) {
        const tutti_device_info *info = tutti_runtime_device(app->runtime, i);
        const tutti_run_device_stats stats = tutti_run_device(tutti_trainer_run(app->trainer), i);
        printf("  %s %s: share %.1f %%, busy %.2f s%s\n", info->id, info->name, 100 * stats.share,
               stats.busy_s, stats.lost ? ", lost" : "");
    }
}

static void print_summary(const tutti_app *app, const tutti_app_task *task,
                          const tutti_progress *end, const tutti_metrics *test) {
    const tutti_kernel_stats kernels = tutti_runtime_kernel_stats(app->runtime);
    const double first = tutti_run_first_step_s(tutti_trainer_run(app->trainer));
    const bool held = task->test == task->fit.validation; /* there is no test set of its own */
    const char *set = held ? "validation" : "test";
    printf("data: %s; samples: %lld training, %lld validation", task->train->source,
           (long long)task->train->n,
           (long long)(task->fit.validation != NULL ? task->fit.validation->n : 0));
    if (!held)
        printf(", %lld test", (long long)task->test->n);
    printf("\n");
    if (end->epoch > 0 && end->epoch < end->epochs)
        printf("epochs: %d of %d, stopped since the %s loss had not improved for %d\n", end->epoch,
               end->epochs, task->fit.validation != NULL ? "validation" : "training",
               task->fit.patience);
    printf("%s loss: %.4f\n", set, test->loss);
    if (!isnan(test->accuracy))
        printf("%s accuracy: %.2f %%\n", set, 100 * test->accuracy);
    if (end->epoch > 0)
        printf("speed: %.0f samples/s\n", end->samples_per_s);
    printf("devices:\n");
    print_devices(app);
    printf("kernels: %d compiled, %d from Tutti's cache, %d from the driver's cache\n",
           kernels.compiled, kernels.from_disk, kernels.from_driver);
    if (first > 0)
        printf("first step: after %.2f s\n", first);
    if (app->save != NULL)
        printf("weights: %s\n", app->save);
    if (app->metrics != NULL)
        printf("metrics: %s\n", app->metrics);
    if (app->plot != NULL)
        printf("loss curves: %s\n", app->plot);
}

/* The first start may take a while before the first step: says what it is about. */
static void tell_kernels(void *user, tutti_log_level level, const char *text) {
    const tutti_app *app = user;
    if (level == TUTTI_LOG_INFO && strncmp(text, "kernels: ", 9) == 0)
        fprintf(stderr, "%s: %s\n", app->name, text + 9);
}

static tutti_status open_trainer(tutti_app *app, const tutti_app_task *task) {
    tutti_trainer_options options = task->trainer;
    options.batch = app->batch;
    options.seed = (uint64_t)app->seed;
    options.precision = (tutti_precision)app->precision;
    options.matmul_precision = (tutti_matmul_precision)app->matmul_precision;
    if (app->epochs > 0 && app->batch > task->train->n) {
        options.batch = task->train->n;
        if (!app->quiet)
            fprintf(
                stderr,
                "%s: the batch of %lld is cut to the training set's %lld samples: each epoch is "
                "one step\n",
                app->name, (long long)app->batch, (long long)task->train->n);
    }
    if (!app->quiet)
        tutti_log_watch(tell_kernels, app);
    const tutti_status status =
        tutti_trainer_open(app->graph, app->runtime, &options, &app->trainer);
    tutti_log_watch(NULL, NULL);
    return status;
}

tutti_status tutti_app_run(tutti_app *app, const tutti_app_task *task, tutti_metrics *out_test) {
    const tutti_report_options report = {.quiet = app->quiet,
                                         .metrics_path = app->metrics,
                                         .plot_path = app->plot,
                                         .title = task->title};
    if (app->save != NULL) /* now, not when hours of training would be lost */
        TUTTI_TRY(tutti_file_check_write(app->save));
    TUTTI_TRY(tutti_report_open(&report, &app->report));
    TUTTI_TRY(tutti_profile_open(app->profile, &app->opened_profile));
    TUTTI_TRY(tutti_runtime_open(app->opened_profile, &app->runtime));
    TUTTI_TRY(open_trainer(app, task));
    if (app->load != NULL)
        TUTTI_TRY(tutti_weights_load(app->trainer, app->load));
    if (app->explain)
        TUTTI_TRY(print_plan(app));
    tutti_progress end = {0};
    if (app->epochs > 0)
        TUTTI_TRY(fit(app, task, &end));
    if (app->save != NULL)
        TUTTI_TRY(tutti_weights_save(app->trainer, app->save));
    tutti_metrics test;
    TUTTI_TRY(tutti_trainer_evaluate(app->trainer, task->test, &test));
    TUTTI_TRY(tutti_report_end(app->report, app->trainer, &test));
    print_summary(app, task, &end, &test);
    if (out_test != NULL)
        *out_test = test;
    return TUTTI_OK;
}

int tutti_app_finish(tutti_app *app, tutti_status status) {
    /* Now, so that a message comes last. */
    const bool printed = fflush(stdout) == 0 && !ferror(stdout);
    if (status == TUTTI_OK && !printed)
        status = tutti_fail(TUTTI_IO, "cannot write standard output: %s", strerror(errno));
    if (status != TUTTI_OK)
        fprintf(stderr, "%s: %s\n", app->name, tutti_error_message());
    tutti_report_close(app->report);
    tutti_trainer_close(app->trainer);
    tutti_graph_free(app->graph);
    tutti_runtime_close(app->runtime);
    tutti_profile_free(app->opened_profile);
    app->report = NULL;
    app->trainer = NULL;
    app->graph = NULL;
    app->runtime = NULL;
    app->opened_profile = NULL;
    return tutti_status_exit_code(status);
}
