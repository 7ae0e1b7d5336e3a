#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json_check.h"
#include "base/status.h"

/* One value of the document, in the order of the text. */
typedef struct place {
    const cJSON *item;
    int32_t line, column;
    int32_t parent; /* in places; -1 for the root */
    int32_t index;  /* in its array; -1 for a member of an object and for the root */
} place;

struct tutti_json {
    char *name;
    cJSON *root;
    place *places;
    int32_t n_places;
};

/* Joins cJSON's tree to the positions that the checker has recorded, both in the text's order. */
static tutti_status index_tree(tutti_json *json, const tutti_json_mark *marks, int32_t n_marks,
                               const cJSON *item, int32_t parent, int32_t index) {
    TUTTI_ASSERT(json->n_places < n_marks);
    int32_t self = json->n_places++;
    json->places[self] =
        (place){item, marks[self].line, marks[self].column, parent, parent < 0 ? -1 : index};
    if (cJSON_IsNumber(item) && !isfinite(item->valuedouble))
        return tutti_json_fail(json, item,
                               "number too large for a double, expected a finite number");
    int32_t i = 0;
    for (const cJSON *child = item->child; child != NULL; child = child->next) {
        TUTTI_TRY(
            index_tree(json, marks, n_marks, child, self, cJSON_IsArray(item) ? i : INT32_C(-1)));
        i++;
    }
    return TUTTI_OK;
}

typedef struct member {
    const cJSON *item;
    int32_t order;
} member;

