#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "train/trainer.h"

typedef struct fit {
    tutti_trainer *trainer;
    const tutti_fit_options *options;
    tutti_batcher *batches;
    tutti_progress progress;
    int64_t steps_done; /* of this fit */
    double begin_s;
    double train_s; /* in training steps, over all epochs */
    int64_t samples;
    float base_lr; /* NaN when the graph has no "lr" */
    tutti_weights *best;
    float *best_averages;
    double best_loss;
    int32_t since_best; /* epochs */
    tutti_metrics epoch;
} fit;

static tutti_status tell_one(const fit *f, tutti_event event, int32_t index) {
    void *user = f->options->callback_users != NULL ? f->options->callback_users[index] : NULL;
    const tutti_status status = f->options->callbacks[index](user, event, &f->progress, f->trainer);
    if (status == TUTTI_STOPPED)
        return tutti_fail(TUTTI_STOPPED, "fit: stopped by a callback in epoch %d, step %lld",
                          f->progress.epoch, (long long)f->progress.step);
    return status;
}

/* The first failure counts, and keeps the event from the callbacks behind it, unless it is END. */
static tutti_status tell(fit *f, tutti_event event) {
    char message[TUTTI_MESSAGE_MAX];
    tutti_status first = TUTTI_OK;
    f->progress.elapsed_s = tutti_clock_s() - f->begin_s;
    f->progress.total_steps = (int64_t)tutti_run_steps(f->trainer->run);
    for (int32_t i = 0; i < f->options->n_callbacks; i++) {
        const tutti_status status = tell_one(f, event, i);
        if (status != TUTTI_OK && event != TUTTI_EVENT_END)
            return status;
        if (status != TUTTI_OK && first == TUTTI_OK) {
            first = status;
            strcpy(message, tutti_error_message());
        }
    }
    return first == TUTTI_OK ? TUTTI_OK : tutti_fail_from(first, message);
}

static tutti_status set_lr(fit *f) {
    const tutti_lr_schedule *schedule = &f->options->schedule;
    if (schedule->kind == TUTTI_LR_CONSTANT && schedule->warmup_steps == 0)
        return TUTTI_OK;
    const double lr =
        (double)f->base_lr * tutti_lr_factor(schedule, f->steps_done, f->progress.steps,
                                             f->progress.steps * f->progress.epochs);
    f->progress.lr = lr;
    return tutti_run_set_scalar(f->trainer->run, "lr", (float)lr);
}

static tutti_status check_finite(const fit *f, double loss) {
    if (isfinite(loss))
        return TUTTI_OK;
    const char *stored = f->trainer->precision_text;
    const bool half = stored != NULL && strstr(stored, ": f16 taken") != NULL;
    return tutti_fail(TUTTI_BAD_INPUT,
                      "fit: the loss is %g in epoch %d, step %lld: is the learning rate too large, "
                      "or a value of the data set not finite or a label out of range%s?",
                      loss, f->progress.epoch, (long long)f->progress.step,
                      half ? ", or a result beyond 65504, where f16 ends" : "");
}

static tutti_status train_epoch(fit *f) {
    tutti_progress *p = &f->progress;
    p->val_loss = p->val_accuracy = (double)NAN;
    p->step = 0;
    tutti_batcher_shuffle(f->batches, f->trainer->seed, f->trainer->epochs_done++);
    tutti_mean mean = {0};
    double epoch_s = 0;
    for (;;) {
        const void *x, *y;
        float loss;
        const double step_begin = tutti_clock_s();
        const int64_t n = tutti_batcher_next(f->batches, &x, &y);
        if (n == 0)
            break;
        p->step++;
        TUTTI_TRY(set_lr(f));
        TUTTI_TRY(tutti_trainer_step(f->trainer, TUTTI_TRAIN, n, x, y, &mean, &loss));
        TUTTI_TRY(check_finite(f, (double)loss));
        f->steps_done++;
        epoch_s += tutti_clock_s() - step_begin;
        p->loss = mean.loss / (double)mean.samples;
        p->accuracy = mean.accuracy / (double)mean.samples;
        p->samples_per_s = (double)mean.samples / epoch_s;
        const double elapsed = tutti_clock_s() - f->begin_s;
        p->eta_s = elapsed / (double)f->steps_done * (double)(p->steps * p->epochs - f->steps_done);
        TUTTI_TRY(tell(f, TUTTI_EVENT_STEP));
    }
    f->train_s += epoch_s;
    f->samples += mean.samples;
    f->epoch = (tutti_metrics){.loss = p->loss,
                               .accuracy = p->accuracy,
                               .samples = mean.samples,
                               .seconds = epoch_s,
                               .samples_per_s = p->samples_per_s};
    return TUTTI_OK;
}

