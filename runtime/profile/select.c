#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/status.h"
#include "base/suggest.h"
#include "profile/entry.h"
#include "profile/profile.h"

#define MAX_EXPRESSION 1024

typedef struct term {
    bool negated;
    tutti_device_match match;
} term;

static const struct {
    const char *word;
    uint32_t types;
} kinds[] = {{"auto", TUTTI_TYPES_AUTO},
             {"all", TUTTI_DEVICE_ANY},
             {"cpu", TUTTI_DEVICE_CPU},
             {"gpu", TUTTI_DEVICE_GPU},
             {"accelerator", TUTTI_DEVICE_ACCELERATOR},
             {"custom", TUTTI_DEVICE_CUSTOM}};
#define N_KINDS (sizeof kinds / sizeof *kinds)

static uint32_t find_kind(const char *word) {
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcasecmp(word, kinds[i].word) == 0)
            return kinds[i].types;
    return 0;
}

static tutti_status bad_term(const char *expression, const char *text, const char *problem) {
    return tutti_fail(TUTTI_BAD_INPUT,
                      "profile \"%s\": term \"%s\": %s, expected auto, all, cpu, gpu, accelerator, "
                      "custom or vendor:name, each with an optional .index, or '!' and one of them",
                      expression, text, problem);
}

static tutti_status unknown_word(const char *expression, const char *text, const char *word) {
    const char *words[N_KINDS];
    for (size_t i = 0; i < N_KINDS; i++)
        words[i] = kinds[i].word;
    const char *nearest = tutti_suggest(word, words, N_KINDS);
    char problem[160];
    if (nearest != NULL)
        snprintf(problem, sizeof problem, "unknown word (did you mean \"%s\"?)", nearest);
    else
        snprintf(problem, sizeof problem,
                 "unknown word (a vendor is written \"%.40s:*\", a file ends in .json, has a '/' "
                 "or exists)",
                 word);
    return bad_term(expression, text, problem);
}

/* Cuts ".3" off the end of the text; -1 when there is none, -2 when it is too large. */
static int32_t cut_index(char *text) {
    char *dot = strrchr(text, '.');
    if (dot == NULL || dot[1] == '\0' || dot[1 + strspn(dot + 1, "0123456789")] != '\0')
        return -1;
    if (strlen(dot + 1) > 3 || atoi(dot + 1) > 255)
        return -2;
    *dot = '\0';
    return atoi(dot + 1);
}

/* `text` is one term without spaces around it. */
static tutti_status parse_term(tutti_arena *arena, const char *expression, const char *text,
                               term *out) {
    *out = (term){.match = tutti_match_any()};
    out->negated = *text == '!';
    const char *body = text + out->negated;
    body += strspn(body, " \t");
    char *word = tutti_arena_strdup(arena, body);
    if (word == NULL)
        return TUTTI_OUT_OF_MEMORY;
    if (*word == '\0')
        return bad_term(expression, text, "nothing in it");
    if (*word == '!')
        return bad_term(expression, text, "negated twice");
    out->match.index = cut_index(word);
    if (out->match.index == -2)
        return bad_term(expression, text, "its index is larger than 255");
    char *colon = strchr(word, ':');
    if (colon == NULL) {
        out->match.types = find_kind(word);
        if (out->match.types != 0)
            return TUTTI_OK;
        if (word[strspn(word, "0123456789")] == '\0')
            return bad_term(expression, text,
                            "a bare number says nothing about the kind of device");
        return unknown_word(expression, text, word);
    }
    *colon = '\0';
    if (*word == '\0' || colon[1] == '\0')
        return bad_term(expression, text,
                        *word == '\0' ? "no vendor before ':'" : "no name after ':'");
    out->match.types = find_kind(word);
    if (out->match.types == 0)
        out->match.vendor = word;
    if (strcmp(colon + 1, "*") != 0)
        out->match.name = colon + 1;
    return TUTTI_OK;
}