static int compare_members(const void *a, const void *b) {
    const member *x = a, *y = b;
    int order = strcmp(x->item->string, y->item->string);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* Objects of every level, each member named once. */
static tutti_status check_duplicates(const tutti_json *json, const cJSON *item) {
    size_t count = 0;
    for (const cJSON *child = item->child; child != NULL; child = child->next) {
        TUTTI_TRY(check_duplicates(json, child));
        count++;
    }
    if (!cJSON_IsObject(item) || count < 2)
        return TUTTI_OK;
    member *members = malloc(count * sizeof *members);
    if (members == NULL)
        return tutti_fail_memory(count * sizeof *members, "JSON members");
    size_t n = 0;
    for (const cJSON *child = item->child; child != NULL; child = child->next, n++)
        members[n] = (member){child, (int32_t)n};
    qsort(members, count, sizeof *members, compare_members);
    /* The duplicate that comes first in the text. */
    const member *found = NULL;
    const cJSON *first = NULL;
    for (size_t i = 1; i < count; i++)
        if (strcmp(members[i - 1].item->string, members[i].item->string) == 0 &&
            (found == NULL || members[i].order < found->order)) {
            found = &members[i];
            first = members[i - 1].item;
        }
    tutti_status status = TUTTI_OK;
    if (found != NULL) {
        int32_t line, column;
        tutti_json_position(json, first, &line, &column);
        status = tutti_json_fail(json, found->item,
                                 "given twice, first at line %d, expected each key once", line);
    }
    free(members);
    return status;
}

static tutti_status build(tutti_json *json, const char *text, size_t size_bytes,
                          const tutti_json_mark *marks, int32_t n_marks) {
    json->places = malloc((size_t)n_marks * sizeof *json->places);
    if (json->places == NULL)
        return tutti_fail_memory((size_t)n_marks * sizeof *json->places, "JSON positions");
    json->root = cJSON_ParseWithLength(text, size_bytes);
    if (json->root == NULL)
        return tutti_fail(TUTTI_OUT_OF_MEMORY, "%s: out of memory (a JSON text of %zu bytes)",
                          json->name, size_bytes);
    TUTTI_TRY(index_tree(json, marks, n_marks, json->root, -1, -1));
    TUTTI_ASSERT(json->n_places == n_marks);
    return check_duplicates(json, json->root);
}

tutti_status tutti_json_parse(const char *name, const char *text, size_t size_bytes,
                              tutti_json **out) {
    *out = NULL;
    tutti_json_mark *marks = NULL;
    int32_t n_marks = 0;
    TUTTI_TRY(tutti_json_check(name, text, size_bytes, &marks, &n_marks));
    tutti_json *json = calloc(1, sizeof *json);
    char *copy = strdup(name);
    tutti_status status;
    if (json == NULL || copy == NULL) {
        free(copy);
        status = tutti_fail_memory(sizeof *json, "a JSON document");
    } else {
        json->name = copy;
        status = build(json, text, size_bytes, marks, n_marks);
    }
    free(marks);
    if (status == TUTTI_OK)
        *out = json;
    else
        tutti_json_free(json);
    return status;
}

void tutti_json_free(tutti_json *json) {
    if (json == NULL)
        return;
    cJSON_Delete(json->root);
    free(json->places);
    free(json->name);
    free(json);
}

const cJSON *tutti_json_root(const tutti_json *json) {
    return json->root;
}

const char *tutti_json_name(const tutti_json *json) {
    return json->name;
}

static int32_t find_place(const tutti_json *json, const cJSON *value) {
    for (int32_t i = 0; i < json->n_places; i++)
        if (json->places[i].item == value)
            return i;
    return -1;
}

void tutti_json_position(const tutti_json *json, const cJSON *value, int32_t *line,
                         int32_t *column) {
    int32_t i = find_place(json, value);
    *line = i < 0 ? 1 : json->places[i].line;
    *column = i < 0 ? 1 : json->places[i].column;
}

/* A key comes from outside: any length, any characters. */
static void put_key(const char *key, tutti_strbuf *path) {
    size_t size = strlen(key);
    for (size_t at = 0; at < size;) {
        size_t length = tutti_utf8_length(key + at, size - at);
        if (at + length > 64) {
            tutti_strbuf_puts(path, "...");
            return;
        }
        bool control = (unsigned char)key[at] < 0x20 || key[at] == 0x7f;
        tutti_strbuf_append(path, control ? "?" : key + at, length);
        at += length;
    }
}

static void put_path(const tutti_json *json, int32_t i, tutti_strbuf *path) {
    if (i < 0 || json->places[i].parent < 0)
        return;
    put_path(json, json->places[i].parent, path);
    if (json->places[i].index >= 0) {
        tutti_strbuf_printf(path, "[%d]", json->places[i].index);
        return;
    }
    if (path->length > 0)
        tutti_strbuf_puts(path, ".");
    put_key(json->places[i].item->string, path);
}

tutti_status tutti_json_fail(const tutti_json *json, const cJSON *value, const char *format, ...) {
    int32_t line, column;
    tutti_json_position(json, value, &line, &column);
    tutti_strbuf path = {0};
    put_path(json, find_place(json, value), &path);
    va_list args;
    va_start(args, format);
    (void)tutti_fail_v(TUTTI_BAD_INPUT, format, args);
    va_end(args);
    if (path.length > 0)
        (void)tutti_fail_context(TUTTI_BAD_INPUT, "%.200s", path.text);
    tutti_strbuf_free(&path);
    return tutti_fail_context(TUTTI_BAD_INPUT, "%s:%d:%d", json->name, line, column);
}

const cJSON *tutti_json_member(const cJSON *object, const char *key) {
    if (!cJSON_IsObject(object))
        return NULL;
    for (const cJSON *child = object->child; child != NULL; child = child->next)
        if (strcmp(child->string, key) == 0)
            return child;
    return NULL;
}

void tutti_json_put_string(tutti_strbuf *buf, const char *text) {
    tutti_strbuf_puts(buf, "\"");
    const char *end = text + strlen(text);
    while (text < end) {
        unsigned char c = (unsigned char)*text;
        size_t length = tutti_utf8_length(text, (size_t)(end - text));
        if (c == '"' || c == '\\')
            tutti_strbuf_printf(buf, "\\%c", c);
        else if (c == '\n')
            tutti_strbuf_puts(buf, "\\n");
        else if (c == '\t')
            tutti_strbuf_puts(buf, "\\t");
        else if (c < 0x20 || c == 0x7f)
            tutti_strbuf_printf(buf, "\\u%04x", c);
        else if (length == 0)
            tutti_strbuf_puts(buf, "\xef\xbf\xbd"); /* U+FFFD for a byte that is not UTF-8 */
        else
            tutti_strbuf_append(buf, text, length);
        text += length == 0 ? 1 : length;
    }
    tutti_strbuf_puts(buf, "\"");
}

void tutti_json_put_number(tutti_strbuf *buf, double value) {
    if (!isfinite(value)) {
        tutti_strbuf_puts(buf, "null");
        return;
    }
    char text[64];
    if (fabs(value) < 1e15 && value == floor(value)) {
        snprintf(text, sizeof text, "%.0f", value);
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
    }
    /* JSON's decimal point is '.', whatever the program's locale says. */
    const char *point = localeconv()->decimal_point;
    char *found = strcmp(point, ".") == 0 || *point == '\0' ? NULL : strstr(text, point);
    if (found == NULL) {
        tutti_strbuf_puts(buf, text);
        return;
    }
    tutti_strbuf_append(buf, text, (size_t)(found - text));
    tutti_strbuf_puts(buf, ".");
    tutti_strbuf_puts(buf, found + strlen(point));
}
