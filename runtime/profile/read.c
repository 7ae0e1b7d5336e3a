#include "profile/read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_check.h"
#include "base/status.h"
#include "base/suggest.h"

/* "a string", "an object" … for messages. */
static const char *type_name(const cJSON *value) {
    return cJSON_IsNull(value)     ? "null"
           : cJSON_IsBool(value)   ? "true or false"
           : cJSON_IsNumber(value) ? "a number"
           : cJSON_IsString(value) ? "a string"
           : cJSON_IsArray(value)  ? "an array"
                                   : "an object";
}

const char *tutti_read_show(const cJSON *value, char shown[TUTTI_READ_SHOWN]) {
    if (cJSON_IsNumber(value)) {
        snprintf(shown, TUTTI_READ_SHOWN, "is %.17g", value->valuedouble);
        char shorter[TUTTI_READ_SHOWN];
        snprintf(shorter, sizeof shorter, "is %.15g", value->valuedouble);
        if (strtod(shorter + 3, NULL) == value->valuedouble)
            memcpy(shown, shorter, sizeof shorter);
    } else if (cJSON_IsString(value)) {
        const char *text = value->valuestring;
        size_t size = strlen(text), n = 0;
        n += (size_t)snprintf(shown, TUTTI_READ_SHOWN, "is \"");
        for (size_t at = 0; at < size;) {
            size_t length = tutti_utf8_length(text + at, size - at);
            if (n + length + 8 > TUTTI_READ_SHOWN) {
                n += (size_t)snprintf(shown + n, TUTTI_READ_SHOWN - n, "...");
                break;
            }
            if ((unsigned char)text[at] < 0x20 || text[at] == 0x7f)
                shown[n] = '?';
            else
                memcpy(shown + n, text + at, length);
            n += length;
            at += length;
        }
        snprintf(shown + n, TUTTI_READ_SHOWN - n, "\"");
    } else if (cJSON_IsBool(value)) {
        snprintf(shown, TUTTI_READ_SHOWN, "is %s", cJSON_IsTrue(value) ? "true" : "false");
    } else {
        snprintf(shown, TUTTI_READ_SHOWN, "is %s", type_name(value));
    }
    return shown;
}

static tutti_status unknown_key(const tutti_reader *r, const cJSON *member,
                                const tutti_read_object *object) {
    const char *names[32];
    tutti_strbuf all = {0};
    size_t n = 0;
    for (; n < object->n_keys && n < sizeof names / sizeof *names; n++) {
        names[n] = object->keys[n].name;
        tutti_strbuf_printf(&all, "%s%s",
                            n == 0                   ? ""
                            : n + 1 < object->n_keys ? ", "
                                                     : " or ",
                            names[n]);
    }
    const char *nearest = tutti_suggest(member->string, names, n);
    tutti_status status =
        nearest != NULL
            ? tutti_json_fail(r->json, member, "unknown key (did you mean \"%s\"?), expected %s",
                              nearest, all.text != NULL ? all.text : "")
            : tutti_json_fail(r->json, member, "unknown key, expected %s",
                              all.text != NULL ? all.text : "");
    tutti_strbuf_free(&all);
    return status;
}

tutti_status tutti_read_struct(const tutti_reader *r, const cJSON *value, const void *detail,
                               void *out) {
    const tutti_read_object *object = detail;
    if (!cJSON_IsObject(value))
        return tutti_json_fail(r->json, value, "is %s, expected an object", type_name(value));
    for (const cJSON *member = value->child; member != NULL; member = member->next) {
        const tutti_read_key *key = NULL;
        for (size_t i = 0; i < object->n_keys && key == NULL; i++)
            if (strcmp(object->keys[i].name, member->string) == 0)
                key = &object->keys[i];
        if (key == NULL)
            return unknown_key(r, member, object);
        TUTTI_TRY(key->read(r, member, key->detail, (char *)out + key->offset));
    }
    for (size_t i = 0; i < object->n_keys; i++)
        if (object->keys[i].required && tutti_json_member(value, object->keys[i].name) == NULL)
            return tutti_json_fail(r->json, value, "lacks the key \"%s\", expected it",
                                   object->keys[i].name);
    return TUTTI_OK;
}

tutti_status tutti_read_bool(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out) {
    (void)detail;
    char shown[TUTTI_READ_SHOWN];
    if (!cJSON_IsBool(value))
        return tutti_json_fail(r->json, value, "%s, expected true or false",
                               tutti_read_show(value, shown));
    *(bool *)out = cJSON_IsTrue(value);
    return TUTTI_OK;
}

static bool is_integer(const cJSON *value, double least, double most) {
    return cJSON_IsNumber(value) && value->valuedouble >= least && value->valuedouble <= most &&
           value->valuedouble == floor(value->valuedouble);
}

tutti_status tutti_read_u32(const tutti_reader *r, const cJSON *value, const void *detail,
                            void *out) {
    const tutti_read_range *range = detail;
    char shown[TUTTI_READ_SHOWN];
    if (!is_integer(value, range->least, range->most) && range->least == range->most)
        return tutti_json_fail(r->json, value, "%s, expected %.0f", tutti_read_show(value, shown),
                               range->least);
    if (!is_integer(value, range->least, range->most))
        return tutti_json_fail(r->json, value, "%s, expected an integer from %.0f to %.0f",
                               tutti_read_show(value, shown), range->least, range->most);
    *(uint32_t *)out = (uint32_t)value->valuedouble;
    return TUTTI_OK;
}