/* One entry for each positive term, in order, the negated ones excluded from each. */
static tutti_status make_entries(tutti_profile_full *full, const term *terms, int32_t n_terms) {
    int32_t n_negated = 0;
    for (int32_t i = 0; i < n_terms; i++)
        n_negated += terms[i].negated;
    int32_t n = n_terms - n_negated;
    tutti_device_match *excludes =
        tutti_arena_array(&full->arena, (size_t)n_negated + 1, sizeof *excludes);
    tutti_profile_device *entries = tutti_arena_array(&full->arena, (size_t)n + 1, sizeof *entries);
    if (excludes == NULL || entries == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int32_t e = 0, x = 0;
    for (int32_t i = 0; i < n_terms; i++) {
        if (terms[i].negated) {
            excludes[x++] = terms[i].match;
            continue;
        }
        entries[e] = tutti_entry_any();
        entries[e++].match = terms[i].match;
    }
    if (n == 0) {
        /* "!cpu" is "auto,!cpu". */
        entries[0] = tutti_entry_any();
        entries[0].match.types = TUTTI_TYPES_AUTO;
        n = 1;
    }
    for (e = 0; e < n && n_negated > 0; e++) {
        entries[e].excludes = excludes;
        entries[e].n_excludes = n_negated;
    }
    full->view.devices = entries;
    full->view.n_devices = n;
    return TUTTI_OK;
}

static tutti_status select_devices(const char *expression, tutti_profile_full *full) {
    term terms[TUTTI_PROFILE_MAX_ENTRIES];
    int32_t n = 0;
    for (const char *at = expression;;) {
        size_t length = strcspn(at, ",");
        const char *end = at + length;
        const char *begin = at + strspn(at, " \t");
        size_t size = begin < end ? (size_t)(end - begin) : 0;
        while (size > 0 && (begin[size - 1] == ' ' || begin[size - 1] == '\t'))
            size--;
        char *text = tutti_arena_printf(&full->arena, "%.*s", (int)size, begin);
        if (text == NULL)
            return TUTTI_OUT_OF_MEMORY;
        if (n == TUTTI_PROFILE_MAX_ENTRIES)
            return tutti_fail(TUTTI_BAD_INPUT,
                              "profile \"%.64s...\": too many terms, expected at "
                              "most %d",
                              expression, TUTTI_PROFILE_MAX_ENTRIES);
        TUTTI_TRY(parse_term(&full->arena, expression, text, &terms[n++]));
        if (*end == '\0')
            return make_entries(full, terms, n);
        at = end + 1;
    }
}

tutti_status tutti_profile_select(const char *expression, tutti_profile **out) {
    *out = NULL;
    if (strlen(expression) > MAX_EXPRESSION)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "profile \"%.64s...\": %zu characters, expected at most %d", expression,
                          strlen(expression), MAX_EXPRESSION);
    for (const char *at = expression; *at != '\0'; at++)
        if (iscntrl((unsigned char)*at) && *at != '\t')
            return tutti_fail(TUTTI_BAD_INPUT,
                              "profile expression: byte 0x%02x, expected no control characters",
                              (unsigned)(unsigned char)*at);
    tutti_profile_full *full = tutti_profile_make(expression);
    if (full == NULL)
        return TUTTI_OUT_OF_MEMORY;
    tutti_status status = select_devices(expression, full);
    if (status == TUTTI_OK)
        *out = &full->view;
    else
        tutti_profile_free(&full->view);
    return status;
}

tutti_status tutti_profile_open(const char *file_or_expression, tutti_profile **out) {
    const char *text = file_or_expression != NULL ? file_or_expression : "auto";
    size_t length = strlen(text);
    struct stat info;
    bool file = strchr(text, '/') != NULL ||
                (length >= 5 && strcmp(text + length - 5, ".json") == 0) ||
                (stat(text, &info) == 0 && S_ISREG(info.st_mode));
    return file ? tutti_profile_load(text, out) : tutti_profile_select(text, out);
}
