/* The command line of the samples. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "tutti/app.h"

enum { SHARED = 14, OWN_MAX = 32, FIRST_VALUE = 256, HELP = 1, VERSION = 2 };

static void shared_options(tutti_app *app, tutti_app_option out[SHARED]) {
    const tutti_app_option options[SHARED] = {
        {"profile", "FILE|EXPR", "devices: a JSON profile, or auto, gpu.0, !cpu, nvidia:* ...",
         TUTTI_APP_TEXT, (void *)&app->profile, 0, 0},
        {"data", app->data_argument != NULL ? app->data_argument : "PATH",
         app->data_help != NULL ? app->data_help : "where the data are", TUTTI_APP_TEXT,
         (void *)&app->data, 0, 0},
        {"epochs", "N", "passes over the training set; 0 only evaluates", TUTTI_APP_INT,
         &app->epochs, 0, 1e6},
        {"batch", "N", "samples per step, over all devices", TUTTI_APP_INT, &app->batch, 1,
         1 << 24},
        {"lr", "RATE", "learning rate", TUTTI_APP_REAL, &app->lr, 1e-12, 1e6},
        {"seed", "N", "of splits, weights, batches and dropout", TUTTI_APP_INT, &app->seed, 0,
         (double)INT64_MAX},
        {"load", "FILE", "start from the weights of that safetensors file", TUTTI_APP_TEXT,
         (void *)&app->load, 0, 0},
        {"save", "FILE", "write the trained weights as safetensors", TUTTI_APP_TEXT,
         (void *)&app->save, 0, 0},
        {"metrics", "FILE.jsonl", "write metrics as JSON lines", TUTTI_APP_TEXT,
         (void *)&app->metrics, 0, 0},
        {"plot", "FILE.svg", "write loss curves", TUTTI_APP_TEXT, (void *)&app->plot, 0, 0},
        {"precision", "f32|bf16|f16|auto", "what intermediate results are stored in",
         TUTTI_APP_CHOICE, &app->precision, 0, 0},
        {"matmul-precision", "profile|highest|high|medium",
         "what products of matrices may round to: nothing, tf32, bf16", TUTTI_APP_CHOICE,
         &app->matmul_precision, 0, 0},
        {"explain", NULL, "print the plan: ops, devices, kernels, times, memory", TUTTI_APP_FLAG,
         &app->explain, 0, 0},
        {"quiet", NULL, "no progress on standard error", TUTTI_APP_FLAG, &app->quiet, 0, 0},
    };
    memcpy(out, options, sizeof options);
}

/* Limits of whole numbers are exact but for those beyond int64_t, which no value can reach. */
static long long whole(double limit) {
    return limit >= 0x1p63 ? INT64_MAX : (long long)limit;
}

static tutti_status bad_value(const tutti_app_option *option, const char *text) {
    if (option->kind == TUTTI_APP_INT)
        return tutti_fail(TUTTI_USAGE,
                          "option '--%s': \"%s\" is not a whole number from %lld to %lld",
                          option->name, text, whole(option->min), whole(option->max));
    return tutti_fail(TUTTI_USAGE, "option '--%s': \"%s\" is not a number from %.15g to %.15g",
                      option->name, text, option->min, option->max);
}

/* Word `index` of "a|b|c"; its length is 0 when there is none. */
static const char *word(const char *list, int64_t index, size_t *out_length) {
    for (; index > 0 && *list != '\0'; index--) {
        list += strcspn(list, "|");
        list += *list == '|';
    }
    *out_length = strcspn(list, "|");
    return list;
}

static tutti_status store_choice(const tutti_app_option *option, const char *text) {
    size_t length;
    const char *choice;
    for (int64_t i = 0; choice = word(option->argument, i, &length), length > 0; i++)
        if (strlen(text) == length && memcmp(text, choice, length) == 0) {
            *(int64_t *)option->value = i;
            return TUTTI_OK;
        }
    return tutti_fail(TUTTI_USAGE, "option '--%s': \"%s\" is none of %s", option->name, text,
                      option->argument);
}

static tutti_status store(const tutti_app_option *option, const char *text) {
    char *end = NULL;
    errno = 0;
    switch (option->kind) {
    case TUTTI_APP_FLAG:
        *(bool *)option->value = true;
        return TUTTI_OK;
    case TUTTI_APP_TEXT:
        if (*text == '\0')
            return tutti_fail(TUTTI_USAGE, "option '--%s' has an empty value", option->name);
        *(const char **)option->value = text;
        return TUTTI_OK;
    case TUTTI_APP_INT: {
        const long long value = strtoll(text, &end, 10);
        if (end == text || *end != '\0' || errno != 0 || strchr("+-0123456789", *text) == NULL ||
            (double)value < option->min || (double)value > option->max)
            return bad_value(option, text);
        *(int64_t *)option->value = value;
        return TUTTI_OK;
    }
    case TUTTI_APP_REAL: {
        const double value = strtod(text, &end);
        if (end == text || *end != '\0' || strchr("+-.0123456789", *text) == NULL ||
            strpbrk(text, "xX") != NULL || !(value >= option->min && value <= option->max))
            return bad_value(option, text);
        *(double *)option->value = value;
        return TUTTI_OK;
    }
    case TUTTI_APP_CHOICE:
        return store_choice(option, text);
    }
    return tutti_fail(TUTTI_INVALID_ARGUMENT, "option '--%s' has an unknown kind", option->name);
}

