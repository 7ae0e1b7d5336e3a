/* The command line of the tools: options from one table, with help and refusals in one wording. */
#ifndef TUTTI_TOOLS_OPTIONS_H
#define TUTTI_TOOLS_OPTIONS_H

#include "tutti/types.h"

typedef struct tool_option {
    const char *name, *argument; /* argument NULL: it has none */
    int value;                   /* from TOOL_FIRST on */
    const char *text;
} tool_option;

typedef struct tool {
    const char *name;
    void (*introduce)(void);    /* prints what the help says before the options */
    const char *exit_codes;     /* and behind them */
    int width;                  /* of the help's left column */
    const tool_option *options; /* without --help and --version, which every tool has */
    int n_options;              /* at most TOOL_OPTIONS_MAX */
} tool;

#define TOOL_OPTIONS_MAX 24
enum { TOOL_END = -1, TOOL_EXIT = -2, TOOL_FIRST = 256 };

/* The value of the next option, its argument in optarg; TOOL_END behind the last; TOOL_EXIT when the
 * program is to end with *out_code: after --help, --version or a refusal. */
int tool_next(const tool *t, int argc, char **argv, int *out_code);
/* Says what is wrong with the command line; returns the exit code. */
int tool_usage(const tool *t, const char *format, ...) TUTTI_PRINTF(2, 3);
/* How the program ends: with `code`, or with a failure when standard output took not all of it. */
int tool_finish(const tool *t, int code);

#endif
