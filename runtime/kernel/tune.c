#include "kernel/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kernel/trial.h"
#include "kernel/tuner.h"

#define DEFAULT_TOLERANCE 1e-4F
/* A timing is the median of so many samples of at least so long, within the budget. */
#define SAMPLES     9
#define SAMPLE_S    200e-6
#define REPEATS_MAX 64
/* Work for which a reference in plain C, and an interpreter, take about a second. */
#define REFERENCE_FLOPS   4e8
#define INTERPRETER_FLOPS 4e6
/* A candidate may take this much longer than the first before its run is not even begun. */
#define SLOWER_EXPECTED 4.0
/* Where getting binaries is slow, a library's routines take seconds to build, since it asks for
 * them: not repaid over thousands of steps unless the node takes this long without. */
#define ROUTINE_WORTH_S 1e-3
/* Only a clear gain beats a candidate that the op ranks before. */
#define CLEAR_GAIN 0.97

tutti_status tutti_tuner_note(tutti_tuner *t, int32_t c, const char *format, ...) {
    char text[TUTTI_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++) /* shown on one line */
        if (*p == '\n')
            *p = ' ';
    t->result->note[c] = tutti_arena_strdup(&t->kernels->arena, text);
    return t->result->note[c] != NULL ? TUTTI_OK : TUTTI_OUT_OF_MEMORY;
}

/* A candidate that cannot be used is out; a device or a process in trouble is an error. */
static tutti_status refute(tutti_tuner *t, int32_t c, tutti_status status, const char *what) {
    if (status == TUTTI_DEVICE_LOST || status == TUTTI_INTERNAL)
        return status;
    t->refuted[c] = true;
    t->no_memory |= status == TUTTI_OUT_OF_MEMORY;
    tutti_log_write(TUTTI_LOG_DEBUG, "%s on %s: candidate %s %s: %s", t->request->node->op->name,
                    t->device->info.id, t->request->candidates[c].name, what,
                    tutti_error_message());
    return tutti_tuner_note(t, c, "%s: %s", what, tutti_error_message());
}

