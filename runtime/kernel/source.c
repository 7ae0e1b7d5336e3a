#include "kernel/source.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "kernel/embedded.h"

#define SOURCE_MAX_BYTES   (4u << 20)
#define EXPANDED_MAX_BYTES (16u << 20)
#define INCLUDE_MAX_DEPTH  16

/* A file on the way from the kernel to the include being expanded. */
typedef struct frame {
    const struct frame *parent;
    const char *name;
    int32_t line; /* being read */
    int32_t depth;
} frame;

static tutti_status add_directory(tutti_source_path *path, const char *name, size_t length) {
    char **grown =
        realloc(path->directories, (size_t)(path->n_directories + 1) * sizeof *path->directories);
    if (grown == NULL)
        return tutti_fail_memory(sizeof *grown, "the kernel search path");
    path->directories = grown;
    char *copy = strndup(name, length);
    if (copy == NULL)
        return tutti_fail_memory(length, "the kernel search path");
    path->directories[path->n_directories++] = copy;
    return TUTTI_OK;
}

/* A directory that is not there is no error, but seldom what was meant. Told once for a directory,
 * though each device looks there. */
static void check_directory(const char *name, const char *from) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char told[1024];
    struct stat info;
    if (stat(name, &info) == 0 && S_ISDIR(info.st_mode))
        return;
    pthread_mutex_lock(&lock);
    const bool again = strncmp(told, name, sizeof told - 1) == 0;
    snprintf(told, sizeof told, "%s", name);
    pthread_mutex_unlock(&lock);
    if (!again)
        tutti_log_write(TUTTI_LOG_WARNING, "%s: no directory is at \"%s\"", from, name);
}

static tutti_status collect(const tutti_profile *profile, tutti_source_path *path) {
    for (int32_t i = 0; profile != NULL && i < profile->n_kernel_path; i++) {
        check_directory(profile->kernel_path[i], "the profile's kernel_path");
        TUTTI_TRY(add_directory(path, profile->kernel_path[i], strlen(profile->kernel_path[i])));
    }
    const char *rest = getenv("TUTTI_KERNEL_PATH");
    while (rest != NULL && *rest != '\0') {
        size_t length = strcspn(rest, ":");
        if (length != 0) {
            TUTTI_TRY(add_directory(path, rest, length));
            check_directory(path->directories[path->n_directories - 1], "TUTTI_KERNEL_PATH");
        }
        rest += length + (rest[length] == ':');
    }
    return TUTTI_OK;
}

tutti_status tutti_source_path_make(const tutti_profile *profile, tutti_source_path *out) {
    *out = (tutti_source_path){0};
    tutti_status status = collect(profile, out);
    if (status != TUTTI_OK)
        tutti_source_path_free(out);
    return status;
}

void tutti_source_path_free(tutti_source_path *path) {
    for (int32_t i = 0; i < path->n_directories; i++)
        free(path->directories[i]);
    free(path->directories);
    *path = (tutti_source_path){0};
}

/* ", included from b.clh:3, included from a.cl:1"; "" for the kernel file itself. */
static void put_chain(tutti_strbuf *buf, const frame *includer) {
    for (const frame *f = includer; f != NULL; f = f->parent)
        tutti_strbuf_printf(buf, ", included from %s:%d", f->name, (int)f->line);
}

static tutti_status fail_missing(const tutti_source_path *path, const char *name,
                                 const frame *includer) {
    tutti_strbuf where = {0}, chain = {0};
    for (int32_t i = 0; i < path->n_directories; i++)
        tutti_strbuf_printf(&where, "%s, ", path->directories[i]);
    put_chain(&chain, includer);
    tutti_status status = tutti_fail(
        TUTTI_BAD_INPUT,
        "%s%s: no such kernel file; looked in %sthe embedded kernels "
        "(TUTTI_KERNEL_PATH or a profile's kernel_path names more directories)",
        name, chain.text == NULL ? "" : chain.text, where.text == NULL ? "" : where.text);
    tutti_strbuf_free(&where);
    tutti_strbuf_free(&chain);
    return status;
}

static bool escapes(const char *name) {
    for (const char *part = name; part != NULL;) {
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return true;
        part = strchr(part, '/');
        if (part != NULL)
            part++;
    }
    return false;
}

/* The text as it stands in the first place that has the file; malloc'd. */
static tutti_status find(const tutti_source_path *path, const char *name, const frame *includer,
                         char **out_text) {
    size_t size;
    if (name[0] == '/')
        return tutti_file_read(name, SOURCE_MAX_BYTES, out_text, &size);
    if (name[0] == '\0' || escapes(name))
        return tutti_fail(TUTTI_BAD_INPUT,
                          "\"%s\" is no name of a kernel file: it must be relative, without \"..\"",
                          name);
    for (int32_t i = 0; i < path->n_directories; i++) {
        tutti_strbuf buf = {0};
        tutti_strbuf_printf(&buf, "%s/%s", path->directories[i], name);
        char *file = tutti_strbuf_take(&buf);
        if (file == NULL)
            return TUTTI_OUT_OF_MEMORY;
        bool exists = tutti_file_exists(file);
        tutti_status status = TUTTI_OK;
        if (exists)
            status = tutti_file_read(file, SOURCE_MAX_BYTES, out_text, &size);
        free(file);
        if (exists)
            return status;
    }
    for (int i = 0; i < tutti_embedded_kernel_count; i++)
        if (strcmp(tutti_embedded_kernels[i].name, name) == 0) {
            *out_text = strdup(tutti_embedded_kernels[i].text);
            return *out_text != NULL
                       ? TUTTI_OK
                       : tutti_fail_memory(tutti_embedded_kernels[i].size_bytes, name);
        }
    return fail_missing(path, name, includer);
}

