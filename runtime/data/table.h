/* The insides of tables. */
#ifndef TUTTI_DATA_TABLE_H
#define TUTTI_DATA_TABLE_H

#include "data/csv_reader.h"
#include "tutti/table.h"

typedef enum tutti_column_use {
    TUTTI_COLUMN_FEATURE,
    TUTTI_COLUMN_TARGET,
    TUTTI_COLUMN_IGNORED
} tutti_column_use;

typedef struct tutti_column {
    const char *name;
    tutti_column_use use;
    bool categorical;
    float *number;  /* of a numeric column, a value per row; NaN: missing */
    int64_t oddity; /* of a categorical one: a row whose cell is not a number, -1: none */
} tutti_column;

/* What was read, shared by the tables that are parts of it. */
typedef struct tutti_table_store {
    int32_t references;
    char *source;
    tutti_csv csv;   /* owns the texts */
    char *own_names; /* of columns without a header */
    int32_t n_columns, target;
    tutti_column *columns;
    int64_t n_rows, capacity, dropped;
    const char **cells; /* rows x columns; NULL: missing */
    int64_t *lines;     /* of rows */
} tutti_table_store;

struct tutti_table {
    tutti_table_store *store;
    int64_t n;
    int64_t *rows; /* of the store */
};

/* Reads a table from malloc'd text, which it then owns. */
TUTTI_MUST_USE tutti_status tutti_table_read(const char *source, char *text, size_t size_bytes,
                                             const tutti_table_options *options, tutti_table **out);
static inline const char *tutti_table_cell(const tutti_table_store *store, int64_t row,
                                           int32_t column) {
    return store->cells[row * store->n_columns + column];
}
/* -1: there is none. */
int32_t tutti_table_find(const tutti_table_store *store, const char *name);
/* Fails with "source:line: column "name": "cell" what". */
tutti_status tutti_table_fail(const tutti_table_store *store, int64_t row, int32_t column,
                              const char *what);
void tutti_table_store_release(tutti_table_store *store);

#endif
