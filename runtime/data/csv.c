/* Numeric CSV (RFC 4180). The file is read whole and its cells are unquoted in place: a cell never
 * grows, and its terminating NUL takes the place of the separator behind it. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "data/data.h"

#define CSV_MAX_BYTES   (UINT64_C(1) << 32)
#define CSV_MAX_COLUMNS 65536

typedef struct csv_cell {
    char *text;
    int64_t line;
} csv_cell;

typedef struct csv_reader {
    const char *path;
    char separator;
    char *next, *end;
    int64_t line; /* of next */
    csv_cell *cells;
    int32_t n_cells, capacity;
    locale_t c_locale; /* so that a program's locale does not change what a number is */
    /* The table. */
    const char **names; /* NULL without a header */
    int32_t columns, target;
    float target_min, target_max;
    float *x, *y;
    int64_t rows, rows_capacity;
} csv_reader;

/* The text for a message: without control characters, cut where it is long. */
static const char *shown(const char *text, char out[64]) {
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

static tutti_status add_cell(csv_reader *r, char *text, int64_t line) {
    if (r->n_cells == CSV_MAX_COLUMNS)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: more than %d cells", r->path, (long long)line,
                          CSV_MAX_COLUMNS);
    if (r->n_cells == r->capacity) {
        const int32_t capacity = r->capacity == 0 ? 64 : 2 * r->capacity;
        csv_cell *cells = realloc(r->cells, (size_t)capacity * sizeof *cells);
        if (cells == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *cells, "CSV cells");
        r->cells = cells;
        r->capacity = capacity;
    }
    r->cells[r->n_cells++] = (csv_cell){text, line};
    return TUTTI_OK;
}

/* Reads a quoted cell; r->next is behind the opening quote and ends behind the closing one. */
static tutti_status read_quoted(csv_reader *r, char **out_end) {
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

static bool at_line_end(const csv_reader *r) {
    return r->next == r->end || *r->next == '\n' ||
           (*r->next == '\r' && (r->next + 1 == r->end || r->next[1] == '\n'));
}

static void skip_line_end(csv_reader *r) {
    if (r->next < r->end && *r->next == '\r')
        r->next++;
    if (r->next < r->end && *r->next == '\n')
        r->next++;
    r->line++;
}

/* Reads the next record that is not blank into r->cells; none is left when n_cells is 0. */
static tutti_status read_record(csv_reader *r) {
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
                return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: text behind a closing quote", r->path,
                                  (long long)r->line);
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

static const char *trim(char *text) {
    while (*text == ' ' || *text == '\t')
        text++;
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    text[length] = '\0';
    return text;
}

/* NULL, or what is wrong with it. */
static const char *parse_number(const csv_reader *r, const char *text, float *out) {
    char *end;
    const double value = strtod_l(text, &end, r->c_locale);
    if (end == text || *end != '\0' || strpbrk(text, "xX(") != NULL)
        return "is not a number";
    *out = (float)value;
    return isfinite(*out) ? NULL : "is not a finite number in the range of float";
}

static const char *column_name(const csv_reader *r, int32_t column, char out[64]) {
    char number[16];
    if (r->names != NULL)
        return shown(r->names[column], out);
    /* Columns without names are counted from 1, as a reader of the file would. */
    snprintf(number, sizeof number, "%d", column + 1);
    return shown(number, out);
}

static tutti_status grow_rows(csv_reader *r) {
    if (r->rows < r->rows_capacity)
        return TUTTI_OK;
    const int64_t capacity = r->rows_capacity == 0 ? 256 : 2 * r->rows_capacity;
    const size_t x_bytes = (size_t)capacity * (size_t)(r->columns - 1) * sizeof(float);
    float *x = realloc(r->x, x_bytes);
    if (x != NULL)
        r->x = x;
    float *y = realloc(r->y, (size_t)capacity * sizeof(float));
    if (y != NULL)
        r->y = y;
    if (x == NULL || y == NULL)
        return tutti_fail_memory(x_bytes, r->path);
    r->rows_capacity = capacity;
    return TUTTI_OK;
}

static tutti_status add_row(csv_reader *r) {
    if (r->n_cells != r->columns)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: %d cells, expected %d as in the %s", r->path,
                          (long long)r->cells[0].line, r->n_cells, r->columns,
                          r->names != NULL ? "header" : "first row");
    TUTTI_TRY(grow_rows(r));
    float *x = r->x + r->rows * (r->columns - 1);
    for (int32_t c = 0; c < r->columns; c++) {
        char range[80];
        const char *text = trim(r->cells[c].text);
        const char *wrong = parse_number(r, text, c == r->target ? r->y + r->rows : x);
        if (wrong == NULL && c == r->target && r->target_max > r->target_min &&
            !(r->y[r->rows] >= r->target_min && r->y[r->rows] <= r->target_max)) {
            snprintf(range, sizeof range, "is out of range for the target, expected %g to %g",
                     (double)r->target_min, (double)r->target_max);
            wrong = range;
        }
        if (wrong != NULL) {
            char name[64], value[64];
            return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: column \"%s\": \"%s\" %s", r->path,
                              (long long)r->cells[c].line, column_name(r, c, name),
                              shown(text, value), wrong);
        }
        if (c != r->target)
            x++;
    }
    r->rows++;
    return TUTTI_OK;
}

