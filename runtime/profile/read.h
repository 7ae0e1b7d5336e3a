/* Reading values of a JSON document into a plain struct, driven by tables of keys. Every function
 * fails as "name:line:col: key.path: problem, expected …". */
#ifndef TUTTI_PROFILE_READ_H
#define TUTTI_PROFILE_READ_H

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "base/json.h"

#define TUTTI_TEXT_MAX 256  /* characters of a name or glob */
#define TUTTI_PATH_MAX 4096 /* characters of a path */

typedef struct tutti_reader {
    const tutti_json *json;
    tutti_arena *arena;
    const char *directory; /* that relative paths start from; "" for the current one */
} tutti_reader;

/* Writes the value to *out; detail is the reader's own (limits, words). */
typedef tutti_status (*tutti_read_fn)(const tutti_reader *r, const cJSON *value, const void *detail,
                                      void *out);

/* A key of an object: where its value goes in the struct and how it is read. */
typedef struct tutti_read_key {
    const char *name;
    bool required;
    size_t offset;
    tutti_read_fn read;
    const void *detail;
} tutti_read_key;

typedef struct tutti_read_object {
    const tutti_read_key *keys;
    size_t n_keys;
} tutti_read_object;

/* detail: tutti_read_object; out: the struct. Unknown and missing keys are refused. */
tutti_status tutti_read_struct(const tutti_reader *r, const cJSON *value, const void *detail,
                               void *out);
/* detail: none; out: bool. */
tutti_status tutti_read_bool(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out);

typedef struct tutti_read_range {
    double least, most;
} tutti_read_range;
/* detail: tutti_read_range; out: uint32_t. */
tutti_status tutti_read_u32(const tutti_reader *r, const cJSON *value, const void *detail,
                            void *out);
/* Bytes as an integer or as text such as "2GiB". out: uint64_t. */
tutti_status tutti_read_size(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out);

typedef struct tutti_read_word {
    const char *text;
    uint32_t value;
} tutti_read_word;
typedef struct tutti_read_words {
    const tutti_read_word *words;
    size_t n_words;
} tutti_read_words;
/* One of the words. out: an enum, or uint32_t. */
tutti_status tutti_read_choice(const tutti_reader *r, const cJSON *value, const void *detail,
                               void *out);

/* Text of 1 character or more, none of them a control character. detail: the most characters as an
 * int, or NULL for 256; out: const char *. */
tutti_status tutti_read_text(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out);
/* As text, up to 4096 characters; a relative path is taken from the profile's directory. */
tutti_status tutti_read_path(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out);

/* An array of 1 to `most` values. `what` in the plural. */
tutti_status tutti_read_array_check(const tutti_reader *r, const cJSON *value, const char *what,
                                    int most);

/* "is <the value in words>" for messages: is "x", is 3, is a string … */
#define TUTTI_READ_SHOWN 80
const char *tutti_read_show(const cJSON *value, char shown[TUTTI_READ_SHOWN]);

#endif
