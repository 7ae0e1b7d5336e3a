#include "base/json_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/status.h"

/* cJSON copies a number into 64 bytes before it converts it. */
#define NUMBER_MAX 60

typedef struct checker {
    const char *name;
    const char *at, *end;
    const char *line_start;
    int32_t line, depth;
    tutti_json_mark *marks;
    int32_t count, capacity;
} checker;

size_t tutti_utf8_length(const char *text, size_t size_bytes) {
    const unsigned char *s = (const unsigned char *)text;
    if (size_bytes == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || size_bytes < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

/* Fails as "name:line:col: found <what is at `at`>, expected <expected>". */
static tutti_status unexpected(const checker *c, const char *expected) {
    char what[32];
    if (c->at >= c->end)
        snprintf(what, sizeof what, "the end of the text");
    else if ((unsigned char)*c->at > 0x20 && (unsigned char)*c->at < 0x7f)
        snprintf(what, sizeof what, "'%c'", *c->at);
    else
        snprintf(what, sizeof what, "byte 0x%02x", (unsigned)(unsigned char)*c->at);
    return tutti_fail(TUTTI_BAD_INPUT, "%s:%d:%d: found %s, expected %s", c->name, c->line,
                      (int)(c->at - c->line_start) + 1, what, expected);
}

static tutti_status problem(const checker *c, const char *at, const char *text) {
    return tutti_fail(TUTTI_BAD_INPUT, "%s:%d:%d: %s", c->name, c->line,
                      (int)(at - c->line_start) + 1, text);
}

static void skip_space(checker *c) {
    for (; c->at < c->end; c->at++) {
        if (*c->at == '\n') {
            c->line++;
            c->line_start = c->at + 1;
        } else if (*c->at != ' ' && *c->at != '\t' && *c->at != '\r') {
            return;
        }
    }
}

static bool take(checker *c, char wanted) {
    if (c->at >= c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool at_digit(const checker *c) {
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static tutti_status mark(checker *c, int32_t line, ptrdiff_t column) {
    if (c->count == c->capacity) {
        int32_t capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
        tutti_json_mark *marks = realloc(c->marks, (size_t)capacity * sizeof *marks);
        if (marks == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *marks, "JSON positions");
        c->marks = marks;
        c->capacity = capacity;
    }
    c->marks[c->count++] = (tutti_json_mark){line, (int32_t)column};
    return TUTTI_OK;
}

/* Four hexadecimal digits at `at`, or -1. */
static int32_t hex4(const char *at, const char *end) {
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char d = at[i];
        int32_t digit = d >= '0' && d <= '9'   ? d - '0'
                        : d >= 'a' && d <= 'f' ? d - 'a' + 10
                        : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                               : -1;
        if (digit < 0)
            return -1;
        value = 16 * value + digit;
    }
    return value;
}

/* After a backslash. */
static tutti_status check_escape(checker *c) {
    if (c->at < c->end && *c->at != '\0' && strchr("\"\\/bfnrt", *c->at) != NULL) {
        c->at++;
        return TUTTI_OK;
    }
    if (!take(c, 'u'))
        return unexpected(c, "one of \" \\ / b f n r t u after a backslash");
    int32_t code = hex4(c->at, c->end);
    if (code < 0)
        return problem(c, c->at, "bad \\u escape, expected four hexadecimal digits");
    if (code == 0)
        return problem(c, c->at, "\\u0000 in a string, expected text without NUL");
    c->at += 4;
    if (code >= 0xdc00 && code <= 0xdfff)
        return problem(c, c->at - 4, "lone low surrogate, expected a pair or another character");
    if (code < 0xd800 || code > 0xdbff)
        return TUTTI_OK;
    int32_t low = c->end - c->at >= 6 && c->at[0] == '\\' && c->at[1] == 'u'
                      ? hex4(c->at + 2, c->end)
                      : INT32_C(-1);
    if (low < 0xdc00 || low > 0xdfff)
        return problem(c, c->at - 4, "lone high surrogate, expected a pair or another character");
    c->at += 6;
    return TUTTI_OK;
}

/* At the opening quote. */
static tutti_status check_string(checker *c) {
    const char *start = c->at++;
    while (c->at < c->end && *c->at != '"') {
        if ((unsigned char)*c->at < 0x20)
            return unexpected(c, "an escape such as \\n for a control character");
        if (take(c, '\\')) {
            TUTTI_TRY(check_escape(c));
            continue;
        }
        size_t length = tutti_utf8_length(c->at, (size_t)(c->end - c->at));
        if (length == 0)
            return problem(c, c->at, "invalid UTF-8 in a string, expected UTF-8 text");
        c->at += length;
    }
    if (!take(c, '"'))
        return problem(c, start, "the string does not end, expected '\"'");
    return TUTTI_OK;
}

static tutti_status check_number(checker *c) {
    const char *start = c->at;
    (void)take(c, '-');
    if (!at_digit(c))
        return unexpected(c, "a digit");
    if (take(c, '0')) {
        if (at_digit(c))
            return problem(c, start, "number with a leading zero, expected none");
    } else {
        while (at_digit(c))
            c->at++;
    }
    if (take(c, '.')) {
        if (!at_digit(c))
            return unexpected(c, "a digit after the decimal point");
        while (at_digit(c))
            c->at++;
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        if (!take(c, '+'))
            (void)take(c, '-');
        if (!at_digit(c))
            return unexpected(c, "a digit in the exponent");
        while (at_digit(c))
            c->at++;
    }
    if (c->at - start > NUMBER_MAX)
        return problem(c, start, "number of more than 60 characters, expected fewer");
    return TUTTI_OK;
}

static tutti_status check_word(checker *c, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return unexpected(c, "a value: an object, array, string, number, true, false or null");
    c->at += length;
    return TUTTI_OK;
}

static tutti_status check_value(checker *c);

static tutti_status check_object(checker *c) {
    skip_space(c);
    if (take(c, '}'))
        return TUTTI_OK;
    do {
        skip_space(c);
        if (c->at >= c->end || *c->at != '"')
            return unexpected(c, "a key in double quotes");
        TUTTI_TRY(mark(c, c->line, c->at - c->line_start + 1));
        TUTTI_TRY(check_string(c));
        skip_space(c);
        if (!take(c, ':'))
            return unexpected(c, "':' after the key");
        skip_space(c);
        TUTTI_TRY(check_value(c));
        skip_space(c);
    } while (take(c, ','));
    return take(c, '}') ? TUTTI_OK : unexpected(c, "',' or '}'");
}

static tutti_status check_array(checker *c) {
    skip_space(c);
    if (take(c, ']'))
        return TUTTI_OK;
    do {
        skip_space(c);
        TUTTI_TRY(mark(c, c->line, c->at - c->line_start + 1));
        TUTTI_TRY(check_value(c));
        skip_space(c);
    } while (take(c, ','));
    return take(c, ']') ? TUTTI_OK : unexpected(c, "',' or ']'");
}

static tutti_status check_value(checker *c) {
    switch (c->at < c->end ? *c->at : '\0') {
    case '{':
    case '[': {
        if (c->depth == TUTTI_JSON_MAX_DEPTH)
            return problem(c, c->at, "nested too deeply, expected at most 32 levels");
        c->depth++;
        TUTTI_TRY(*c->at++ == '{' ? check_object(c) : check_array(c));
        c->depth--;
        return TUTTI_OK;
    }
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        if (at_digit(c) || (c->at < c->end && *c->at == '-'))
            return check_number(c);
        return unexpected(c, "a value: an object, array, string, number, true, false or null");
    }
}

static tutti_status check_text(checker *c) {
    if (c->end - c->at >= 3 && memcmp(c->at, "\xef\xbb\xbf", 3) == 0)
        return problem(c, c->at, "byte order mark, expected UTF-8 without one");
    skip_space(c);
    TUTTI_TRY(mark(c, c->line, c->at - c->line_start + 1));
    TUTTI_TRY(check_value(c));
    skip_space(c);
    return c->at == c->end ? TUTTI_OK : unexpected(c, "nothing after the value");
}

tutti_status tutti_json_check(const char *name, const char *text, size_t size_bytes,
                              tutti_json_mark **out_marks, int32_t *out_count) {
    *out_marks = NULL;
    *out_count = 0;
    if (size_bytes > TUTTI_JSON_MAX_BYTES)
        return tutti_fail(TUTTI_BAD_INPUT, "%s:1:1: %zu bytes long, expected at most %d", name,
                          size_bytes, TUTTI_JSON_MAX_BYTES);
    checker c = {.name = name, .at = text, .end = text + size_bytes, .line_start = text, .line = 1};
    tutti_status status = check_text(&c);
    if (status != TUTTI_OK) {
        free(c.marks);
        return status;
    }
    *out_marks = c.marks;
    *out_count = c.count;
    return TUTTI_OK;
}
