#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tutti_log_fn sink;
static void *sink_user;
static tutti_log_fn watcher;
static void *watcher_user;

static const char *const level_names[] = {"debug", "info", "warning", "error", "off"};

/* Read at each message, so that a program may change it; messages are rare. */
static int threshold(void) {
    const char *wanted = getenv("TUTTI_LOG");
    static bool told;
    if (wanted == NULL || wanted[0] == '\0')
        return TUTTI_LOG_WARNING;
    for (int i = 0; i < 5; i++)
        if (strcasecmp(wanted, level_names[i]) == 0)
            return i;
    if (!told)
        fprintf(stderr,
                "tutti: warning: TUTTI_LOG is \"%s\", expected debug, info, warning, error or off: "
                "warning is used\n",
                wanted);
    told = true;
    return TUTTI_LOG_WARNING;
}

void tutti_log_set(tutti_log_fn fn, void *user) {
    pthread_mutex_lock(&lock);
    sink = fn;
    sink_user = user;
    pthread_mutex_unlock(&lock);
}

void tutti_log_watch(tutti_log_fn fn, void *user) {
    pthread_mutex_lock(&lock);
    watcher = fn;
    watcher_user = user;
    pthread_mutex_unlock(&lock);
}

void tutti_log_write(tutti_log_level level, const char *format, ...) {
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (sink != NULL)
        sink(sink_user, level, line);
    else if ((int)level >= threshold())
        fprintf(stderr, "tutti: %s: %s\n", level_names[level], line);
    if (watcher != NULL)
        watcher(watcher_user, level, line);
    pthread_mutex_unlock(&lock);
}
