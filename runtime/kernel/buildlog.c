#include "kernel/buildlog.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Forms met in logs:
 *   clang, NVIDIA, Intel:  file:12:5: error: message     (file may be <kernel>, input.cl, 1)
 *   PoCL:                  error: file:12:5: message
 *   older AMD (EDG):       "/tmp/x.cl", line 12: error: message */
typedef struct finding {
    const char *file;
    size_t file_length;
    long line;
    const char *message;
    size_t message_length;
} finding;

static const char *find_word(const char *line, size_t length, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= length; i++)
        if (strncasecmp(line + i, word, n) == 0)
            return line + i;
    return NULL;
}

/* Reads ":12:5:" or ":12:" at p; gives the line and what follows. */
static bool read_position(const char *p, const char *end, long *line, const char **after) {
    if (p >= end || *p != ':' || p + 1 >= end || !isdigit((unsigned char)p[1]))
        return false;
    char *stop;
    *line = strtol(p + 1, &stop, 10);
    if (stop >= end || *stop != ':')
        return false;
    *after = stop + 1;
    if (*after < end && isdigit((unsigned char)**after)) {
        strtol(*after, &stop, 10);
        if (stop < end && *stop == ':')
            *after = stop + 1;
    }
    return true;
}

static const char *skip_space(const char *p, const char *end) {
    while (p < end && isspace((unsigned char)*p))
        p++;
    return p;
}

static bool parse_clang(const char *line, size_t length, finding *out) {
    const char *end = line + length;
    const char *begin = line;
    bool error_first = length > 7 && strncasecmp(line, "error: ", 7) == 0;
    if (error_first)
        begin += 7;
    for (const char *p = begin; p < end; p++) {
        if (!read_position(p, end, &out->line, &out->message))
            continue;
        out->message = skip_space(out->message, end);
        bool fatal = end - out->message > 6 && strncmp(out->message, "fatal ", 6) == 0;
        const char *word = out->message + (fatal ? 6 : 0);
        bool marked = end - word >= 6 && strncasecmp(word, "error:", 6) == 0;
        if (!marked && !error_first)
            return false;
        if (marked)
            out->message = skip_space(word + 6, end);
        out->file = begin;
        out->file_length = (size_t)(p - begin);
        out->message_length = (size_t)(end - out->message);
        return true;
    }
    return false;
}

static bool parse_edg(const char *line, size_t length, finding *out) {
    const char *end = line + length;
    const char *mark = find_word(line, length, "\", line ");
    if (mark == NULL || line[0] != '"')
        return false;
    char *stop;
    out->line = strtol(mark + 8, &stop, 10);
    const char *word = find_word(stop, (size_t)(end - stop), "error");
    const char *colon = word == NULL ? NULL : memchr(word, ':', (size_t)(end - word));
    if (colon == NULL)
        return false;
    out->file = line + 1;
    out->file_length = (size_t)(mark - out->file);
    out->message = skip_space(colon + 1, end);
    out->message_length = (size_t)(end - out->message);
    return true;
}

/* Reads `#line 12 "name"`. */
static bool read_marker(const char *line, size_t length, long *number, const char **name,
                        size_t *name_length) {
    if (length < 9 || strncmp(line, "#line ", 6) != 0)
        return false;
    char *stop;
    *number = strtol(line + 6, &stop, 10);
    const char *open = memchr(stop, '"', (size_t)(line + length - stop));
    if (open == NULL)
        return false;
    const char *close = memchr(open + 1, '"', (size_t)(line + length - open - 1));
    if (close == NULL)
        return false;
    *name = open + 1;
    *name_length = (size_t)(close - *name);
    return true;
}

/* When the driver's file name is none of ours, it ignored #line and its number counts the lines of
 * the whole text. */
static void resolve_file(const char *source, finding *f) {
    long physical = 0, number, next = 0;
    const char *name, *file = NULL;
    size_t name_length, file_length = 0;
    long line = 0;
    for (const char *p = source; *p != '\0';) {
        size_t length = strcspn(p, "\n");
        physical++;
        if (read_marker(p, length, &number, &name, &name_length)) {
            if (name_length == f->file_length && memcmp(name, f->file, name_length) == 0)
                return;
            if (physical < f->line) {
                file = name;
                file_length = name_length;
                next = number;
            }
        } else {
            if (physical == f->line)
                line = next;
            next++;
        }
        p += length + (p[length] == '\n');
    }
    if (file != NULL && line > 0) {
        f->file = file;
        f->file_length = file_length;
        f->line = line;
    }
}

bool tutti_build_log_first_error(const char *log, const char *source, char *text,
                                 size_t text_size) {
    const char *fallback = NULL, *first = NULL;
    size_t fallback_length = 0, first_length = 0;
    for (const char *p = log; *p != '\0';) {
        size_t length = strcspn(p, "\r\n");
        finding f;
        if (parse_edg(p, length, &f) || parse_clang(p, length, &f)) {
            resolve_file(source, &f);
            snprintf(text, text_size, "%.*s:%ld: %.*s", (int)f.file_length, f.file, f.line,
                     (int)f.message_length, f.message);
            return true;
        }
        if (fallback == NULL && find_word(p, length, "error") != NULL) {
            fallback = p;
            fallback_length = length;
        }
        if (first == NULL && skip_space(p, p + length) != p + length) {
            first = p;
            first_length = length;
        }
        p += length + (p[length] != '\0');
    }
    if (fallback == NULL) {
        fallback = first != NULL ? first : "the driver gave no log";
        fallback_length = first != NULL ? first_length : strlen(fallback);
    }
    snprintf(text, text_size, "%.*s", (int)fallback_length, fallback);
    return false;
}
