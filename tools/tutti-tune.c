/* Measures the candidates of the kernels that networks need, on every selected device, and shows,
 * exports, imports and clears what was found out. See docs/man/tutti-tune.1. */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "shared/nets.h"
#include "shared/options.h"
#include "tune/records.h"

#define DEFAULT_SECONDS 300.0

enum {
    OPT_SELECT = TOOL_FIRST,
    OPT_MODELS,
    OPT_BATCH,
    OPT_SECONDS,
    OPT_AGAIN,
    OPT_LIST,
    OPT_CLEAR,
    OPT_EXPORT,
    OPT_IMPORT,
    OPT_FORCE,
    OPT_QUIET
};

static const tool_option options[] = {
    {"select", "EXPR|FILE", OPT_SELECT, "only gpu, gpu.0, !cpu, nvidia:*, or a profile's devices"},
    {"models", "LIST", OPT_MODELS,
     "the samples digits, mnist, cifar, chargpt; mlp, lenet,\n"
     "resnet20, gpt of tutti-bench train; all of them unless given"},
    {"batch", "N", OPT_BATCH, "samples per step; what the program takes by default unless given"},
    {"seconds", "S", OPT_SECONDS, "begin no measurement after S seconds; 300 unless given"},
    {"again", NULL, OPT_AGAIN, "measure even what is known"},
    {"list", NULL, OPT_LIST, "print what is known, measure nothing"},
    {"clear", NULL, OPT_CLEAR, "forget what is known of the devices"},
    {"export", "FILE", OPT_EXPORT, "write what is known as a pack; - for standard output"},
    {"import", "FILE", OPT_IMPORT,
     "take a pack, each entry checked before use; - is standard input"},
    {"force", NULL, OPT_FORCE, "let --export replace a file"},
    {"quiet", NULL, OPT_QUIET, "neither a progress bar nor the list at the end"},
};

static void introduce(void) {
    printf("Usage: tutti-tune [OPTION]...\n"
           "Measures which kernels are fastest on each device, for the networks of the samples and "
           "of\n"
           "tutti-bench.\n"
           "Each is checked for right results before its time counts; the winners are kept in a\n"
           "file per device and driver, and programs take them from there.\n\n");
}

static const tool tune_tool = {
    .name = "tutti-tune",
    .introduce = introduce,
    .exit_codes =
        "Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 no usable device, 4 no candidate of an\n"
        "op is right, 5 bad input, 6 device lost, 7 out of memory.\n",
    .width = 20,
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

static bool parse_number(const char *text, double low, double high, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= low && *out <= high;
}

static const struct model {
    const char *name, *net;
} models[] = {{"digits", "digits"},     {"mnist", "mnist"}, {"cifar", "resnet20"},
              {"chargpt", "gpt"},       {"mlp", "mlp"},     {"lenet", "lenet"},
              {"resnet20", "resnet20"}, {"gpt", "gpt"}};
#define N_MODELS (sizeof models / sizeof models[0])
#define MODELS   "digits, mnist, cifar, chargpt, mlp, lenet, resnet20, gpt"

static bool has_model(const char *list, const char *name) {
    for (const char *p = list; *p != '\0'; p += *p == ',') {
        const size_t length = strcspn(p, ",");
        if (strlen(name) == length && strncmp(p, name, length) == 0)
            return true;
        p += length;
    }
    return false;
}

/* The first entry of the list that is no model, or NULL. */
static const char *unknown_model(const char *list) {
    static char name[32];
    for (const char *p = list;; p++) {
        const size_t length = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)(length < 31 ? length : 31), p);
        bool known = false;
        for (size_t i = 0; i < N_MODELS; i++)
            known |= strcmp(models[i].name, name) == 0;
        if (!known)
            return name;
        p += length;
        if (*p == '\0')
            return NULL;
    }
}

