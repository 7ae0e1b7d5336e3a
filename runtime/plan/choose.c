/* Which candidate computes each step: the first, or where the profile allows and there are several,
 * the fastest by measurement on the device at hand. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "graph/fuse.h"
#include "kernel/runtime.h"
#include "kernel/tune.h"
#include "plan/make.h"

#define MEASURE_S         0.15  /* per node */
#define MEASURE_TOLERANCE 1e-4F /* relative to the largest magnitude of an output */
/* With a time limit, so many nodes' candidates are built before they are measured, and the clock is
 * looked at in between. A device's first round is one node, measured whatever the clock says: where
 * building takes longer than the limit, the next call gets on. */
#define MEASURE_ROUND 8

_Static_assert(TUTTI_CANDIDATES_MAX == TUTTI_TUNING_CANDIDATES_MAX,
               "the tuner answers for as many candidates as a node can have");

typedef struct request {
    tutti_tune_request ask;
    tutti_tune_result answer;
    bool answered;
    const char *skipped; /* why nothing was measured, or NULL */
} request;

/* How far measuring has come, over all devices. */
typedef struct progress {
    const tutti_plan_options *options;
    double begin_s;
    int32_t done, count;
    pthread_mutex_t lock;
} progress;

/* One device's requests; steps that ask the same share one. */
typedef struct chooser {
    tutti_plan *plan;
    tutti_plan_device *device;
    tutti_draft_device *draft;
    tutti_kernels *kernels;
    progress *progress;
    request *requests;
    int32_t n_requests, cap_requests;
    int32_t next, round_end; /* requests of the round: built together, then measured */
    bool measured;           /* one at least */
    int32_t *request_of[TUTTI_MODE_COUNT]; /* by step, or -1 */
} chooser;

static bool same_types(const tutti_type *a, const tutti_type *b, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (a[i].dtype != b[i].dtype || !tutti_shape_equal(&a[i].shape, &b[i].shape))
            return false;
    return true;
}

/* True when the candidates differ at most in what the node's attribute says. */
static bool same_sources(const tutti_tune_request *a, const tutti_tune_request *b) {
    for (int32_t c = 0; c < a->n_candidates; c++) {
        const tutti_candidate *x = &a->candidates[c], *y = &b->candidates[c];
        if (x->n_launches != y->n_launches)
            return false;
        for (int32_t i = 0; i < x->n_launches; i++) {
            const char *p = x->launches[i].source, *q = y->launches[i].source;
            if ((p == NULL) != (q == NULL) || (p != NULL && strcmp(p, q) != 0))
                return false;
        }
    }
    return true;
}

static bool same_request(const tutti_tune_request *a, const tutti_tune_request *b) {
    /* The nodes that decide between the candidates. */
    const tutti_node_info *x = tutti_fused_core(a->node), *y = tutti_fused_core(b->node);
    return x->op == y->op && a->n == b->n && x->n_in == y->n_in && x->n_out == y->n_out &&
           a->n_candidates == b->n_candidates && (x->attr == NULL) == (y->attr == NULL) &&
           (x->attr == NULL || memcmp(x->attr, y->attr, x->op->attr_size) == 0) &&
           same_types(x->in_type, y->in_type, x->n_in) &&
           same_types(x->out_type, y->out_type, x->n_out) && same_sources(a, b);
}

/* The samples that the device will get, as far as is known now. */
static int64_t expected_samples(const chooser *c) {
    const double share = c->plan->runtime->devices[c->device->device].share;
    if (share == TUTTI_SHARE_AUTO)
        return c->plan->batch;
    const int64_t n = (int64_t)(share * (double)c->plan->batch + 0.5);
    return n > 0 ? n : 1;
}

