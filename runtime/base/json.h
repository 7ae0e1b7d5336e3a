/* Strict JSON (RFC 8259) on top of cJSON, with positions.
 *
 * cJSON alone takes duplicate keys, leading zeros, invalid UTF-8 and 1e999; tutti_json_parse
 * refuses them, input over the limits, and anything after the value. Errors: TUTTI_BAD_INPUT
 * "name:line:col: problem, expected …".
 */
#ifndef TUTTI_BASE_JSON_H
#define TUTTI_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "tutti/status.h"

#define TUTTI_JSON_MAX_BYTES (1 << 20)
#define TUTTI_JSON_MAX_DEPTH 32

typedef struct tutti_json tutti_json; /* a parsed document */
struct cJSON;

/* name stands for the file in messages. The caller owns it: tutti_json_free. */
TUTTI_MUST_USE tutti_status tutti_json_parse(const char *name, const char *text, size_t size_bytes,
                                             tutti_json **out);
void tutti_json_free(tutti_json *json);
const struct cJSON *tutti_json_root(const tutti_json *json);
const char *tutti_json_name(const tutti_json *json);
/* Line and column (from 1, column in bytes) of a value of this document, or of its key when it has
 * one. */
void tutti_json_position(const tutti_json *json, const struct cJSON *value, int32_t *line,
                         int32_t *column);
/* Fails as "name:line:col: key: <message>"; key is value's own key path, such as
 * "devices[1].share". */
tutti_status tutti_json_fail(const tutti_json *json, const struct cJSON *value, const char *format,
                             ...) TUTTI_PRINTF(3, 4);
/* Case-sensitive member; NULL when missing. */
const struct cJSON *tutti_json_member(const struct cJSON *object, const char *key);

/* Writing: the text as a JSON string with quotes; a number that reads back equal ("null" for NaN
 * and inf). */
void tutti_json_put_string(tutti_strbuf *buf, const char *text);
void tutti_json_put_number(tutti_strbuf *buf, double value);

#endif
