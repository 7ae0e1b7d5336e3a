/* Which precision pays: the plan in f32 and the one in f16 or bf16 run the same made-up batch, on each
 * device alone. What the second computes must be near enough, and for `auto` its step must take less
 * time. The learning rate is 0 meanwhile, so that every step is the same. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "exec/run.h"

/* The most that all gradients together may be apart, relative: ReLUs with inputs near 0 change sides and norms
 * cancel most of a gradient, so that deep networks amplify rounding (design 6); what is wrong or overflows is off by more. */
#define GRADIENTS_MAX 0.25
#define LOSS_MAX      0.02 /* relative to the loss, or to 1 where that is more */
#define GAIN          0.97 /* of the time in f32 that auto wants a step to take at most */
#define ROUNDS        9
#define BUDGET_S      1.5 /* per device and precision */

typedef struct side {
    tutti_plan *plan;
    tutti_run *run;
    float *sums; /* what the owner alone gets summed up in a step: gradients, the loss */
    double median_s;
    float loss;
} side;

/* What a trial of a precision on a device said; the verdict waits for the other precisions. */
typedef struct finding {
    char *line;        /* NULL: not tried */
    bool near, faster; /* than f32 */
} finding;

typedef struct trial {
    const tutti_graph *graph;
    tutti_runtime *runtime;
    tutti_plan_options options;
    uint64_t seed;
    tutti_mode mode;
    tutti_feed *feeds;
    int32_t n_feeds;
    side exact, narrow;
    finding *found; /* by precision and device */
} trial;

static const char *const names[] = {"f32", "bf16", "f16"};

static void side_close(side *s) {
    tutti_run_close(s->run);
    tutti_plan_free(s->plan);
    free(s->sums);
    *s = (side){0};
}

static const tutti_program *program_of(const trial *t, const side *s) {
    return &s->plan->devices[s->plan->owner].modes[t->mode].program;
}

static bool is_sum(const tutti_item *item) {
    return item->kind == TUTTI_ITEM_REDUCE && item->place == TUTTI_PLACE_OWNER;
}

static size_t sums_count(const trial *t, const side *s) {
    const tutti_program *program = program_of(t, s);
    size_t count = 0;
    for (int32_t i = 0; i < program->n_items; i++)
        for (int32_t k = 0; is_sum(&program->items[i]) && k < program->items[i].n_tensors; k++)
            count += (size_t)tutti_shape_count(
                &t->graph->tensors[program->items[i].tensors[k].id].type.shape, 1);
    return count;
}

static tutti_status side_open(trial *t, tutti_precision precision, side *out) {
    tutti_plan_options options = t->options;
    options.precision = precision;
    options.device_precision = NULL;
    TUTTI_TRY(tutti_plan_make(t->graph, t->runtime, &options, &out->plan));
    TUTTI_TRY(tutti_run_open(out->plan, &(tutti_run_options){.seed = t->seed}, &out->run));
    if (t->mode == TUTTI_TRAIN)
        TUTTI_TRY(tutti_run_set_scalar(out->run, "lr", 0));
    out->sums = calloc(sums_count(t, out) + 1, sizeof *out->sums);
    return out->sums != NULL ? TUTTI_OK : tutti_fail_memory(0, "a trial step");
}

static void free_feeds(trial *t) {
    for (int32_t i = 0; i < t->n_feeds; i++)
        free((void *)t->feeds[i].data);
    free(t->feeds);
    t->feeds = NULL;
    t->n_feeds = 0;
}

/* Real numbers in [0, 1), of samples that differ in their mean, whole ones 0 or 1: right for
 * pictures, labels and the indices of tables. */
static tutti_status make_feeds(trial *t) {
    const tutti_program *program = program_of(t, &t->exact);
    t->feeds = calloc((size_t)program->n_inputs + 1, sizeof *t->feeds);
    if (t->feeds == NULL)
        return tutti_fail_memory(0, "a trial step");
    for (int32_t i = 0; i < program->n_inputs; i++) {
        const tutti_type *type = &t->graph->tensors[program->inputs[i].id].type;
        const size_t count = (size_t)tutti_shape_count(&type->shape, t->options.batch);
        void *data = calloc(count + 1, 4);
        if (data == NULL)
            return tutti_fail_memory(4 * count, "a trial step");
        t->feeds[t->n_feeds++] = (tutti_feed){program->inputs[i], data};
        tutti_rng rng;
        tutti_rng_begin(&rng, t->seed, program->inputs[i].id);
        const size_t row = (size_t)tutti_shape_sample_count(&type->shape);
        float mean = 0;
        for (size_t k = 0; k < count && type->dtype != TUTTI_BF16 && type->dtype != TUTTI_F16; k++)
            if (type->dtype == TUTTI_F32) {
                mean = k % row == 0 ? tutti_rng_uniform(&rng) : mean;
                ((float *)data)[k] = (mean + tutti_rng_uniform(&rng)) / 2;
            } else {
                ((int32_t *)data)[k] = (int32_t)tutti_rng_below(&rng, 2);
            }
    }
    return TUTTI_OK;
}