static tutti_status add_request(chooser *c, int mode, int32_t step) {
    const tutti_plan_mode *m = &c->device->modes[mode];
    const tutti_draft_step *draft = &c->draft->steps[mode][step];
    const tutti_node_info *node = &m->program.items[m->steps[step].item].node;
    c->request_of[mode][step] = -1;
    if (draft->n_candidates < 2)
        return TUTTI_OK;
    request r = {.ask = {.node = node,
                         .label = tutti_fused_label(node),
                         .candidates = draft->candidates,
                         .n_candidates = draft->n_candidates,
                         .n = expected_samples(c),
                         .tolerance = MEASURE_TOLERANCE}};
    for (int32_t i = 0; i < c->n_requests; i++)
        if (same_request(&c->requests[i].ask, &r.ask)) {
            c->request_of[mode][step] = i;
            return TUTTI_OK;
        }
    if (c->plan->runtime->profile->determinism == TUTTI_DETERMINISM_REPRODUCIBLE)
        r.skipped = "first of several, reproducible";
    if (c->n_requests == c->cap_requests) {
        const int32_t capacity = c->cap_requests == 0 ? 16 : 2 * c->cap_requests;
        request *grown = realloc(c->requests, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *grown, "candidates");
        c->requests = grown;
        c->cap_requests = capacity;
    }
    c->request_of[mode][step] = c->n_requests;
    c->requests[c->n_requests++] = r;
    return TUTTI_OK;
}

static tutti_status add_requests(chooser *c) {
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        const tutti_plan_mode *m = &c->device->modes[mode];
        c->request_of[mode] = calloc((size_t)m->n_steps + 1, sizeof(int32_t));
        if (c->request_of[mode] == NULL)
            return tutti_fail_memory((size_t)m->n_steps * sizeof(int32_t), "candidates");
        for (int32_t s = 0; s < m->n_steps; s++)
            TUTTI_TRY(add_request(c, mode, s));
    }
    return TUTTI_OK;
}

/* The remembered winners: nothing is built for them that is not needed. */
static tutti_status recall(chooser *c) {
    for (int32_t i = 0; i < c->n_requests; i++) {
        request *r = &c->requests[i];
        if (r->skipped != NULL)
            continue;
        r->ask.again = c->progress->options->measure_again;
        r->ask.budget_s = 0;
        TUTTI_TRY(tutti_tune(c->kernels, &r->ask, &r->answer));
        r->answered = r->answer.winner >= 0;
    }
    return TUTTI_OK;
}

typedef tutti_status (*want_fn)(tutti_kernels *kernels, const tutti_launch *launch, const char *op);

static tutti_status want(chooser *c, want_fn fn, const tutti_candidate *candidate, const char *op) {
    for (int32_t i = 0; i < candidate->n_launches; i++)
        TUTTI_TRY(fn(c->kernels, &candidate->launches[i], op));
    return TUTTI_OK;
}

static bool is_open(const request *r) {
    return !r->answered && r->skipped == NULL;
}

/* The next requests to be measured; their candidates are built together. One whose source cannot be
 * had is left to the tuner, which notes it. Of what a pack answers, only its winner is built. */
static bool want_round(chooser *c) {
    const bool limited = c->progress->options->measure_limit_s > 0;
    const int32_t most = !limited ? c->n_requests : c->measured ? MEASURE_ROUND : 1;
    int32_t n = 0, i = c->round_end;
    c->next = i;
    for (; i < c->n_requests && n < most; i++) {
        const request *r = &c->requests[i];
        if (!is_open(r))
            continue;
        n++;
        for (int32_t k = 0; k < r->ask.n_candidates; k++) {
            const int32_t hint = r->answer.hint;
            if (hint >= 0 && hint != k)
                continue;
            const tutti_status status =
                want(c, tutti_kernels_want_trial, &r->ask.candidates[k], r->ask.node->op->name);
            if (status != TUTTI_OK)
                tutti_log_write(TUTTI_LOG_DEBUG, "%s", tutti_error_message());
        }
    }
    c->round_end = i;
    return n > 0;
}