/* -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, tune_request *out) {
    const tool *t = &tune_tool;
    double number;
    int value, code = 0;
    while ((value = tool_next(t, argc, argv, &code)) >= 0)
        switch (value) {
        case OPT_SELECT:
            out->select = optarg;
            break;
        case OPT_MODELS:
            if (unknown_model(optarg) != NULL)
                return tool_usage(t, "--models: \"%s\" is not one of %s", unknown_model(optarg),
                                  MODELS);
            out->models = optarg;
            break;
        case OPT_BATCH:
            if (!parse_number(optarg, 1, 1 << 20, &number) || number != floor(number))
                return tool_usage(t, "--batch %s: expected a whole number from 1 to 1048576",
                                  optarg);
            out->batch = (int64_t)number;
            break;
        case OPT_SECONDS:
            if (!parse_number(optarg, 0.1, 1e6, &out->seconds))
                return tool_usage(t, "--seconds %s: expected seconds from 0.1 to 1000000", optarg);
            break;
        case OPT_AGAIN:
            out->again = true;
            break;
        case OPT_LIST:
            out->list = true;
            break;
        case OPT_CLEAR:
            out->clear = true;
            break;
        case OPT_FORCE:
            out->force = true;
            break;
        case OPT_EXPORT:
            if (*optarg == '\0')
                return tool_usage(t, "--export needs a file");
            out->export = optarg;
            break;
        case OPT_IMPORT:
            out->import = optarg;
            break;
        case OPT_QUIET:
            out->quiet = true;
            break;
        }
    if (value == TOOL_EXIT)
        return code;
    if (optind < argc)
        return tool_usage(t, "unexpected argument '%s'", argv[optind]);
    const int actions = out->list + out->clear + (out->export != NULL) + (out->import != NULL);
    if (actions > 1)
        return tool_usage(t, "%s exclude each other", "--list, --clear, --export and --import");
    if (out->force && out->export == NULL)
        return tool_usage(t, "--force without --export");
    if (actions == 1 && (out->models != NULL || out->batch != 0 || out->seconds != 0 || out->again))
        return tool_usage(t, "%s are for measuring, which this does not do",
                          "--models, --batch, --seconds and --again");
    return -1;
}

/* A bar on the terminal, and what it would show. */
typedef struct bar {
    const char *model;
    bool shown;
    double begin_s, limit_s;
    int32_t measured, count; /* ops of the model */
    int32_t sum;             /* measured, of all models */
} bar;

