/* Records of a CSV file (RFC 4180). The file is read whole and its cells are unquoted in place: a cell
 * never grows, and its terminating NUL takes the place of the separator behind it. Cells thus live as
 * long as the text.
 *
 *     TUTTI_TRY(tutti_csv_open(path, ',', &csv));       or tutti_csv_open_text
 *     while ((status = tutti_csv_next(&csv)) == TUTTI_OK && csv.n_cells > 0) ...
 *     tutti_csv_close(&csv);
 */
#ifndef TUTTI_DATA_CSV_H
#define TUTTI_DATA_CSV_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tutti/status.h"

typedef struct tutti_csv_cell {
    char *text;
    int64_t line;
} tutti_csv_cell;

typedef struct tutti_csv {
    const char *path; /* borrowed */
    char separator;
    char *text, *next, *end;
    int64_t line; /* of next */
    tutti_csv_cell *cells;
    int32_t n_cells, capacity;
    locale_t c_locale; /* so that a program's locale does not change what a number is */
} tutti_csv;

/* separator 0 means ','. After a failure there is nothing to close. */
TUTTI_MUST_USE tutti_status tutti_csv_open(const char *path, char separator, tutti_csv *csv);
/* Of malloc'd text, which the reader then owns, whatever the status; name stands for the path. */
TUTTI_MUST_USE tutti_status tutti_csv_open_text(const char *name, char *text, size_t size_bytes,
                                                char separator, tutti_csv *csv);
/* Reads the next record that is not blank into cells; none is left when n_cells is 0. */
TUTTI_MUST_USE tutti_status tutti_csv_next(tutti_csv *csv);
/* NULL, or what is wrong with the text as a number. */
const char *tutti_csv_number(const tutti_csv *csv, const char *text, float *out);
/* Warns when the first record, read as a header, holds numbers only. */
void tutti_csv_warn_of_numbers(const tutti_csv *csv);
/* Without blanks around it; changes the text. */
const char *tutti_csv_trim(char *text);
/* The text for a message: without control characters, cut where it is long. */
const char *tutti_csv_shown(const char *text, char out[64]);
void tutti_csv_close(tutti_csv *csv);

#endif
