#include "data/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "data/data.h"

#define TABLE_MAX_BYTES (UINT64_C(1) << 32)

void tutti_table_store_release(tutti_table_store *s) {
    if (s == NULL || --s->references > 0)
        return;
    for (int32_t c = 0; c < s->n_columns && s->columns != NULL; c++)
        free(s->columns[c].number);
    tutti_csv_close(&s->csv);
    free(s->columns);
    free(s->own_names);
    free(s->cells);
    free(s->lines);
    free(s->source);
    free(s);
}

void tutti_table_free(tutti_table *table) {
    if (table == NULL)
        return;
    tutti_table_store_release(table->store);
    free(table->rows);
    free(table);
}

int64_t tutti_table_rows(const tutti_table *table) {
    return table->n;
}
int64_t tutti_table_dropped(const tutti_table *table) {
    return table->store->dropped;
}
const char *tutti_table_source(const tutti_table *table) {
    return table->store->source;
}

int32_t tutti_table_find(const tutti_table_store *s, const char *name) {
    for (int32_t c = 0; c < s->n_columns; c++)
        if (strcmp(s->columns[c].name, name) == 0)
            return c;
    return -1;
}

static tutti_status fail_at(const tutti_table_store *s, int64_t row, int32_t column,
                            const char *cell, const char *what) {
    char name[64], value[64];
    return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: column \"%s\": \"%s\" %s", s->source,
                      (long long)s->lines[row], tutti_csv_shown(s->columns[column].name, name),
                      tutti_csv_shown(cell != NULL ? cell : "", value), what);
}

tutti_status tutti_table_fail(const tutti_table_store *s, int64_t row, int32_t column,
                              const char *what) {
    return fail_at(s, row, column, tutti_table_cell(s, row, column), what);
}

/* A cell that the options do not allow, with those that would. */
static tutti_status fail_missing(const tutti_table_store *s, int64_t row, int32_t column,
                                 const char *cell) {
    return fail_at(s, row, column, cell,
                   s->columns[column].use == TUTTI_COLUMN_TARGET
                       ? "is a missing cell of the target: its row can be left out (missing: drop)"
                       : "is a missing cell: its row can be left out, or the cell filled (missing: "
                         "drop or fill)");
}

static tutti_status fail_odd(const tutti_table_store *s, int64_t row, int32_t column,
                             const char *wrong) {
    char what[256];
    snprintf(what, sizeof what,
             "%s, as other cells of the column are (a missing cell: see missing-text; a column of "
             "texts: see categorical)",
             wrong);
    return tutti_table_fail(s, row, column, what);
}

/* Columns from the first record. Without a header they are called "1", "2", ... */
static tutti_status name_columns(tutti_table_store *s, bool header) {
    s->n_columns = s->csv.n_cells;
    s->columns = calloc((size_t)s->n_columns, sizeof *s->columns);
    if (!header)
        s->own_names = malloc((size_t)s->n_columns * 16);
    if (s->columns == NULL || (!header && s->own_names == NULL))
        return tutti_fail_memory((size_t)s->n_columns * sizeof *s->columns, s->source);
    for (int32_t c = 0; c < s->n_columns; c++) {
        if (header) {
            s->columns[c].name = tutti_csv_trim(s->csv.cells[c].text);
        } else {
            snprintf(s->own_names + 16 * c, 16, "%d", c + 1);
            s->columns[c].name = s->own_names + 16 * c;
        }
    }
    return TUTTI_OK;
}

static tutti_status find_named(const tutti_table_store *s, const char *name, int32_t *out) {
    char shown[64];
    int32_t count = 0;
    for (int32_t c = 0; c < s->n_columns; c++)
        if (strcmp(s->columns[c].name, name) == 0) {
            *out = c;
            count++;
        }
    if (count == 1)
        return TUTTI_OK;
    return tutti_fail(TUTTI_BAD_INPUT, "%s: %s column is named \"%s\"", s->source,
                      count == 0 ? "no" : "more than one", tutti_csv_shown(name, shown));
}