static void report(progress *p, const char *what) {
    if (p->options->progress == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->options->progress(p->options->progress_user, p->done, p->count, what);
    if (p->done < p->count)
        p->done++;
    pthread_mutex_unlock(&p->lock);
}

static bool time_is_up(const progress *p) {
    return p->options->measure_limit_s > 0 &&
           tutti_clock_s() - p->begin_s > p->options->measure_limit_s;
}

static tutti_status measure(void *user) {
    chooser *c = user;
    for (int32_t i = c->next; i < c->round_end; i++) {
        request *r = &c->requests[i];
        if (!is_open(r))
            continue;
        if (c->measured && time_is_up(c->progress)) {
            r->skipped = "first of several, no time left to measure";
            continue;
        }
        c->measured = true;
        report(c->progress, r->ask.label);
        r->ask.budget_s = MEASURE_S;
        const tutti_status status = tutti_tune(c->kernels, &r->ask, &r->answer);
        if (status == TUTTI_OUT_OF_MEMORY)
            r->skipped = "first of several, no memory to measure";
        else if (status != TUTTI_OK)
            return tutti_fail_context(status, "measuring %s", r->ask.label);
        r->answered = true;
    }
    return TUTTI_OK;
}

static tutti_status measure_all(chooser *choosers, int32_t count) {
    tutti_worker **workers = calloc((size_t)count + 1, sizeof(tutti_worker *));
    if (workers == NULL)
        return tutti_fail_memory((size_t)count * sizeof(tutti_worker *), "measuring");
    for (int32_t i = 1; i < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "measure %d", (int)i);
        if (tutti_worker_start(&workers[i], name) == TUTTI_OK)
            tutti_worker_post(workers[i], measure, &choosers[i]);
        else
            workers[i] = NULL;
    }
    tutti_status first = TUTTI_OK;
    char message[TUTTI_MESSAGE_MAX] = "";
    for (int32_t i = 0; i < count; i++) {
        const tutti_status status =
            workers[i] != NULL ? tutti_worker_wait(workers[i]) : measure(&choosers[i]);
        if (status != TUTTI_OK && first == TUTTI_OK) {
            first = status;
            snprintf(message, sizeof message, "%s", tutti_error_message());
        }
        tutti_worker_stop(workers[i]);
    }
    free(workers);
    return first == TUTTI_OK ? TUTTI_OK : tutti_fail_from(first, message);
}

/* "measured 12.3 us (clblast 45.1 us, tile16: does not compile)". */
static tutti_status explain(chooser *c, const request *r, const char **out) {
    const tutti_tune_result *a = &r->answer;
    tutti_strbuf text = {0};
    if (isfinite(a->time_s[a->winner]))
        tutti_strbuf_printf(&text, "%s %.1f us", a->from_disk ? "measured before" : "measured",
                            a->time_s[a->winner] * 1e6);
    else
        tutti_strbuf_puts(&text, a->note[a->winner] != NULL ? a->note[a->winner] : "not measured");
    int32_t others = 0;
    for (int32_t k = 0; k < r->ask.n_candidates; k++) {
        if (k == a->winner)
            continue;
        tutti_strbuf_puts(&text, others++ == 0 ? " (" : ", ");
        if (!isfinite(a->time_s[k]))
            tutti_strbuf_printf(&text, "%s: %s", r->ask.candidates[k].name,
                                a->note[k] != NULL && a->note[k][0] != '\0' ? a->note[k]
                                                                            : "not measured");
        else
            tutti_strbuf_printf(&text, "%s %.1f us", r->ask.candidates[k].name, a->time_s[k] * 1e6);
    }
    tutti_strbuf_puts(&text, others > 0 ? ")" : "");
    char *line = tutti_strbuf_take(&text);
    *out = line != NULL ? tutti_arena_strdup(&c->plan->arena, line) : NULL;
    free(line);
    return *out != NULL ? TUTTI_OK : TUTTI_OUT_OF_MEMORY;
}

/* Every candidate is unusable: wrong results are an error here; what does not compile is one when
 * it is built below, with file and line. */
static tutti_status check_winner(chooser *c, const request *r) {
    const tutti_tune_result *a = &r->answer;
    bool wrong = false;
    tutti_strbuf notes = {0};
    for (int32_t k = 0; k < r->ask.n_candidates; k++) {
        const char *note = a->note[k] != NULL ? a->note[k] : "";
        wrong |= strstr(note, "wrong") != NULL;
        tutti_strbuf_printf(&notes, "%s%s: %s", k > 0 ? "; " : "", r->ask.candidates[k].name, note);
    }
    char *text = tutti_strbuf_take(&notes);
    const tutti_device_info *info = &tutti_kernels_device(c->kernels)->info;
    tutti_status status = TUTTI_OK;
    if (wrong)
        status = tutti_fail(TUTTI_WRONG_RESULT, "%s on %s (%s): no kernel computes it right: %s",
                            tutti_fused_label(r->ask.node), info->id, info->name,
                            text != NULL ? text : "");
    free(text);
    return status;
}

