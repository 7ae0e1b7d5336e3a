/* The strict pass over a JSON text: refuses what RFC 8259 does not allow and what the limits of
 * json.h exclude, and records where every value begins. */
#ifndef TUTTI_BASE_JSON_CHECK_H
#define TUTTI_BASE_JSON_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "tutti/status.h"

/* Where a value begins, or its key when it has one; from 1, the column in bytes. */
typedef struct tutti_json_mark {
    int32_t line, column;
} tutti_json_mark;

/* One mark for each value in the text's order (a container before its members); free() them. */
TUTTI_MUST_USE tutti_status tutti_json_check(const char *name, const char *text, size_t size_bytes,
                                             tutti_json_mark **out_marks, int32_t *out_count);
/* Bytes of the UTF-8 sequence (RFC 3629) that text begins with, 0 when it is none. */
size_t tutti_utf8_length(const char *text, size_t size_bytes);

#endif