/* Follows C comments over a line's end, so that an include in a comment stays a comment. */
static bool comment_after(bool comment, const char *line, size_t length) {
    bool string = false;
    for (size_t i = 0; i < length; i++) {
        if (comment) {
            if (line[i] == '*' && i + 1 < length && line[i + 1] == '/') {
                comment = false;
                i++;
            }
        } else if (string) {
            if (line[i] == '\\')
                i++;
            else if (line[i] == '"')
                string = false;
        } else if (line[i] == '"') {
            string = true;
        } else if (line[i] == '/' && i + 1 < length && line[i + 1] == '/') {
            break;
        } else if (line[i] == '/' && i + 1 < length && line[i + 1] == '*') {
            comment = true;
            i++;
        }
    }
    return comment;
}

/* The name in `#include "name"`, malloc'd; NULL for any other line. */
static char *included_name(const char *line, size_t length) {
    const char *end = line + length;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    if (line == end || *line++ != '#')
        return NULL;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    static const char word[] = "include";
    if ((size_t)(end - line) < sizeof word - 1 || memcmp(line, word, sizeof word - 1) != 0)
        return NULL;
    line += sizeof word - 1;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    if (line == end || *line++ != '"')
        return NULL;
    const char *close = memchr(line, '"', (size_t)(end - line));
    return close == NULL ? NULL : strndup(line, (size_t)(close - line));
}

static tutti_status expand(const tutti_source_path *path, const char *name, const char *text,
                           const frame *includer, tutti_strbuf *out);

static tutti_status include(const tutti_source_path *path, const char *name, const frame *from,
                            tutti_strbuf *out) {
    for (const frame *f = from; f != NULL; f = f->parent)
        if (strcmp(f->name, name) == 0) {
            tutti_strbuf chain = {0};
            put_chain(&chain, from);
            tutti_status status = tutti_fail(TUTTI_BAD_INPUT, "%s includes itself: %s%s", name,
                                             name, chain.text == NULL ? "" : chain.text);
            tutti_strbuf_free(&chain);
            return status;
        }
    if (from->depth >= INCLUDE_MAX_DEPTH)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%d: includes are nested more than %d deep",
                          from->name, (int)from->line, INCLUDE_MAX_DEPTH);
    char *text;
    TUTTI_TRY(find(path, name, from, &text));
    tutti_status status = expand(path, name, text, from, out);
    free(text);
    return status;
}

static tutti_status expand(const tutti_source_path *path, const char *name, const char *text,
                           const frame *includer, tutti_strbuf *out) {
    frame here = {.parent = includer, .name = name, .depth = includer ? includer->depth + 1 : 0};
    bool comment = false;
    tutti_strbuf_printf(out, "#line 1 \"%s\"\n", name);
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        here.line++;
        char *wanted = comment ? NULL : included_name(text, length);
        if (wanted != NULL) {
            tutti_status status = include(path, wanted, &here, out);
            free(wanted);
            TUTTI_TRY(status);
            tutti_strbuf_printf(out, "#line %d \"%s\"\n", (int)here.line + 1, name);
        } else {
            comment = comment_after(comment, text, length);
            tutti_strbuf_append(out, text, length);
            tutti_strbuf_append(out, "\n", 1);
        }
        if (out->length > EXPANDED_MAX_BYTES)
            return tutti_fail(TUTTI_BAD_INPUT, "%s: more than %u bytes after includes", name,
                              EXPANDED_MAX_BYTES);
        text += length + (text[length] == '\n');
    }
    return TUTTI_OK;
}

tutti_status tutti_source_expand(const tutti_source_path *path, const char *name, const char *text,
                                 char **out_text) {
    tutti_strbuf out = {0};
    tutti_status status = expand(path, name, text, NULL, &out);
    if (status != TUTTI_OK) {
        tutti_strbuf_free(&out);
        return status;
    }
    *out_text = tutti_strbuf_take(&out);
    return *out_text != NULL ? TUTTI_OK : TUTTI_OUT_OF_MEMORY;
}

tutti_status tutti_source_load(const tutti_source_path *path, const char *file, char **out_text) {
    char *text;
    TUTTI_TRY(find(path, file, NULL, &text));
    /* An absolute name would put this machine's directories into the cache's key. */
    const char *slash = file[0] == '/' ? strrchr(file, '/') : NULL;
    tutti_status status =
        tutti_source_expand(path, slash != NULL ? slash + 1 : file, text, out_text);
    free(text);
    return status;
}