/* Keeps the weights when they are the best so far. */
static tutti_status judge(fit *f) {
    const tutti_progress *p = &f->progress;
    if (f->options->patience <= 0)
        return TUTTI_OK;
    const double loss = f->options->validation != NULL ? p->val_loss : p->loss;
    if (loss < f->best_loss - f->options->min_delta) {
        f->best_loss = loss;
        f->since_best = 0;
        TUTTI_TRY(tutti_averages_keep(f->best_averages, f->trainer));
        return tutti_weights_keep(f->best, f->trainer);
    }
    f->since_best++;
    return TUTTI_OK;
}

static tutti_status run_epochs(fit *f) {
    tutti_progress *p = &f->progress;
    TUTTI_TRY(tell(f, TUTTI_EVENT_BEGIN));
    for (p->epoch = 1; p->epoch <= p->epochs; p->epoch++) {
        TUTTI_TRY(train_epoch(f));
        if (f->options->validation != NULL) {
            tutti_metrics metrics;
            const tutti_status status =
                (f->options->validate_average
                     ? tutti_trainer_evaluate_average
                     : tutti_trainer_evaluate)(f->trainer, f->options->validation, &metrics);
            if (status != TUTTI_OK)
                return tutti_fail_context(status, "fit: validation in epoch %d", p->epoch);
            p->val_loss = metrics.loss;
            p->val_accuracy = metrics.accuracy;
        }
        TUTTI_TRY(judge(f));
        TUTTI_TRY(tell(f, TUTTI_EVENT_EPOCH));
        if (p->epoch == p->epochs ||
            (f->options->patience > 0 && f->since_best >= f->options->patience))
            return TUTTI_OK;
    }
    return TUTTI_OK;
}

/* What must happen however the epochs ended; keeps their status and message. */
static tutti_status finish(fit *f, tutti_status status) {
    char message[TUTTI_MESSAGE_MAX];
    strcpy(message, tutti_error_message());
    tutti_status after = TUTTI_OK;
    if (status != TUTTI_DEVICE_LOST && isfinite(f->best_loss)) {
        after = tutti_trainer_use_average(f->trainer, false); /* if a callback left them there */
        if (after == TUTTI_OK)
            after = tutti_weights_restore(f->best, f->trainer);
        if (after == TUTTI_OK)
            after = tutti_averages_restore(f->best_averages, f->trainer);
    }
    if (after == TUTTI_OK && !isnan(f->base_lr) && status != TUTTI_DEVICE_LOST)
        after = tutti_run_set_scalar(f->trainer->run, "lr", f->base_lr);
    if (f->train_s > 0)
        f->progress.samples_per_s = (double)f->samples / f->train_s;
    f->progress.eta_s = 0;
    const tutti_status told = tell(f, TUTTI_EVENT_END);
    if (status != TUTTI_OK)
        return tutti_fail_from(status, message);
    return after != TUTTI_OK ? after : told;
}

static bool is_factor(float value) {
    return value >= 0 && isfinite(value);
}

static tutti_status check_options(const tutti_fit_options *o) {
    const tutti_lr_schedule *s = &o->schedule;
    if (o->epochs < 0 || o->patience < 0 || s->warmup_steps < 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "fit: %d epochs, patience %d, %lld warm-up steps: none may be negative",
                          o->epochs, o->patience, (long long)s->warmup_steps);
    if (o->samples_per_epoch < 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "fit: %lld samples per epoch",
                          (long long)o->samples_per_epoch);
    if ((int)s->kind < TUTTI_LR_CONSTANT || s->kind > TUTTI_LR_ONE_CYCLE)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "fit: no learning-rate schedule has the kind %d",
                          (int)s->kind);
    if (!is_factor(s->gamma) || !is_factor(s->final_factor) || !is_factor(s->first_factor) ||
        !(s->rise >= 0 && s->rise <= 1) || s->every_epochs < 0)
        return tutti_fail(
            TUTTI_INVALID_ARGUMENT,
            "fit: learning-rate schedule: gamma %g, final factor %g, first factor %g, "
            "rise %g, every %d epochs: expected finite numbers, none negative, and a rise "
            "of at most 1",
            (double)s->gamma, (double)s->final_factor, (double)s->first_factor, (double)s->rise,
            s->every_epochs);
    if (!isfinite(o->min_delta))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "fit: min_delta is %g", o->min_delta);
    if (o->n_callbacks < 0 || (o->n_callbacks > 0 && o->callbacks == NULL))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "fit: %d callbacks%s", o->n_callbacks,
                          o->callbacks == NULL ? ", but no array of them" : "");
    for (int32_t i = 0; i < o->n_callbacks; i++)
        if (o->callbacks[i] == NULL)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "fit: callback %d is NULL", i);
    return TUTTI_OK;
}