/* Takes the first record: names, number of columns, target. */
static tutti_status read_first(csv_reader *r, const tutti_csv_options *options) {
    TUTTI_TRY(read_record(r));
    if (r->n_cells == 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: the file is empty, expected %s", r->path,
                          options->no_header ? "rows of numbers" : "a header and rows of numbers");
    r->columns = r->n_cells;
    r->target = r->columns - 1;
    if (r->columns < 2)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s:%lld: one column, expected features and a target separated by '%c'",
                          r->path, (long long)r->cells[0].line, r->separator);
    if (options->no_header)
        return options->target == NULL
                   ? add_row(r)
                   : tutti_fail(TUTTI_INVALID_ARGUMENT,
                                "%s: target column \"%s\" is named, but there is no header",
                                r->path, options->target);
    r->names = malloc((size_t)r->columns * sizeof *r->names);
    if (r->names == NULL)
        return tutti_fail_memory((size_t)r->columns * sizeof *r->names, "column names");
    int32_t numbers = 0, found = 0;
    for (int32_t c = 0; c < r->columns; c++) {
        float value;
        r->names[c] = trim(r->cells[c].text);
        numbers += parse_number(r, r->names[c], &value) == NULL;
        if (options->target != NULL && strcmp(r->names[c], options->target) == 0) {
            r->target = c;
            found++;
        }
    }
    if (numbers == r->columns)
        tutti_log_write(TUTTI_LOG_WARNING,
                        "%s:%lld: the first line holds numbers only, but is taken as the header",
                        r->path, (long long)r->cells[0].line);
    if (options->target != NULL && found != 1)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: %s column is named \"%s\"", r->path,
                          (long long)r->cells[0].line, found == 0 ? "no" : "more than one",
                          options->target);
    return TUTTI_OK;
}

static tutti_status take_names(const csv_reader *r, tutti_dataset *set) {
    size_t size = (size_t)(r->columns - 1) * sizeof(char *);
    for (int32_t c = 0; c < r->columns; c++)
        size += strlen(r->names[c]) + 1;
    const char **names = malloc(size);
    if (names == NULL)
        return tutti_fail_memory(size, "column names");
    char *text = (char *)(names + r->columns - 1);
    for (int32_t c = 0, to = 0; c < r->columns; c++) {
        if (c == r->target)
            continue;
        names[to++] = text;
        text = stpcpy(text, r->names[c]) + 1;
    }
    set->feature_names = names;
    return TUTTI_OK;
}

static tutti_status read_table(csv_reader *r, const tutti_csv_options *options,
                               tutti_dataset **out) {
    if (r->end - r->next >= 3 && memcmp(r->next, "\xEF\xBB\xBF", 3) == 0)
        r->next += 3; /* UTF-8's byte order mark */
    const char *nul = memchr(r->next, '\0', (size_t)(r->end - r->next));
    if (nul != NULL)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: not a text file: byte %lld is NUL", r->path,
                          (long long)(nul - r->next));
    TUTTI_TRY(read_first(r, options));
    for (;;) {
        TUTTI_TRY(read_record(r));
        if (r->n_cells == 0)
            break;
        TUTTI_TRY(add_row(r));
    }
    if (r->rows == 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: no row follows the header", r->path);
    const tutti_shape x_shape = tutti_shape_of_rows(1, &(int64_t){r->columns - 1});
    const tutti_shape y_shape = tutti_shape_of_rows(1, &(int64_t){1});
    TUTTI_TRY(tutti_dataset_alloc(r->rows, TUTTI_F32, &x_shape, TUTTI_F32, &y_shape, r->path, out));
    memcpy((*out)->x, r->x, (size_t)(r->rows * (r->columns - 1)) * sizeof(float));
    memcpy((*out)->y, r->y, (size_t)r->rows * sizeof(float));
    return r->names != NULL ? take_names(r, *out) : TUTTI_OK;
}

tutti_status tutti_dataset_load_csv(const char *path, const tutti_csv_options *options,
                                    tutti_dataset **out) {
    static const tutti_csv_options defaults;
    *out = NULL;
    if (options == NULL)
        options = &defaults;
    const char separator = options->separator == 0 ? ',' : options->separator;
    if (strchr("\"\r\n.+-0123456789eE", separator) != NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "'%c' cannot separate CSV cells", separator);
    char *text;
    size_t size;
    TUTTI_TRY(tutti_file_read(path, CSV_MAX_BYTES, &text, &size));
    csv_reader r = {.path = path, .separator = separator, .next = text, .end = text + size};
    r.line = 1;
    r.target_min = options->target_min;
    r.target_max = options->target_max;
    r.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    tutti_status status =
        r.c_locale == (locale_t)0 ? tutti_fail_memory(0, "a locale") : read_table(&r, options, out);
    if (status != TUTTI_OK) {
        tutti_dataset_free(*out);
        *out = NULL;
    }
    if (r.c_locale != (locale_t)0)
        freelocale(r.c_locale);
    free(r.names);
    free(r.cells);
    free(r.x);
    free(r.y);
    free(text);
    return status;
}