/* Each name of a list separated by commas. */
static tutti_status mark(tutti_table_store *s, const char *list, bool categorical) {
    if (list == NULL || *list == '\0')
        return TUTTI_OK;
    char *copy = strdup(list), *rest = copy, *name;
    if (copy == NULL)
        return tutti_fail_memory(strlen(list), "column names");
    tutti_status status = TUTTI_OK;
    while (status == TUTTI_OK && (name = strsep(&rest, ",")) != NULL) {
        int32_t c = 0;
        status = find_named(s, tutti_csv_trim(name), &c);
        if (status == TUTTI_OK && categorical)
            s->columns[c].categorical = true;
        else if (status == TUTTI_OK)
            s->columns[c].use = TUTTI_COLUMN_IGNORED;
    }
    free(copy);
    return status;
}

static tutti_status use_columns(tutti_table_store *s, const tutti_table_options *options) {
    char shown[64];
    s->target = s->n_columns - 1;
    if (options->target != NULL)
        TUTTI_TRY(find_named(s, options->target, &s->target));
    TUTTI_TRY(mark(s, options->categorical, true));
    TUTTI_TRY(mark(s, options->ignore, false));
    tutti_column *target = &s->columns[s->target];
    if (target->use == TUTTI_COLUMN_IGNORED)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s: the target \"%s\" is to be ignored",
                          s->source, target->name);
    target->use = TUTTI_COLUMN_TARGET;
    target->categorical = target->categorical || options->classes;
    for (int32_t c = 0; c < s->n_columns; c++)
        if (s->columns[c].use == TUTTI_COLUMN_FEATURE)
            return TUTTI_OK;
    if (s->n_columns == 1)
        return tutti_fail(
            TUTTI_BAD_INPUT,
            "%s: one column, expected features and a target, separated by '%c' (see separator)",
            s->source, s->csv.separator);
    return tutti_fail(
        TUTTI_BAD_INPUT,
        "%s: no column is left for features: of %d, \"%s\" is the target and the rest "
        "is to be ignored",
        s->source, s->n_columns, tutti_csv_shown(target->name, shown));
}

static tutti_status grow(tutti_table_store *s) {
    if (s->n_rows < s->capacity)
        return TUTTI_OK;
    const int64_t capacity = s->capacity == 0 ? 256 : 2 * s->capacity;
    const size_t bytes = (size_t)capacity * (size_t)s->n_columns * sizeof *s->cells;
    const char **cells = realloc((void *)s->cells, bytes);
    if (cells != NULL)
        s->cells = cells;
    int64_t *lines = realloc(s->lines, (size_t)capacity * sizeof *lines);
    if (lines != NULL)
        s->lines = lines;
    if (cells == NULL || lines == NULL)
        return tutti_fail_memory(bytes, s->source);
    s->capacity = capacity;
    return TUTTI_OK;
}

static tutti_status add_row(tutti_table_store *s, const tutti_table_options *options) {
    const tutti_csv *csv = &s->csv;
    if (csv->n_cells != s->n_columns)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:%lld: %d cells, expected %d as in the %s", s->source,
                          (long long)csv->cells[0].line, csv->n_cells, s->n_columns,
                          options->no_header ? "first row" : "header");
    TUTTI_TRY(grow(s));
    const int64_t row = s->n_rows;
    s->lines[row] = csv->cells[0].line;
    bool drop = false;
    for (int32_t c = 0; c < s->n_columns; c++) {
        const char *text = tutti_csv_trim(csv->cells[c].text);
        const bool missing = *text == '\0' || (options->missing_text != NULL &&
                                               strcmp(text, options->missing_text) == 0);
        const tutti_column *column = &s->columns[c];
        s->cells[row * s->n_columns + c] = missing ? NULL : text;
        if (!missing || column->use == TUTTI_COLUMN_IGNORED)
            continue;
        if (options->missing == TUTTI_MISSING_DROP)
            drop = true;
        else if (options->missing == TUTTI_MISSING_REFUSE || column->use == TUTTI_COLUMN_TARGET)
            return fail_missing(s, row, c, text);
    }
    s->n_rows += !drop;
    s->dropped += drop;
    return TUTTI_OK;
}