/* Of a fit of that many steps. */
static tutti_status check_warmup(const tutti_lr_schedule *s, int64_t steps) {
    if (s->kind == TUTTI_LR_ONE_CYCLE && s->warmup_steps > 0)
        return tutti_fail(
            TUTTI_INVALID_ARGUMENT,
            "fit: learning-rate schedule: %lld warm-up steps, but one cycle has a rise "
            "of its own (rise, first_factor)",
            (long long)s->warmup_steps);
    if (s->warmup_steps > steps)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "fit: learning-rate schedule: %lld warm-up steps, but the fit has %lld",
                          (long long)s->warmup_steps, (long long)steps);
    return TUTTI_OK;
}

tutti_status tutti_trainer_fit(tutti_trainer *trainer, const tutti_dataset *set,
                               const tutti_fit_options *options, tutti_metrics *out) {
    static const tutti_fit_options defaults;
    const double nan = (double)NAN;
    fit f = {.trainer = trainer,
             .options = options != NULL ? options : &defaults,
             .begin_s = tutti_clock_s(),
             .base_lr = NAN,
             .best_loss = (double)INFINITY,
             .epoch = {.loss = nan, .accuracy = nan, .samples_per_s = nan}};
    if (trainer->fitting)
        return tutti_fail(TUTTI_STATE, "fit: called from a callback of a fit of the same trainer");
    if (!tutti_graph_has_optimizer(trainer->graph))
        return tutti_fail(TUTTI_STATE, "fit: the graph has no optimizer");
    TUTTI_TRY(tutti_trainer_check(trainer, set, "fit"));
    if (f.options->validation != NULL)
        TUTTI_TRY(tutti_trainer_check(trainer, f.options->validation, "fit: validation"));
    TUTTI_TRY(check_options(f.options));
    const int64_t limit = f.options->samples_per_epoch;
    TUTTI_TRY(tutti_augment_check(&f.options->augment, set));
    const bool scheduled =
        f.options->schedule.kind != TUTTI_LR_CONSTANT || f.options->schedule.warmup_steps > 0;
    if (tutti_run_get_scalar(trainer->run, "lr", &f.base_lr) != TUTTI_OK) {
        f.base_lr = NAN;
        if (scheduled)
            return tutti_fail(TUTTI_STATE,
                              "fit: a learning-rate schedule, but the graph has no scalar \"lr\"");
    }
    const int64_t samples = limit > 0 && limit < set->n ? limit : set->n;
    f.progress = (tutti_progress){
        .epochs = f.options->epochs == 0 ? 1 : f.options->epochs,
        .steps = (samples + trainer->batch - 1) / trainer->batch,
        .loss = nan,
        .accuracy = nan,
        .val_loss = nan,
        .val_accuracy = nan,
        .lr = (double)f.base_lr,
        .samples_per_s = nan,
        .eta_s = nan,
    };
    TUTTI_TRY(check_warmup(&f.options->schedule, f.progress.steps * f.progress.epochs));
    TUTTI_TRY(tutti_batcher_make(set, trainer->batch, &f.batches));
    tutti_batcher_limit(f.batches, limit);
    tutti_batcher_augment(f.batches, &f.options->augment);
    tutti_status status = TUTTI_OK;
    if (f.options->patience > 0)
        status = tutti_weights_make(trainer->graph, &f.best);
    if (f.options->patience > 0 && status == TUTTI_OK)
        status = tutti_averages_make(trainer->graph, &f.best_averages);
    if (status == TUTTI_OK) {
        trainer->fitting = true;
        status = finish(&f, run_epochs(&f));
        trainer->fitting = false;
    }
    if (out != NULL)
        *out = f.epoch;
    tutti_weights_free(f.best);
    free(f.best_averages);
    tutti_batcher_free(f.batches);
    return status;
}