/* Each measurement is kept as it is made. */
static void stop(int number) {
    static const char text[] = "\ntutti-tune: stopped; what was measured is kept\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1); /* if not, nobody can be told */
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void show_bar(void *user, int32_t done, int32_t count, const char *what) {
    bar *b = user;
    enum { WIDTH = 24 };
    char cells[WIDTH + 1];
    b->count = count;
    b->measured += done < count;
    b->sum += done < count;
    if (!b->shown)
        return;
    const int full = count > 0 ? (int)((int64_t)WIDTH * done / count) : WIDTH;
    for (int i = 0; i < WIDTH; i++)
        cells[i] = i < full ? '#' : '.';
    cells[WIDTH] = '\0';
    fprintf(stderr, "\r%-7s [%s] %d/%d, %.0f of %.0f s  %-32.32s", b->model, cells, (int)done,
            (int)count, tutti_clock_s() - b->begin_s, b->limit_s, what);
}

static tutti_status tune_model(const struct model *m, tutti_runtime *runtime,
                               const tune_request *wanted, bar *b) {
    const tool_net *net = tool_net_find(m->net);
    const double left_s = b->limit_s - (tutti_clock_s() - b->begin_s);
    if (left_s <= 0) {
        fprintf(stderr, "tutti-tune: no time left for %s (--seconds %g)\n", m->name, b->limit_s);
        return TUTTI_OK;
    }
    tutti_graph *graph;
    tutti_plan *plan;
    TUTTI_TRY(tool_net_build(net, &graph));
    b->model = m->name;
    b->measured = b->count = 0;
    const tutti_plan_options plan_options = {.batch =
                                                 wanted->batch > 0 ? wanted->batch : net->batch,
                                             .measure_limit_s = left_s,
                                             .measure_again = wanted->again,
                                             .progress = show_bar,
                                             .progress_user = b};
    const tutti_status status = tutti_plan_make(graph, runtime, &plan_options, &plan);
    if (b->shown && b->count > 0)
        fprintf(stderr, "\n");
    if (status == TUTTI_OK && b->measured < b->count)
        fprintf(stderr, "tutti-tune: %s: no time left for %d of %d ops (--seconds %g)\n", m->name,
                (int)(b->count - b->measured), (int)b->count, b->limit_s);
    if (status == TUTTI_OK)
        tutti_plan_free(plan);
    tutti_graph_free(graph);
    return status;
}

/* Whether a model before has the same network. */
static bool is_done(const tune_request *wanted, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (strcmp(models[i].net, models[index].net) == 0 &&
            (wanted->models == NULL || has_model(wanted->models, models[i].name)))
            return true;
    return false;
}

static tutti_status tune(tutti_runtime *runtime, tutti_cache *cache, const tune_request *wanted) {
    bar b = {.shown = !wanted->quiet && isatty(STDERR_FILENO),
             .begin_s = tutti_clock_s(),
             .limit_s = wanted->seconds > 0 ? wanted->seconds : DEFAULT_SECONDS};
    TUTTI_TRY(tune_check(runtime, cache, 0)); /* before minutes are spent */
    (void)signal(SIGINT, stop);
    for (size_t i = 0; i < N_MODELS; i++)
        if ((wanted->models == NULL || has_model(wanted->models, models[i].name)) &&
            !is_done(wanted, i))
            TUTTI_TRY(tune_model(&models[i], runtime, wanted, &b));
    return tune_check(runtime, cache, b.sum);
}

static tutti_status run(const tune_request *wanted, const tutti_profile *profile) {
    tutti_runtime *runtime;
    tutti_cache *cache;
    TUTTI_TRY(tutti_runtime_open(profile, &runtime));
    tutti_status status = tutti_cache_open(profile, &cache);
    if (status != TUTTI_OK) {
        tutti_runtime_close(runtime);
        return status;
    }
    const bool managing =
        wanted->list || wanted->clear || wanted->export != NULL || wanted->import != NULL;
    if (!tutti_cache_usable(cache))
        status = tutti_fail(TUTTI_IO, "there is no place for measurements: the cache is off or "
                                      "cannot be used (TUTTI_CACHE_DIR, the profile's cache)");
    else if (!managing && profile->determinism == TUTTI_DETERMINISM_REPRODUCIBLE)
        status = tutti_fail(TUTTI_USAGE,
                            "the profile asks for determinism \"reproducible\": programs then take "
                            "the first kernel of each op, and measure none");
    else if (!managing)
        status = tune(runtime, cache, wanted);
    if (status == TUTTI_OK && (managing || !wanted->quiet))
        status = tune_records(runtime, cache, wanted);
    tutti_cache_close(cache);
    tutti_runtime_close(runtime);
    return status;
}

int main(int argc, char **argv) {
    tune_request wanted = {0};
    const int code = parse_options(argc, argv, &wanted);
    if (code >= 0)
        return code;
    tutti_profile *profile;
    tutti_status status =
        tutti_profile_open(wanted.select != NULL ? wanted.select : "all", &profile);
    if (status == TUTTI_OK) {
        status = run(&wanted, profile);
        tutti_profile_free(profile);
    }
    if (status != TUTTI_OK)
        fprintf(stderr, "tutti-tune: %s\n", tutti_error_message());
    return tool_finish(&tune_tool, tutti_status_exit_code(status));
}