static tutti_status settle_step(chooser *c, int mode, int32_t step) {
    tutti_draft_step *draft = &c->draft->steps[mode][step];
    const int32_t index = c->request_of[mode][step];
    draft->chosen = 0;
    draft->measured_s = NAN;
    draft->reason = draft->n_candidates == 0            ? ""
                    : draft->candidates[0].rule != NULL ? draft->candidates[0].rule
                                                        : "only one";
    if (index < 0)
        return TUTTI_OK;
    const request *r = &c->requests[index];
    if (r->skipped != NULL) {
        draft->reason = r->skipped;
        return TUTTI_OK;
    }
    if (r->answer.winner < 0) {
        draft->reason = "first of several, none could be measured";
        return check_winner(c, r);
    }
    draft->chosen = r->answer.winner;
    draft->measured_s = r->answer.time_s[r->answer.winner];
    draft->measured_n = r->ask.n;
    return explain(c, r, &draft->reason);
}

static tutti_status settle(chooser *c) {
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        const tutti_plan_mode *m = &c->device->modes[mode];
        for (int32_t s = 0; s < m->n_steps; s++) {
            const tutti_draft_step *draft = &c->draft->steps[mode][s];
            TUTTI_TRY(settle_step(c, mode, s));
            if (draft->n_candidates > 0)
                TUTTI_TRY(want(c, tutti_kernels_want, &draft->candidates[draft->chosen],
                               tutti_fused_label(&m->program.items[m->steps[s].item].node)));
        }
    }
    return TUTTI_OK;
}

/* A round at a time, while there are requests and time. */
static tutti_status measure_rounds(chooser *choosers, tutti_kernels **kernels, int32_t count) {
    for (;;) {
        bool any = false;
        for (int32_t i = 0; i < count; i++)
            any |= want_round(&choosers[i]);
        if (!any)
            return TUTTI_OK;
        /* A candidate that does not build is out; the tuner says so. */
        const tutti_status status = tutti_kernels_build_all(kernels, count, NULL);
        if (status != TUTTI_OK && status != TUTTI_BUILD_FAILED)
            return status;
        TUTTI_TRY(measure_all(choosers, count));
        for (int32_t i = 0; i < count; i++)
            for (int32_t r = choosers[i].round_end;
                 r < choosers[i].n_requests && time_is_up(choosers[i].progress); r++)
                if (is_open(&choosers[i].requests[r]))
                    choosers[i].requests[r].skipped = "first of several, no time left to measure";
    }
}

static tutti_status choose(chooser *choosers, tutti_kernels **kernels, int32_t count,
                           progress *all) {
    for (int32_t i = 0; i < count; i++) {
        TUTTI_TRY(add_requests(&choosers[i]));
        TUTTI_TRY(recall(&choosers[i]));
        for (int32_t r = 0; r < choosers[i].n_requests; r++)
            all->count += is_open(&choosers[i].requests[r]);
    }
    if (all->count > 0) {
        tutti_log_write(TUTTI_LOG_INFO,
                        "kernels: measuring, since %d ops have several to choose from",
                        (int)all->count);
        TUTTI_TRY(measure_rounds(choosers, kernels, count));
        all->done = all->count;
        report(all, "");
    }
    for (int32_t i = 0; i < count; i++)
        TUTTI_TRY(settle(&choosers[i]));
    return tutti_kernels_build_all(kernels, count, NULL);
}

tutti_status tutti_plan_choose(tutti_plan *plan, tutti_draft_device *drafts,
                               const tutti_plan_options *options) {
    progress all = {
        .options = options, .begin_s = tutti_clock_s(), .lock = PTHREAD_MUTEX_INITIALIZER};
    const int32_t count = plan->n_devices;
    chooser *choosers = calloc((size_t)count, sizeof *choosers);
    tutti_kernels **kernels = calloc((size_t)count, sizeof(tutti_kernels *));
    tutti_status status = TUTTI_OK;
    if (choosers == NULL || kernels == NULL) {
        status = tutti_fail_memory((size_t)count * sizeof *choosers, "candidates");
    } else {
        for (int32_t i = 0; i < count; i++) {
            kernels[i] = plan->runtime->kernels[plan->devices[i].device];
            choosers[i] = (chooser){.plan = plan,
                                    .device = &plan->devices[i],
                                    .draft = &drafts[i],
                                    .progress = &all,
                                    .kernels = kernels[i]};
        }
        status = choose(choosers, kernels, count, &all);
        for (int32_t i = 0; i < count; i++) {
            free(choosers[i].requests);
            for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
                free(choosers[i].request_of[mode]);
        }
    }
    free(choosers);
    free(kernels);
    return status;
}
