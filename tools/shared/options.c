#include "shared/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

enum { VERSION = TOOL_FIRST - 1 };

static void print_option(const tool *t, const char *dashes, const char *name, const char *argument,
                         const char *text) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s", dashes, name, argument != NULL ? " " : "",
             argument != NULL ? argument : "");
    printf("  %-*s %.*s\n", t->width, left, (int)strcspn(text, "\n"), text);
    while ((text = strchr(text, '\n')) != NULL) {
        text++;
        printf("  %-*s %.*s\n", t->width, "", (int)strcspn(text, "\n"), text);
    }
}

static void print_help(const tool *t) {
    t->introduce();
    for (int i = 0; i < t->n_options; i++)
        print_option(t, "--", t->options[i].name, t->options[i].argument, t->options[i].text);
    print_option(t, "-h, --", "help", NULL, "print this and exit");
    print_option(t, "--", "version", NULL, "print the version and exit");
    printf("\n%s", t->exit_codes);
}

int tool_usage(const tool *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", t->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "; see %s --help\n", t->name);
    va_end(args);
    return tutti_status_exit_code(TUTTI_USAGE);
}

int tool_finish(const tool *t, int code) {
    if (ferror(stdout) == 0 && fflush(stdout) == 0)
        return code;
    fprintf(stderr, "%s: cannot write to standard output\n", t->name);
    return code != 0 ? code : tutti_status_exit_code(TUTTI_IO);
}

/* What getopt_long does not take; `argument` is the last that it looked at. */
static int refuse(const tool *t, const char *argument) {
    if (optopt >= VERSION || (optopt == 'h' && strncmp(argument, "--", 2) == 0))
        return tool_usage(t, "option '%s' has a value, expected none", argument);
    if (optopt == 0)
        return tool_usage(t, "unknown option '%s'", argument);
    return tool_usage(t, "unknown option '-%c'", optopt);
}

int tool_next(const tool *t, int argc, char **argv, int *out_code) {
    struct option table[TOOL_OPTIONS_MAX + 3] = {{"help", no_argument, NULL, 'h'},
                                                 {"version", no_argument, NULL, VERSION}};
    assert(t->n_options <= TOOL_OPTIONS_MAX);
    for (int i = 0; i < t->n_options; i++)
        table[i + 2] = (struct option){
            t->options[i].name, t->options[i].argument != NULL ? required_argument : no_argument,
            NULL, t->options[i].value};
    opterr = 0;
    const int value = getopt_long(argc, argv, ":h", table, NULL);
    switch (value) {
    case -1:
        return TOOL_END;
    case 'h':
        print_help(t);
        *out_code = tool_finish(t, 0);
        return TOOL_EXIT;
    case VERSION:
        printf("%s %s\n", t->name, tutti_version());
        *out_code = tool_finish(t, 0);
        return TOOL_EXIT;
    case ':':
        *out_code = tool_usage(t, "option '%s' needs a value", argv[optind - 1]);
        return TOOL_EXIT;
    case '?':
        *out_code = refuse(t, argv[optind - 1]);
        return TOOL_EXIT;
    default:
        return value;
    }
}
