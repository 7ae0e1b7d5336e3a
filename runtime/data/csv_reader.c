#include "data/csv_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

#define CSV_MAX_BYTES   (UINT64_C(1) << 32)
#define CSV_MAX_COLUMNS 65536

const char *tutti_csv_shown(const char *text, char out[64]) {
    size_t length = 0;
    for (; text[length] != '\0' && length < 40; length++)
        out[length] =
            (unsigned char)text[length] < 0x20 || text[length] == 0x7f ? '?' : text[length];
    if (text[length] != '\0') {
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--; /* never within a UTF-8 sequence */
        memcpy(out + length, "...", 3);
        length += 3;
    }
    out[length] = '\0';
    return out;
}

static tutti_status add_cell(tutti_csv *r, char *text, int64_t line) {
    if (r->n_cells == CSV_MAX_COLUMNS)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: more than %d cells", r->path, (long long)line,
                          CSV_MAX_COLUMNS);
    if (r->n_cells == r->capacity) {
        const int32_t capacity = r->capacity == 0 ? 64 : 2 * r->capacity;
        tutti_csv_cell *cells = realloc(r->cells, (size_t)capacity * sizeof *cells);
        if (cells == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *cells, "CSV cells");
        r->cells = cells;
        r->capacity = capacity;
    }
    r->cells[r->n_cells++] = (tutti_csv_cell){text, line};
    return TUTTI_OK;
}

/* Reads a quoted cell; r->next is behind the opening quote and ends behind the closing one. */
static tutti_status read_quoted(tutti_csv *r, char **out_end) {
    const int64_t opened = r->line;
    char *to = r->next;
    for (char *from = r->next; from < r->end; from++) {
        if (*from == '"') {
            if (from + 1 < r->end && from[1] == '"') {
                from++;
            } else {
                r->next = from + 1;
                *out_end = to;
                return TUTTI_OK;
            }
        } else if (*from == '\n') {
            r->line++;
        }
        *to++ = *from;
    }
    return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: a quoted cell is not closed", r->path,
                      (long long)opened);
}

/* An opening quote too many makes the next one, perhaps lines later, the closing one. */
static tutti_status text_behind_quote(const tutti_csv *r, int64_t opened) {
    char begin[64] = "";
    if (opened < r->line)
        snprintf(begin, sizeof begin, " (the cell begins in line %lld)", (long long)opened);
    return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: text behind a closing quote%s", r->path,
                      (long long)r->line, begin);
}

static bool at_line_end(const tutti_csv *r) {
    return r->next == r->end || *r->next == '\n' ||
           (*r->next == '\r' && (r->next + 1 == r->end || r->next[1] == '\n'));
}

static void skip_line_end(tutti_csv *r) {
    if (r->next < r->end && *r->next == '\r')
        r->next++;
    if (r->next < r->end && *r->next == '\n')
        r->next++;
    r->line++;
}

tutti_status tutti_csv_next(tutti_csv *r) {
    r->n_cells = 0;
    while (r->next < r->end && at_line_end(r))
        skip_line_end(r);
    while (r->next < r->end) {
        const int64_t line = r->line;
        char *text, *end = NULL;
        if (*r->next == '"') {
            text = ++r->next;
            TUTTI_TRY(read_quoted(r, &end));
            if (!at_line_end(r) && *r->next != r->separator)
                return text_behind_quote(r, line);
        } else {
            text = r->next;
            while (!at_line_end(r) && *r->next != r->separator) {
                if (*r->next == '"')
                    return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: a quote within an unquoted cell",
                                      r->path, (long long)r->line);
                r->next++;
            }
            end = r->next;
        }
        TUTTI_TRY(add_cell(r, text, line));
        const bool last = at_line_end(r);
        if (last)
            skip_line_end(r);
        else
            r->next++;
        *end = '\0';
        if (last)
            return TUTTI_OK;
        if (r->next == r->end) /* the file ends behind a separator: an empty cell is left */
            return add_cell(r, r->end, r->line);
    }
    return TUTTI_OK;
}

const char *tutti_csv_trim(char *text) {
    while (*text == ' ' || *text == '\t')
        text++;
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    text[length] = '\0';
    return text;
}

const char *tutti_csv_number(const tutti_csv *r, const char *text, float *out) {
    char *end;
    const double value = strtod_l(text, &end, r->c_locale);
    if (end == text || *end != '\0' || strpbrk(text, "xX(") != NULL)
        return "is not a number";
    *out = (float)value;
    return isfinite(*out) ? NULL : "is not a finite number in the range of float";
}

void tutti_csv_warn_of_numbers(const tutti_csv *r) {
    float value;
    for (int32_t c = 0; c < r->n_cells; c++)
        if (tutti_csv_number(r, tutti_csv_trim(r->cells[c].text), &value) != NULL)
            return;
    tutti_log_write(TUTTI_LOG_WARNING,
                    "%s:%lld: the first line holds numbers only, but is taken as the header (see "
                    "no-header)",
                    r->path, (long long)r->cells[0].line);
}

static tutti_status prepare(tutti_csv *r, size_t size) {
    if (strchr("\"\r\n.+-0123456789eE", r->separator) != NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "'%c' cannot separate CSV cells", r->separator);
    r->end = r->text + size;
    if (size >= 3 && memcmp(r->next, "\xEF\xBB\xBF", 3) == 0)
        r->next += 3; /* UTF-8's byte order mark */
    const char *nul = memchr(r->next, '\0', (size_t)(r->end - r->next));
    if (nul != NULL)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: not a text file: byte %lld is NUL", r->path,
                          (long long)(nul - r->next));
    r->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return r->c_locale == (locale_t)0 ? tutti_fail_memory(0, "a locale") : TUTTI_OK;
}

tutti_status tutti_csv_open_text(const char *name, char *text, size_t size, char separator,
                                 tutti_csv *r) {
    *r = (tutti_csv){.path = name,
                     .separator = separator == 0 ? ',' : separator,
                     .text = text,
                     .next = text,
                     .line = 1};
    const tutti_status status = prepare(r, size);
    if (status != TUTTI_OK)
        tutti_csv_close(r);
    return status;
}

tutti_status tutti_csv_open(const char *path, char separator, tutti_csv *r) {
    char *text;
    size_t size;
    *r = (tutti_csv){0};
    TUTTI_TRY(tutti_file_read(path, CSV_MAX_BYTES, &text, &size));
    return tutti_csv_open_text(path, text, size, separator, r);
}

void tutti_csv_close(tutti_csv *r) {
    if (r->c_locale != (locale_t)0)
        freelocale(r->c_locale);
    free(r->cells);
    free(r->text);
    *r = (tutti_csv){0};
}