static tutti_status step(const trial *t, side *s, int64_t n, double *out_s) {
    const tutti_fetch fetch = {t->graph->loss, &s->loss};
    const double begin = tutti_clock_s();
    TUTTI_TRY(tutti_run_step(s->run, t->mode, n, t->feeds, t->n_feeds, &fetch, 1));
    *out_s = tutti_clock_s() - begin;
    return TUTTI_OK;
}

static tutti_status read_sums(const trial *t, side *s) {
    const tutti_program *program = program_of(t, s);
    tutti_run_member *owner = &s->run->members[s->plan->owner];
    float *to = s->sums;
    for (int32_t i = 0; i < program->n_items; i++)
        for (int32_t k = 0; is_sum(&program->items[i]) && k < program->items[i].n_tensors; k++) {
            const tutti_tensor tensor = program->items[i].tensors[k];
            const tutti_region *region = tutti_member_region(owner, t->mode, tensor);
            const size_t count =
                (size_t)tutti_shape_count(&t->graph->tensors[tensor.id].type.shape, 1);
            TUTTI_ASSERT(region != NULL);
            TUTTI_TRY(tutti_buffer_read(owner->device, owner->chunks[region->chunk],
                                        (size_t)region->offset_bytes, to, count * sizeof *to));
            to += count;
        }
    return TUTTI_OK;
}

static double apart(const trial *t) {
    const size_t count = sums_count(t, &t->exact);
    double square = 0, difference = 0;
    for (size_t i = 0; i < count; i++) {
        const double a = (double)t->exact.sums[i], b = (double)t->narrow.sums[i];
        square += a * a;
        difference += (a - b) * (a - b);
    }
    return difference == 0 ? 0 : sqrt(difference / square); /* NaN when something is not finite */
}

static bool is_finite(const trial *t, const side *s) {
    const size_t count = sums_count(t, s);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(s->sums[i]))
            return false;
    return isfinite(s->loss);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Alternating, so that both have the same chances. */
static tutti_status measure(trial *t, int64_t n) {
    double exact[ROUNDS], narrow[ROUNDS];
    const double begin = tutti_clock_s();
    size_t done = 0;
    while (done < ROUNDS && (done < 3 || tutti_clock_s() - begin < BUDGET_S)) {
        TUTTI_TRY(step(t, &t->exact, n, &exact[done]));
        TUTTI_TRY(step(t, &t->narrow, n, &narrow[done]));
        done++;
    }
    qsort(exact, done, sizeof *exact, compare);
    qsort(narrow, done, sizeof *narrow, compare);
    t->exact.median_s = exact[done / 2];
    t->narrow.median_s = narrow[done / 2];
    return TUTTI_OK;
}

/* One device's samples: as many as it can hold in both plans. */
static tutti_status use_device(trial *t, int32_t device, int64_t *out_n) {
    const int64_t a = t->exact.plan->devices[device].capacity;
    const int64_t b = t->narrow.plan->devices[device].capacity;
    *out_n = a < b ? a : b;
    double *shares = calloc((size_t)t->runtime->n_devices, sizeof *shares);
    if (shares == NULL)
        return tutti_fail_memory(0, "a trial step");
    shares[device] = 1;
    tutti_status status = tutti_run_set_shares(t->exact.run, shares);
    if (status == TUTTI_OK)
        status = tutti_run_set_shares(t->narrow.run, shares);
    free(shares);
    return status;
}

/* With loss scaling, at the scale to which training would come; the other side takes it too. */
static tutti_status step_at_scale(trial *t, int64_t n) {
    double time_s;
    float scale;
    uint64_t skipped;
    do {
        skipped = tutti_run_skipped(t->narrow.run);
        TUTTI_TRY(step(t, &t->narrow, n, &time_s));
        if (t->graph->finite.id == 0)
            return TUTTI_OK;
        TUTTI_TRY(tutti_run_get_scalar(t->narrow.run, "loss_scale", &scale));
    } while (tutti_run_skipped(t->narrow.run) > skipped && scale > 1);
    return tutti_run_set_scalar(t->exact.run, "loss_scale", scale);
}

/* Runs both on the device; *out_near says whether the results are near enough. `text` gets the
 * findings. */