/* 1 to 6 digits without a leading zero, at most one space, a unit; 0 when it is none. */
static uint64_t parse_size(const char *text) {
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {{"kB", 1000},
                 {"MB", 1000000},
                 {"GB", 1000000000},
                 {"TB", UINT64_C(1000000000000)},
                 {"KiB", UINT64_C(1) << 10},
                 {"MiB", UINT64_C(1) << 20},
                 {"GiB", UINT64_C(1) << 30},
                 {"TiB", UINT64_C(1) << 40}};
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 6 || text[0] == '0')
        return 0;
    const char *unit = text + digits;
    unit += *unit == ' ';
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].unit) == 0)
            return strtoull(text, NULL, 10) * units[i].bytes;
    return 0;
}

tutti_status tutti_read_size(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out) {
    (void)detail;
    uint64_t bytes = 0;
    char shown[TUTTI_READ_SHOWN];
    /* Doubles hold integers up to 2^53 exactly. */
    if (is_integer(value, 1, 9007199254740991.0))
        bytes = (uint64_t)value->valuedouble;
    else if (cJSON_IsString(value))
        bytes = parse_size(value->valuestring);
    if (bytes == 0)
        return tutti_json_fail(
            r->json, value,
            "%s, expected a whole number of bytes above 0, or text such as \"512MiB\" "
            "or \"2GiB\" (kB, MB, GB, TB, KiB, MiB, GiB, TiB)",
            tutti_read_show(value, shown));
    *(uint64_t *)out = bytes;
    return TUTTI_OK;
}

tutti_status tutti_read_choice(const tutti_reader *r, const cJSON *value, const void *detail,
                               void *out) {
    const tutti_read_words *choice = detail;
    const char *words[32];
    size_t n = 0;
    tutti_strbuf all = {0};
    for (; n < choice->n_words && n < sizeof words / sizeof *words; n++) {
        words[n] = choice->words[n].text;
        if (cJSON_IsString(value) && strcmp(value->valuestring, words[n]) == 0) {
            memcpy(out, &choice->words[n].value, sizeof(uint32_t));
            tutti_strbuf_free(&all);
            return TUTTI_OK;
        }
        tutti_strbuf_printf(&all, "%s\"%s\"",
                            n == 0                    ? ""
                            : n + 1 < choice->n_words ? ", "
                                                      : " or ",
                            words[n]);
    }
    const char *nearest =
        cJSON_IsString(value) ? tutti_suggest(value->valuestring, words, n) : (const char *)NULL;
    char shown[TUTTI_READ_SHOWN];
    tutti_status status =
        tutti_json_fail(r->json, value, "%s%s%s%s, expected %s", tutti_read_show(value, shown),
                        nearest != NULL ? " (did you mean \"" : "", nearest != NULL ? nearest : "",
                        nearest != NULL ? "\"?)" : "", all.text != NULL ? all.text : "");
    tutti_strbuf_free(&all);
    return status;
}

/* Characters of the text, or -1 when one of them is a control character. */
static long count_characters(const char *text) {
    long count = 0;
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return -1;
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static tutti_status check_text(const tutti_reader *r, const cJSON *value, int most) {
    char shown[TUTTI_READ_SHOWN];
    if (!cJSON_IsString(value))
        return tutti_json_fail(r->json, value, "%s, expected a string",
                               tutti_read_show(value, shown));
    long count = count_characters(value->valuestring);
    if (count < 0)
        return tutti_json_fail(r->json, value, "%s, expected text without control characters",
                               tutti_read_show(value, shown));
    if (count < 1 || count > most)
        return tutti_json_fail(r->json, value, "has %ld characters, expected 1 to %d", count, most);
    return TUTTI_OK;
}

tutti_status tutti_read_text(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out) {
    const int *most = detail;
    TUTTI_TRY(check_text(r, value, most != NULL ? *most : TUTTI_TEXT_MAX));
    const char *copy = tutti_arena_strdup(r->arena, value->valuestring);
    if (copy == NULL)
        return TUTTI_OUT_OF_MEMORY;
    *(const char **)out = copy;
    return TUTTI_OK;
}

tutti_status tutti_read_path(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out) {
    (void)detail;
    TUTTI_TRY(check_text(r, value, TUTTI_PATH_MAX));
    bool relative = value->valuestring[0] != '/' && r->directory[0] != '\0';
    const char *copy = relative
                           ? tutti_arena_printf(r->arena, "%s/%s", r->directory, value->valuestring)
                           : tutti_arena_strdup(r->arena, value->valuestring);
    if (copy == NULL)
        return TUTTI_OUT_OF_MEMORY;
    *(const char **)out = copy;
    return TUTTI_OK;
}

tutti_status tutti_read_array_check(const tutti_reader *r, const cJSON *value, const char *what,
                                    int most) {
    char shown[TUTTI_READ_SHOWN];
    if (!cJSON_IsArray(value))
        return tutti_json_fail(r->json, value, "%s, expected an array of %s",
                               tutti_read_show(value, shown), what);
    int count = cJSON_GetArraySize(value);
    if (count < 1 || count > most)
        return tutti_json_fail(r->json, value, "has %d %s, expected 1 to %d", count, what, most);
    return TUTTI_OK;
}
