#include "tutti/text.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/status.h"
#include "data/data.h"

#define TEXT_MAX_BYTES (INT64_C(1) << 30)

static tutti_status make(const void *data, int64_t n, const char *source, tutti_text **out) {
    const unsigned char *bytes = data;
    *out = NULL;
    if (n < 1 || n > TEXT_MAX_BYTES)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: a text of %lld bytes, expected 1 to %lld", source,
                          (long long)n, (long long)TEXT_MAX_BYTES);
    tutti_text *text = calloc(1, sizeof *text);
    if (text == NULL)
        return tutti_fail_memory(sizeof *text, "a text");
    text->n = n;
    text->ids = malloc((size_t)n * sizeof *text->ids);
    text->source = strdup(source);
    if (text->ids == NULL || text->source == NULL) {
        tutti_text_free(text);
        return tutti_fail_memory((size_t)n * sizeof *text->ids, source);
    }
    bool occurs[256] = {false};
    for (int64_t i = 0; i < n; i++)
        occurs[bytes[i]] = true;
    for (int b = 0; b < 256; b++) {
        text->id_of[b] = occurs[b] ? text->n_vocabulary : -1;
        if (occurs[b])
            text->vocabulary[text->n_vocabulary++] = (unsigned char)b;
    }
    for (int64_t i = 0; i < n; i++)
        text->ids[i] = text->id_of[bytes[i]];
    *out = text;
    return TUTTI_OK;
}

tutti_status tutti_text_make(const void *bytes, int64_t n, tutti_text **out) {
    return make(bytes, n, "memory", out);
}

void tutti_text_free(tutti_text *text) {
    if (text == NULL)
        return;
    free(text->ids);
    free(text->source);
    free(text);
}

typedef struct buffer {
    char *data;
    size_t size;
} buffer;

static tutti_status append(buffer *to, const char *path) {
    char *data;
    size_t size;
    TUTTI_TRY(tutti_file_read(path, (uint64_t)TEXT_MAX_BYTES, &data, &size));
    if (to->size + size > (size_t)TEXT_MAX_BYTES) {
        free(data);
        return tutti_fail(TUTTI_BAD_INPUT, "%s: more than %lld bytes of text with the files before",
                          path, (long long)TEXT_MAX_BYTES);
    }
    char *grown = realloc(to->data, to->size + size + 1);
    if (grown == NULL) {
        free(data);
        return tutti_fail_memory(to->size + size, path);
    }
    memcpy(grown + to->size, data, size);
    to->data = grown;
    to->size += size;
    free(data);
    return TUTTI_OK;
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static tutti_status append_directory(buffer *to, const char *path) {
    struct dirent **entries = NULL;
    errno = 0;
    const int n = scandir(path, &entries, NULL, by_name);
    if (n < 0 && (errno == 0 || errno == ENOMEM))
        return tutti_fail_memory(0, path);
    if (n < 0)
        return tutti_fail(TUTTI_IO, "%s: cannot read the directory: %s", path, strerror(errno));
    tutti_status status = TUTTI_OK;
    for (int i = 0; i < n; i++) {
        struct stat info;
        char *file = NULL;
        if (status == TUTTI_OK && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0) {
            file = NULL;
            status = tutti_fail_memory(0, path);
        }
        if (status == TUTTI_OK && lstat(file, &info) == 0 && S_ISREG(info.st_mode))
            status = append(to, file);
        free(file);
        free(entries[i]);
    }
    free(entries);
    return status;
}

tutti_status tutti_text_load(const char *path, tutti_text **out) {
    buffer text = {0};
    struct stat info;
    *out = NULL;
    tutti_status status = stat(path, &info) == 0 && S_ISDIR(info.st_mode)
                              ? append_directory(&text, path)
                              : append(&text, path);
    if (status == TUTTI_OK)
        status = make(text.data, (int64_t)text.size, path, out);
    free(text.data);
    return status;
}

tutti_status tutti_text_load_first(const char *const *paths, int32_t n_paths, tutti_text **out) {
    *out = NULL;
    for (int32_t i = 0; i < n_paths; i++) {
        const tutti_status status = tutti_text_load(paths[i], out);
        /* The last one's message tells what is wrong. */
        if ((status != TUTTI_IO && status != TUTTI_BAD_INPUT) || i + 1 == n_paths)
            return status;
    }
    return tutti_fail(TUTTI_INVALID_ARGUMENT, "text: no path is given");
}

tutti_status tutti_text_encode(const tutti_text *text, const void *data, int64_t n,
                               int32_t *out_ids) {
    const unsigned char *bytes = data;
    for (int64_t i = 0; i < n; i++) {
        out_ids[i] = text->id_of[bytes[i]];
        if (out_ids[i] < 0) {
            const char shown[] = {bytes[i] > 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?', '\0'};
            return tutti_fail(TUTTI_BAD_INPUT,
                              "character %lld, '%s' (0x%02x), does not occur in %s", (long long)i,
                              shown, (unsigned)bytes[i], text->source);
        }
    }
    return TUTTI_OK;
}

tutti_status tutti_text_windows(const tutti_text *text, int64_t begin, int64_t end, int64_t length,
                                int64_t stride, tutti_dataset **out) {
    *out = NULL;
    if (begin < 0 || end > text->n || length < 1 || stride < 1)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "text: windows of %lld every %lld from %lld to %lld; the text has %lld "
                          "characters",
                          (long long)length, (long long)stride, (long long)begin, (long long)end,
                          (long long)text->n);
    if (end - begin < 1 || length > end - begin - 1)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: %lld characters are too few for windows of %lld and the one that "
                          "follows",
                          text->source, (long long)(end - begin), (long long)length);
    tutti_dataset *set = calloc(1, sizeof *set);
    if (set == NULL)
        return tutti_fail_memory(sizeof *set, "windows of a text");
    const tutti_shape shape = tutti_shape_of_rows(1, &length);
    const size_t bytes = (size_t)(end - begin) * sizeof *set->tokens;
    *set = (tutti_dataset){.n = (end - begin - 1 - length) / stride + 1,
                           .x_dtype = TUTTI_I32,
                           .x_shape = shape,
                           .tokens = malloc(bytes),
                           .y_dtype = TUTTI_I32,
                           .y_shape = shape,
                           .stride = stride,
                           .n_classes = text->n_vocabulary,
                           .source = strdup(text->source)};
    if (set->tokens == NULL || set->source == NULL) {
        tutti_dataset_free(set);
        return tutti_fail_memory(bytes, "windows of a text");
    }
    memcpy(set->tokens, text->ids + begin, bytes);
    set->y = set->tokens + 1;
    *out = set;
    return TUTTI_OK;
}

tutti_status tutti_text_split(const tutti_text *text, int64_t length, double fraction,
                              int64_t stride, tutti_dataset **out_train,
                              tutti_dataset **out_validation) {
    *out_train = *out_validation = NULL;
    if (!(fraction > 0 && fraction < 1))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "split: fraction %g, expected 0 < fraction < 1",
                          fraction);
    const int64_t border = text->n - llround(fraction * (double)text->n);
    TUTTI_TRY(tutti_text_windows(text, 0, border, length, stride, out_train));
    const tutti_status status =
        tutti_text_windows(text, border, text->n, length, length, out_validation);
    if (status != TUTTI_OK) {
        tutti_dataset_free(*out_train);
        *out_train = NULL;
    }
    return status;
}
