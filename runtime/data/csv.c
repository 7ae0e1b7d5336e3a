/* Numeric CSV. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "data/csv_reader.h"
#include "data/data.h"

typedef struct numbers {
    tutti_csv csv;
    const char **names; /* NULL without a header */
    int32_t columns, target;
    float target_min, target_max;
    bool target_whole;
    float *x, *y;
    int64_t rows, rows_capacity;
} numbers;

static const char *column_name(const numbers *r, int32_t column, char out[64]) {
    char number[16];
    if (r->names != NULL)
        return tutti_csv_shown(r->names[column], out);
    /* Columns without names are counted from 1, as a reader of the file would. */
    snprintf(number, sizeof number, "%d", column + 1);
    return tutti_csv_shown(number, out);
}

static tutti_status grow_rows(numbers *r) {
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
        return tutti_fail_memory(x_bytes, r->csv.path);
    r->rows_capacity = capacity;
    return TUTTI_OK;
}

static tutti_status add_row(numbers *r) {
    if (r->csv.n_cells != r->columns)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: %d cells, expected %d as in the %s",
                          r->csv.path, (long long)r->csv.cells[0].line, r->csv.n_cells, r->columns,
                          r->names != NULL ? "header" : "first row");
    TUTTI_TRY(grow_rows(r));
    float *x = r->x + r->rows * (r->columns - 1);
    for (int32_t c = 0; c < r->columns; c++) {
        char range[80];
        const char *text = tutti_csv_trim(r->csv.cells[c].text);
        const char *wrong = tutti_csv_number(&r->csv, text, c == r->target ? r->y + r->rows : x);
        if (wrong == NULL && c == r->target && r->target_max > r->target_min &&
            !(r->y[r->rows] >= r->target_min && r->y[r->rows] <= r->target_max)) {
            snprintf(range, sizeof range, "is out of range for the target, expected %g to %g",
                     (double)r->target_min, (double)r->target_max);
            wrong = range;
        }
        if (wrong == NULL && c == r->target && r->target_whole &&
            r->y[r->rows] != rintf(r->y[r->rows]))
            wrong = "is no whole number, as the target must be";
        if (wrong != NULL) {
            char name[64], value[64];
            return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: column \"%s\": \"%s\" %s", r->csv.path,
                              (long long)r->csv.cells[c].line, column_name(r, c, name),
                              tutti_csv_shown(text, value), wrong);
        }
        if (c != r->target)
            x++;
    }
    r->rows++;
    return TUTTI_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A file with one name twice is usable, but perhaps not what was meant. */
static tutti_status warn_of_twins(const numbers *r) {
    const size_t size = (size_t)r->columns * sizeof *r->names;
    const char **sorted = malloc(size);
    if (sorted == NULL)
        return tutti_fail_memory(size, "column names");
    memcpy(sorted, r->names, size);
    qsort(sorted, (size_t)r->columns, sizeof *sorted, compare_names);
    for (int32_t c = 1; c < r->columns; c++)
        if (strcmp(sorted[c - 1], sorted[c]) == 0 &&
            (c == 1 || strcmp(sorted[c - 2], sorted[c]) != 0)) {
            char name[64];
            tutti_log_write(TUTTI_LOG_WARNING, "%s:%lld: more than one column is named \"%s\"",
                            r->csv.path, (long long)r->csv.cells[0].line,
                            tutti_csv_shown(sorted[c], name));
        }
    free(sorted);
    return TUTTI_OK;
}

/* Takes the first record: names, number of columns, target. */
static tutti_status read_first(numbers *r, const tutti_csv_options *options) {
    TUTTI_TRY(tutti_csv_next(&r->csv));
    if (r->csv.n_cells == 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: the file is empty, expected %s", r->csv.path,
                          options->no_header ? "rows of numbers" : "a header and rows of numbers");
    r->columns = r->csv.n_cells;
    r->target = r->columns - 1;
    if (r->columns < 2)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s:%lld: one column, expected features and a target separated by '%c'",
                          r->csv.path, (long long)r->csv.cells[0].line, r->csv.separator);
    if (options->no_header)
        return options->target == NULL
                   ? add_row(r)
                   : tutti_fail(TUTTI_INVALID_ARGUMENT,
                                "%s: target column \"%s\" is named, but there is no header",
                                r->csv.path, options->target);
    r->names = malloc((size_t)r->columns * sizeof *r->names);
    if (r->names == NULL)
        return tutti_fail_memory((size_t)r->columns * sizeof *r->names, "column names");
    int32_t found = 0;
    tutti_csv_warn_of_numbers(&r->csv);
    for (int32_t c = 0; c < r->columns; c++) {
        r->names[c] = tutti_csv_trim(r->csv.cells[c].text);
        if (options->target != NULL && strcmp(r->names[c], options->target) == 0) {
            r->target = c;
            found++;
        }
    }
    if (options->target != NULL && found != 1)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: %s column is named \"%s\"", r->csv.path,
                          (long long)r->csv.cells[0].line, found == 0 ? "no" : "more than one",
                          options->target);
    return warn_of_twins(r);
}

static tutti_status take_names(const numbers *r, tutti_dataset *set) {
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

static tutti_status read_table(numbers *r, const tutti_csv_options *options, tutti_dataset **out) {
    TUTTI_TRY(read_first(r, options));
    for (;;) {
        TUTTI_TRY(tutti_csv_next(&r->csv));
        if (r->csv.n_cells == 0)
            break;
        TUTTI_TRY(add_row(r));
    }
    if (r->rows == 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: no row follows the header", r->csv.path);
    const tutti_shape x_shape = tutti_shape_of_rows(1, &(int64_t){r->columns - 1});
    const tutti_shape y_shape = tutti_shape_of_rows(1, &(int64_t){1});
    TUTTI_TRY(
        tutti_dataset_alloc(r->rows, TUTTI_F32, &x_shape, TUTTI_F32, &y_shape, r->csv.path, out));
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
    numbers r = {.target_min = options->target_min,
                 .target_max = options->target_max,
                 .target_whole = options->target_whole};
    TUTTI_TRY(tutti_csv_open(path, options->separator, &r.csv));
    const tutti_status status = read_table(&r, options, out);
    if (status != TUTTI_OK) {
        tutti_dataset_free(*out);
        *out = NULL;
    }
    tutti_csv_close(&r.csv);
    free(r.names);
    free(r.x);
    free(r.y);
    return status;
}