static tutti_status try_device(trial *t, int32_t device, bool measured, bool *out_near,
                               bool *out_known, tutti_strbuf *text) {
    int64_t n;
    double time_s;
    TUTTI_TRY(use_device(t, device, &n));
    /* On the device before, one may have skipped a step: both are to draw the same random numbers. */
    t->exact.run->n_committed = t->narrow.run->n_committed;
    TUTTI_TRY(step_at_scale(t, n));
    TUTTI_TRY(read_sums(t, &t->narrow));
    TUTTI_TRY(step(t, &t->exact, n, &time_s));
    TUTTI_TRY(read_sums(t, &t->exact));
    const double loss = (double)t->exact.loss, other = (double)t->narrow.loss;
    const double distance = apart(t);
    *out_known = is_finite(t, &t->exact);
    *out_near = distance <= GRADIENTS_MAX && fabs(loss - other) <= LOSS_MAX * fmax(1, fabs(loss));
    tutti_strbuf_printf(text, "loss %.6g, in f32 %.6g", other, loss);
    if (t->mode == TUTTI_TRAIN)
        tutti_strbuf_printf(text, ", gradients %.2g %% apart", 100 * distance);
    if (!measured || !*out_near)
        return TUTTI_OK;
    TUTTI_TRY(measure(t, n));
    tutti_strbuf_printf(text, ", a step of %lld samples %.3f ms, in f32 %.3f ms", (long long)n,
                        t->narrow.median_s * 1e3, t->exact.median_s * 1e3);
    return TUTTI_OK;
}

static void trial_close(trial *t) {
    side_close(&t->exact);
    side_close(&t->narrow);
    free_feeds(t);
}

/* Both plans beside each other, with fewer samples where memory does not hold both. */
static tutti_status trial_open(trial *t, tutti_precision precision) {
    for (;;) {
        tutti_status status = side_open(t, TUTTI_PRECISION_F32, &t->exact);
        if (status == TUTTI_OK)
            status = side_open(t, precision, &t->narrow);
        if (status == TUTTI_OK)
            status = make_feeds(t);
        if (status != TUTTI_OUT_OF_MEMORY || t->options.batch == 1)
            return status;
        trial_close(t);
        t->options.batch /= 2;
    }
}

/* False for a device that the profile gives no samples. */
static bool takes_part(const trial *t, int32_t device) {
    return t->runtime->devices[device].share != 0;
}

/* Two plans need more memory than the one that training uses. */
static void put_no_memory(const trial *t, tutti_precision precision, bool automatic,
                          tutti_precision *out, tutti_strbuf *text) {
    for (int32_t i = 0; i < t->runtime->n_devices && !automatic; i++)
        if (takes_part(t, i))
            out[i] = precision;
    tutti_strbuf_printf(text, "precision: %s %s: there is no memory for f32 beside it\n",
                        names[precision], automatic ? "not taken" : "taken untried");
    if (!automatic)
        tutti_log_write(TUTTI_LOG_WARNING,
                        "precision %s cannot be judged: there is no memory for f32 beside it",
                        names[precision]);
}

/* One verdict for each device: of two that pass, the slower one is not taken. */
static void put_findings(const trial *t, bool automatic, const tutti_precision *out,
                         tutti_strbuf *text) {
    const int32_t n = t->runtime->n_devices;
    for (int32_t p = TUTTI_PRECISION_BF16; p <= TUTTI_PRECISION_F16; p++)
        for (int32_t i = 0; i < n; i++) {
            const finding *f = &t->found[p * n + i];
            const tutti_device_info *info = &t->runtime->devices[i].info;
            if (f->line == NULL)
                continue;
            tutti_strbuf_printf(text, "precision: %s (%s): %s ", info->id, info->name, names[p]);
            if (out[i] == (tutti_precision)p)
                tutti_strbuf_puts(text, "taken");
            else if (automatic && f->near && f->faster)
                tutti_strbuf_printf(text, "not taken, %s is faster", names[out[i]]);
            else
                tutti_strbuf_puts(text, automatic && f->near ? "not taken, it is not faster"
                                                             : "not taken, too far from f32");
            tutti_strbuf_printf(text, ": %s\n", f->line);
        }
}