static void print_option(const tutti_app_option *option) {
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
             option->argument != NULL ? option->argument : "");
    /* What is too wide for the column has a line of its own. */
    const bool wide = strlen(left) > 22;
    printf("  %-22s%s", left, wide ? "\n" : " ");
    printf("%*s%s", wide ? 25 : 0, "", option->help);
    if (option->kind == TUTTI_APP_INT)
        printf(" (default %lld)", (long long)*(int64_t *)option->value);
    else if (option->kind == TUTTI_APP_REAL)
        printf(" (default %g)", *(double *)option->value);
    size_t length;
    if (option->kind == TUTTI_APP_CHOICE) {
        const char *choice = word(option->argument, *(int64_t *)option->value, &length);
        printf(" (default %.*s)", (int)length, choice);
    }
    printf("\n");
}

static void print_help(const tutti_app *app, const tutti_app_option *options, int32_t count) {
    printf("Usage: %s [OPTION]...\n%s\n\n", app->name, app->summary != NULL ? app->summary : "");
    for (int32_t i = 0; i < count; i++)
        print_option(options + i);
    printf("  %-22s this text\n  %-22s the version\n\n", "-h, --help", "--version");
    printf(
        "Exit codes: 0 success, 1 failure, 2 wrong usage, 3 no usable device, 4 a device computes\n"
        "wrong, 5 bad input, 6 device lost, 7 out of memory.\n"
        "Documentation: README.md, docs/profile.md.\n");
}

static tutti_status read_options(tutti_app *app, int argc, char **argv,
                                 const tutti_app_option *options, int32_t count) {
    struct option table[SHARED + OWN_MAX + 3] = {{0}};
    for (int32_t i = 0; i < count; i++)
        table[i] = (struct option){.name = options[i].name,
                                   .has_arg = options[i].kind == TUTTI_APP_FLAG ? no_argument
                                                                                : required_argument,
                                   .val = FIRST_VALUE + i};
    table[count] = (struct option){.name = "help", .val = HELP};
    table[count + 1] = (struct option){.name = "version", .val = VERSION};
    optind = 0; /* so that a program may parse more than once */
    opterr = 0;
    for (;;) {
        const int value = getopt_long(argc, argv, ":h", table, NULL);
        if (value == -1)
            break;
        if (value == HELP || value == 'h') {
            print_help(app, options, count);
            app->done = true;
            return TUTTI_OK;
        }
        if (value == VERSION) {
            printf("%s (Tutti) %s\n", app->name, tutti_version());
            app->done = true;
            return TUTTI_OK;
        }
        if (value == ':')
            return tutti_fail(TUTTI_USAGE, "option '%s' needs a value; see --help",
                              argv[optind - 1]);
        if (value == '?' && optopt >= FIRST_VALUE)
            return tutti_fail(TUTTI_USAGE, "option '--%s' takes no value",
                              options[optopt - FIRST_VALUE].name);
        if (value == '?' && optopt != 0)
            return tutti_fail(TUTTI_USAGE, "unknown option '-%c'; see --help", optopt);
        if (value < FIRST_VALUE)
            return tutti_fail(TUTTI_USAGE, "unknown option '%s'; see --help", argv[optind - 1]);
        TUTTI_TRY(store(&options[value - FIRST_VALUE], optarg));
        if (value >= FIRST_VALUE + SHARED)
            app->given |= UINT64_C(1) << (value - FIRST_VALUE - SHARED);
    }
    if (optind < argc)
        return tutti_fail(TUTTI_USAGE, "unexpected argument '%s'; see --help", argv[optind]);
    return TUTTI_OK;
}

tutti_status tutti_app_parse(tutti_app *app, int argc, char **argv) {
    tutti_app_option options[SHARED + OWN_MAX];
    if (app->n_options < 0 || app->n_options > OWN_MAX)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%d options, expected at most %d", app->n_options,
                          OWN_MAX);
    app->given = 0;
    shared_options(app, options);
    for (int32_t i = 0; i < app->n_options; i++)
        options[SHARED + i] = app->options[i];
    return read_options(app, argc, argv, options, SHARED + app->n_options);
}

tutti_status tutti_app_check_data(const tutti_app *app, bool with_data, const char *const *names,
                                  int32_t n) {
    if (with_data == (app->data != NULL))
        return TUTTI_OK;
    for (int32_t i = 0; i < app->n_options; i++)
        for (int32_t k = 0; k < n; k++)
            if ((app->given >> i & 1) != 0 && strcmp(app->options[i].name, names[k]) == 0)
                return tutti_fail(TUTTI_USAGE,
                                  with_data ? "option '--%s' is for a data set that --data names"
                                            : "option '--%s' is for the data set that is used "
                                              "without --data",
                                  names[k]);
    return TUTTI_OK;
}