/* Decides what a column holds, and reads its numbers. */
static tutti_status read_column(tutti_table_store *s, int32_t c) {
    tutti_column *column = &s->columns[c];
    int64_t numbers = 0, others = 0, odd = -1;
    const char *wrong = NULL;
    column->oddity = -1;
    if (column->use == TUTTI_COLUMN_IGNORED)
        return TUTTI_OK;
    column->number = malloc((size_t)s->n_rows * sizeof *column->number);
    if (column->number == NULL)
        return tutti_fail_memory((size_t)s->n_rows * sizeof *column->number, s->source);
    for (int64_t r = 0; r < s->n_rows; r++) {
        const char *cell = tutti_table_cell(s, r, c);
        column->number[r] = (float)NAN;
        if (cell == NULL)
            continue;
        const char *problem = tutti_csv_number(&s->csv, cell, &column->number[r]);
        numbers += problem == NULL;
        others += problem != NULL;
        if (problem != NULL && odd < 0) {
            odd = r;
            wrong = problem;
        }
    }
    if (!column->categorical && others > numbers)
        column->categorical = true;
    if (column->categorical) {
        column->oddity = odd;
        free(column->number);
        column->number = NULL;
        return TUTTI_OK;
    }
    return odd < 0 ? TUTTI_OK : fail_odd(s, odd, c, wrong);
}

static tutti_status read_all(tutti_table_store *s, const tutti_table_options *options) {
    TUTTI_TRY(tutti_csv_next(&s->csv));
    if (s->csv.n_cells == 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: the file is empty, expected %s", s->source,
                          options->no_header ? "rows" : "a header and rows");
    if (!options->no_header)
        tutti_csv_warn_of_numbers(&s->csv);
    TUTTI_TRY(name_columns(s, !options->no_header));
    TUTTI_TRY(use_columns(s, options));
    if (options->no_header)
        TUTTI_TRY(add_row(s, options));
    for (;;) {
        TUTTI_TRY(tutti_csv_next(&s->csv));
        if (s->csv.n_cells == 0)
            break;
        TUTTI_TRY(add_row(s, options));
    }
    if (s->n_rows == 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: no row %s", s->source,
                          s->dropped > 0 ? "is without a missing cell" : "follows the header");
    for (int32_t c = 0; c < s->n_columns; c++)
        TUTTI_TRY(read_column(s, c));
    return TUTTI_OK;
}

static tutti_status make_part(tutti_table_store *s, const int64_t *rows, int64_t n,
                              tutti_table **out) {
    tutti_table *table = malloc(sizeof *table);
    int64_t *copy = malloc((size_t)n * sizeof *copy);
    if (table == NULL || copy == NULL) {
        free(table);
        free(copy);
        return tutti_fail_memory((size_t)n * sizeof *copy, "a table");
    }
    for (int64_t i = 0; i < n; i++)
        copy[i] = rows != NULL ? rows[i] : i;
    *table = (tutti_table){s, n, copy};
    s->references++;
    *out = table;
    return TUTTI_OK;
}

tutti_status tutti_table_read(const char *source, char *text, size_t size,
                              const tutti_table_options *options, tutti_table **out) {
    static const tutti_table_options defaults;
    *out = NULL;
    if (options == NULL)
        options = &defaults;
    tutti_table_store *s = calloc(1, sizeof *s);
    if (s != NULL)
        s->source = strdup(source);
    if (s == NULL || s->source == NULL) {
        free(s);
        free(text);
        return tutti_fail_memory(0, source);
    }
    s->references = 1;
    tutti_status status = tutti_csv_open_text(s->source, text, size, options->separator, &s->csv);
    if (status == TUTTI_OK)
        status = read_all(s, options);
    if (status == TUTTI_OK)
        status = make_part(s, NULL, s->n_rows, out);
    tutti_table_store_release(s);
    return status;
}

tutti_status tutti_table_load_csv(const char *path, const tutti_table_options *options,
                                  tutti_table **out) {
    char *text;
    size_t size;
    *out = NULL;
    TUTTI_TRY(tutti_file_read(path, TABLE_MAX_BYTES, &text, &size));
    return tutti_table_read(path, text, size, options, out);
}

tutti_status tutti_table_split(const tutti_table *table, double fraction, uint64_t seed,
                               tutti_table **out_first, tutti_table **out_second) {
    int64_t *order, n_first;
    *out_first = *out_second = NULL;
    TUTTI_TRY(tutti_split_order(table->n, fraction, seed, table->store->source, &n_first, &order));
    for (int64_t i = 0; i < table->n; i++)
        order[i] = table->rows[order[i]];
    tutti_status status = make_part(table->store, order, n_first, out_first);
    if (status == TUTTI_OK)
        status = make_part(table->store, order + n_first, table->n - n_first, out_second);
    free(order);
    if (status != TUTTI_OK) {
        tutti_table_free(*out_first);
        *out_first = NULL;
    }
    return status;
}