static double spent(const tutti_tuner *t) {
    return tutti_clock_s() - t->begin_s;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of samples until the candidate's part of the budget is used up; at least one. */
static tutti_status measure(tutti_tuner *t, int32_t c, tutti_trial_run *run, double once) {
    bool mutates = t->request->node->op->mutates != 0;
    double until = spent(t) + (t->request->budget_s - spent(t)) / (t->request->n_candidates - c);
    int32_t repeats = 1;
    if (!mutates && once < SAMPLE_S)
        repeats = once * REPEATS_MAX < SAMPLE_S ? REPEATS_MAX : (int32_t)(SAMPLE_S / once) + 1;
    double samples[SAMPLES];
    int32_t n = 0;
    while (n < SAMPLES && (n == 0 || spent(t) + once * repeats < until)) {
        if (mutates)
            TUTTI_TRY(tutti_trial_reset(run));
        TUTTI_TRY(tutti_trial_time(run, repeats, &samples[n++]));
    }
    qsort(samples, (size_t)n, sizeof *samples, by_value);
    t->result->time_s[c] = n % 2 == 1 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
    return TUTTI_OK;
}

/* Runs the candidate once from fresh inputs and compares. The first run of a kernel may hide
 * compiling, so it counts neither as a timing nor, but on interpreters, as time spent. */
static tutti_status verify(tutti_tuner *t, int32_t c, tutti_trial_run *run) {
    double error, begin = tutti_clock_s();
    TUTTI_TRY(tutti_trial_reset(run));
    TUTTI_TRY(tutti_trial_time(run, 1, &t->verify_s));
    TUTTI_TRY(tutti_trial_error(run, &error));
    if ((t->device->quirks & TUTTI_QUIRK_INTERPRETER) == 0)
        t->begin_s += tutti_clock_s() - begin;
    const float tolerance = t->request->candidates[c].tolerance;
    if (error <= (double)(tolerance > 0 ? tolerance : t->tolerance))
        return TUTTI_OK;
    t->refuted[c] = true;
    const tutti_node_info *node = t->request->node;
    char in[TUTTI_SHAPE_TEXT] = "", out[TUTTI_SHAPE_TEXT] = "";
    if (node->n_in > 0)
        tutti_shape_text(&node->in_type[0].shape, in);
    if (node->n_out > 0)
        tutti_shape_text(&node->out_type[0].shape, out);
    /* What rounds may be too far from f32, though nothing is wrong with it. */
    tutti_log_write(
        tolerance > 0 ? TUTTI_LOG_INFO : TUTTI_LOG_WARNING,
        "%s, %s to %s, on %s (%s): candidate %s %s (relative error %.1e) and is not used",
        t->request->label != NULL ? t->request->label : node->op->name, in, out, t->device->info.id,
        t->device->info.name, t->request->candidates[c].name,
        tolerance > 0 ? "is too far from f32" : "gives a wrong result", error);
    return tutti_tuner_note(
        t, c, tolerance > 0 ? "too far from f32 (error %.1e)" : "wrong result (error %.1e)", error);
}

/* Verifies on `small`, and times on `full` (NULL: cannot be run within reason). */
static tutti_status try_candidate(tutti_tuner *t, int32_t c, tutti_trial *small,
                                  tutti_trial *full) {
    const tutti_candidate *candidate = &t->request->candidates[c];
    tutti_trial_run *run = NULL;
    tutti_status status = tutti_trial_bind(small, candidate, &run);
    if (status != TUTTI_OK)
        return refute(t, c, status,
                      status == TUTTI_BUILD_FAILED ? "does not compile" : "does not run");
    status = verify(t, c, run);
    if (status == TUTTI_OK && !t->refuted[c] && full == NULL)
        status = tutti_tuner_note(t, c, "verified, not measured");
    bool interpreter = (t->device->quirks & TUTTI_QUIRK_INTERPRETER) != 0;
    if (status == TUTTI_OK && !t->refuted[c] && full == small && interpreter) {
        t->result->time_s[c] = t->verify_s; /* nothing was hidden in it, and once is long enough */
    } else if (status == TUTTI_OK && !t->refuted[c] && full != NULL) {
        if (full != small) {
            tutti_trial_unbind(run);
            run = NULL;
            status = tutti_trial_bind(full, candidate, &run);
            if (status == TUTTI_OK)
                status = tutti_trial_reset(run);
        }
        double once = 0;
        if (status == TUTTI_OK)
            status = tutti_trial_time(run, 1, &once);
        if (status == TUTTI_OK)
            status = measure(t, c, run, once);
    }
    tutti_trial_unbind(run);
    tutti_log_write(TUTTI_LOG_DEBUG, "%s on %s: candidate %s: first run %.1f ms, then %.1f us",
                    t->request->node->op->name, t->device->info.id, candidate->name,
                    1e3 * t->verify_s, 1e6 * t->result->time_s[c]);
    return status == TUTTI_OK ? TUTTI_OK : refute(t, c, status, "does not run");
}

/* How many samples the reference, and an interpreter, can take. 0: not even one. */
static int64_t samples_within(const tutti_tuner *t, double flops) {
    const tutti_node_info *node = t->request->node;
    if (node->op->cost == NULL)
        return t->request->n;
    for (int64_t n = t->request->n; n > 0; n /= 2)
        if (node->op->cost(node, n).flops <= flops)
            return n;
    return 0;
}

/* Whether the time left allows for a run that is expected to take so long. On real hardware a slow
 * candidate that came first must not keep the others from being seen once. */
static bool affordable(const tutti_tuner *t, double expected_s) {
    bool interpreter = (t->device->quirks & TUTTI_QUIRK_INTERPRETER) != 0;
    double left = t->request->budget_s - (interpreter ? spent(t) : 0);
    return left > 0 && expected_s <= SLOWER_EXPECTED * left;
}

/* The trial at full size; NULL when it is out of reach, which only costs the measurement. */
static tutti_status make_full(tutti_tuner *t, tutti_trial *small, int64_t n_small,
                              tutti_trial **out) {
    const tutti_tune_request *request = t->request;
    *out = small;
    if (n_small == request->n)
        return TUTTI_OK;
    *out = NULL;
    if ((t->device->quirks & TUTTI_QUIRK_INTERPRETER) != 0)
        return TUTTI_OK;
    tutti_status status = tutti_trial_make(t->kernels, request->node, request->n, false, out);
    if (status == TUTTI_OUT_OF_MEMORY)
        *out = NULL;
    return status == TUTTI_OUT_OF_MEMORY ? TUTTI_OK : status;
}

static bool worth_building(const tutti_tuner *t, const tutti_candidate *candidate) {
    bool routine = false;
    for (int32_t i = 0; i < candidate->n_launches; i++)
        routine |= candidate->launches[i].routine != NULL;
    return !routine || (t->device->quirks & TUTTI_QUIRK_BINARY_SLOW) == 0 || t->first_s == 0 ||
           t->first_s >= ROUTINE_WORTH_S;
}

static tutti_status try_all(tutti_tuner *t, tutti_trial *small, tutti_trial *full) {
    for (int32_t c = 0; c < t->request->n_candidates; c++) {
        if (t->refuted[c])
            continue;
        if (t->first_s > 0 && !affordable(t, t->first_s)) {
            TUTTI_TRY(tutti_tuner_note(t, c, "not measured"));
            continue;
        }
        if (!worth_building(t, &t->request->candidates[c])) {
            TUTTI_TRY(tutti_tuner_note(t, c, "not measured, slow to build"));
            continue;
        }
        TUTTI_TRY(try_candidate(t, c, small, full));
        if (!t->refuted[c] && t->first_s == 0)
            t->first_s = isnan(t->result->time_s[c]) ? t->verify_s : t->result->time_s[c];
    }
    return TUTTI_OK;
}

static tutti_status want(tutti_tuner *t, int32_t c) {
    const tutti_candidate *candidate = &t->request->candidates[c];
    for (int32_t i = 0; i < candidate->n_launches; i++)
        TUTTI_TRY(tutti_kernels_want_trial(t->kernels, &candidate->launches[i],
                                           t->request->node->op->name));
    return TUTTI_OK;
}

/* All that are not out. */
static tutti_status build(tutti_tuner *t) {
    for (int32_t c = 0; c < t->request->n_candidates; c++) {
        const tutti_status status = t->refuted[c] ? TUTTI_OK : want(t, c);
        if (status == TUTTI_OUT_OF_MEMORY)
            return status;
        if (status != TUTTI_OK)
            TUTTI_TRY(refute(t, c, status, "does not compile"));
    }
    /* Which of them fail shows when they are bound. */
    const tutti_status status = tutti_kernels_build(t->kernels);
    return status == TUTTI_BUILD_FAILED ? TUTTI_OK : status;
}

/* Checks the candidate that a pack names. When it is right, what the pack says holds; when not, it
 * is out, and the others are measured. */
static tutti_status check_hint(tutti_tuner *t, const char *key, bool *out_good) {
    const int32_t c = t->result->hint;
    const bool interpreter = (t->device->quirks & TUTTI_QUIRK_INTERPRETER) != 0;
    const int64_t n = samples_within(t, interpreter ? INTERPRETER_FLOPS : REFERENCE_FLOPS);
    *out_good = false;
    if (n == 0 && interpreter)
        return TUTTI_OK;
    tutti_trial *trial;
    tutti_status status =
        tutti_trial_make(t->kernels, t->request->node, n == 0 ? 1 : n, true, &trial);
    if (status == TUTTI_OUT_OF_MEMORY)
        return TUTTI_OK;
    TUTTI_TRY(status);
    status = want(t, c);
    if (status == TUTTI_OK)
        status = tutti_kernels_build(t->kernels);
    if (status == TUTTI_OK || status == TUTTI_BUILD_FAILED)
        status = try_candidate(t, c, trial, NULL);
    tutti_trial_free(trial);
    TUTTI_TRY(status);
    if (t->refuted[c])
        return TUTTI_OK;
    *out_good = true;
    return tutti_tuner_trust(t, key);
}

static tutti_status skip_all(tutti_tuner *t) {
    for (int32_t c = 0; c < t->request->n_candidates; c++)
        TUTTI_TRY(tutti_tuner_note(t, c, "not measured"));
    return TUTTI_OK;
}

static tutti_status measure_all(tutti_tuner *t) {
    const tutti_tune_request *request = t->request;
    bool interpreter = (t->device->quirks & TUTTI_QUIRK_INTERPRETER) != 0;
    int64_t n = samples_within(t, interpreter ? INTERPRETER_FLOPS : REFERENCE_FLOPS);
    if (n == 0 && interpreter)
        return skip_all(t);
    tutti_trial *small;
    n = n == 0 ? 1 : n;
    tutti_status status = tutti_trial_make(t->kernels, request->node, n, true, &small);
    t->no_memory = status == TUTTI_OUT_OF_MEMORY;
    if (t->no_memory)
        return skip_all(t);
    TUTTI_TRY(status);
    tutti_trial *full = small;
    status = build(t);
    if (status == TUTTI_OK)
        status = make_full(t, small, n, &full);
    t->begin_s = tutti_clock_s();
    if (status == TUTTI_OK)
        status = try_all(t, small, full);
    if (full != small)
        tutti_trial_free(full);
    tutti_trial_free(small);
    return status;
}

static void choose(tutti_tuner *t) {
    tutti_tune_result *result = t->result;
    for (int32_t c = 0; c < t->request->n_candidates; c++) {
        double time = result->time_s[c];
        if (t->refuted[c] || isnan(time))
            continue;
        if (result->winner < 0 || time < CLEAR_GAIN * result->time_s[result->winner])
            result->winner = c;
    }
    for (int32_t c = 0; c < t->request->n_candidates && result->winner < 0; c++)
        if (!t->refuted[c])
            result->winner = c;
}

tutti_status tutti_tune(tutti_kernels *kernels, const tutti_tune_request *request,
                        tutti_tune_result *out) {
    TUTTI_ASSERT(request->n_candidates >= 1 &&
                 request->n_candidates <= TUTTI_TUNING_CANDIDATES_MAX);
    TUTTI_ASSERT(request->n >= 1 && request->node->op->ref != NULL);
    *out = (tutti_tune_result){.winner = -1, .hint = -1};
    for (int32_t c = 0; c < TUTTI_TUNING_CANDIDATES_MAX; c++) {
        out->time_s[c] = NAN;
        out->note[c] = "";
    }
    tutti_tuner t = {.kernels = kernels,
                     .device = tutti_kernels_device(kernels),
                     .request = request,
                     .result = out,
                     .tolerance = request->tolerance > 0 ? request->tolerance : DEFAULT_TOLERANCE};
    char key[TUTTI_DIGEST_HEX];
    const bool keyed =
        tutti_tuner_key(&t, key) == TUTTI_OK; /* a missing source refutes its candidate */
    bool known = false;
    if (keyed)
        TUTTI_TRY(tutti_tuner_recall(&t, key, &known));
    if (known || !(request->budget_s > 0))
        return TUTTI_OK;
    if (out->hint >= 0)
        TUTTI_TRY(check_hint(&t, key, &known));
    if (known)
        return TUTTI_OK;
    TUTTI_TRY(measure_all(&t));
    choose(&t);
    return keyed && !t.no_memory ? tutti_tuner_remember(&t, key) : TUTTI_OK;
}