/* Tries one precision on all devices and takes it where it passes. */
static tutti_status try_precision(trial *t, tutti_precision precision, bool automatic,
                                  tutti_precision *out, double *best_s, tutti_strbuf *text) {
    const tutti_status opened = trial_open(t, precision);
    if (opened == TUTTI_OUT_OF_MEMORY) {
        put_no_memory(t, precision, automatic, out, text);
        return TUTTI_OK;
    }
    TUTTI_TRY(opened);
    for (int32_t i = 0; i < t->runtime->n_devices; i++) {
        if (!takes_part(t, i))
            continue;
        const tutti_device_info *info = &t->runtime->devices[i].info;
        tutti_strbuf found = {0};
        bool near = false, known = true;
        const tutti_status status = try_device(t, i, automatic, &near, &known, &found);
        char *line = tutti_strbuf_take(&found);
        if (status != TUTTI_OK || line == NULL) {
            free(line);
            return status != TUTTI_OK ? status : TUTTI_OUT_OF_MEMORY;
        }
        const bool faster = t->narrow.median_s < GAIN * t->exact.median_s;
        const bool fastest = faster && (best_s[i] == 0 || t->narrow.median_s < best_s[i]);
        const bool taken = automatic ? near && fastest : near || !known;
        t->found[(int32_t)precision * t->runtime->n_devices + i] = (finding){line, near, faster};
        if (taken) {
            out[i] = precision;
            best_s[i] = t->narrow.median_s;
        }
        tutti_status refused = TUTTI_OK;
        if (!automatic && !known)
            tutti_log_write(TUTTI_LOG_WARNING,
                            "precision %s on %s cannot be judged: the loss or a gradient of a "
                            "made-up batch is not finite in f32 (loss %g)",
                            names[precision], info->id, (double)t->exact.loss);
        else if (!taken && !automatic)
            refused = tutti_fail(TUTTI_WRONG_RESULT,
                                 "precision %s on %s (%s) is too far from f32 in a trial step: %s; "
                                 "at most %g %% and %g %% of the loss are allowed",
                                 names[precision], info->id, info->name, line, 100 * GRADIENTS_MAX,
                                 100 * LOSS_MAX);
        TUTTI_TRY(refused);
    }
    return TUTTI_OK;
}

static tutti_status choose(trial *t, tutti_precision wanted, tutti_precision *out, double *best_s,
                           tutti_strbuf *text) {
    const int64_t batch = t->options.batch;
    const bool automatic = wanted == TUTTI_PRECISION_AUTO;
    const bool reproducible = t->runtime->profile->determinism == TUTTI_DETERMINISM_REPRODUCIBLE;
    if (wanted == TUTTI_PRECISION_F32)
        return TUTTI_OK;
    if (automatic && reproducible) {
        tutti_strbuf_puts(text, "precision: f32, since the run is to be reproducible\n");
        return TUTTI_OK;
    }
    for (tutti_precision p = TUTTI_PRECISION_BF16; p <= TUTTI_PRECISION_F16; p++) {
        if (automatic ? p == TUTTI_PRECISION_F16 && t->graph->finite.id == 0 : p != wanted)
            continue;
        t->options.batch = batch;
        const tutti_status status = try_precision(t, p, automatic, out, best_s, text);
        trial_close(t);
        TUTTI_TRY(status);
    }
    put_findings(t, automatic, out, text);
    return TUTTI_OK;
}

tutti_status tutti_precision_choose(const tutti_graph *graph, tutti_runtime *runtime,
                                    const tutti_plan_options *options, uint64_t seed,
                                    tutti_precision *out, char **out_text) {
    if (out_text != NULL)
        *out_text = NULL;
    if (graph == NULL || runtime == NULL || options == NULL || out == NULL || out_text == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "tutti_precision_choose: no argument may be NULL");
    if ((unsigned)options->precision > TUTTI_PRECISION_AUTO)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "tutti_precision_choose: %d is no precision",
                          (int)options->precision);
    if (graph->loss.id == 0)
        return tutti_fail(TUTTI_STATE, "tutti_precision_choose: the graph has no loss");
    for (int32_t i = 0; i < runtime->n_devices; i++)
        out[i] = TUTTI_PRECISION_F32;
    trial t = {.graph = graph,
               .runtime = runtime,
               .options = *options,
               .seed = seed,
               .mode = graph->has_optimizer ? TUTTI_TRAIN : TUTTI_EVAL};
    const size_t n_found = (TUTTI_PRECISION_F16 + 1) * (size_t)runtime->n_devices;
    double *best_s = calloc((size_t)runtime->n_devices + 1, sizeof *best_s);
    t.found = calloc(n_found + 1, sizeof *t.found);
    tutti_strbuf text = {0};
    tutti_status status = best_s == NULL || t.found == NULL
                              ? tutti_fail_memory(0, "a choice of precision")
                              : choose(&t, options->precision, out, best_s, &text);
    for (size_t i = 0; t.found != NULL && i < n_found; i++)
        free(t.found[i].line);
    free(t.found);
    free(best_s);
    *out_text = tutti_strbuf_take(&text);
    if (status == TUTTI_OK && *out_text == NULL)
        status = TUTTI_OUT_OF_MEMORY;
    if (status != TUTTI_OK) {
        free(*out_text);
        *out_text = NULL;
    }
    return status;
}
