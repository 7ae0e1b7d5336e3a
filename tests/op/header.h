/* A public header of constructors taken apart: what it declares, with the comments before it, in
 * order. Whatever else stands there fails the test. */
#ifndef TUTTI_TESTS_OP_HEADER_H
#define TUTTI_TESTS_OP_HEADER_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef enum item_kind {
    ITEM_SECTION,  /* comment behind which a line is blank; begin to end: its text */
    ITEM_COMMENT,  /* belongs to what follows; likewise */
    ITEM_TYPE,     /* typedef */
    ITEM_DEFINE,   /* #define */
    ITEM_FUNCTION, /* begin to end: behind TUTTI_API, before the semicolon */
} item_kind;

typedef struct item {
    item_kind kind;
    const char *begin, *end;
    char name[64]; /* of types and functions */
} item;

/* The semicolon that ends a declaration: outside of braces and comments. */
static inline const char *item_semicolon(const char *at) {
    for (int depth = 0; *at != '\0' && (*at != ';' || depth > 0); at++) {
        if (strncmp(at, "/*", 2) == 0)
            at = strstr(at, "*/") + 1;
        depth += (*at == '{') - (*at == '}');
    }
    assert_true(*at == ';');
    return at;
}

/* The identifier that ends before `end`. */
static inline void item_name(item *it, const char *end) {
    const char *begin = end;
    while (isalnum((unsigned char)begin[-1]) || begin[-1] == '_')
        begin--;
    snprintf(it->name, sizeof it->name, "%.*s", (int)(end - begin), begin);
}

/* What stands between `extern "C" {` and the next #ifdef. */
static item items[400];
static int n_items;

static inline void header_read(const char *header) {
    const char *at = strstr(header, "extern \"C\" {");
    assert_non_null(at);
    at = strstr(at, "#endif") + strlen("#endif");
    for (; strncmp(at += strspn(at, "; \n"), "#ifdef", 6) != 0; n_items++) {
        assert_true(n_items < (int)(sizeof items / sizeof *items));
        item it = {.begin = at};
        if (strncmp(at, "/*", 2) == 0) {
            it.begin += 2;
            it.end = strstr(at, "*/");
            at = it.end + 2;
            it.kind = strncmp(at, "\n\n", 2) == 0 ? ITEM_SECTION : ITEM_COMMENT;
        } else if (strncmp(at, "TUTTI_API ", 10) == 0) {
            it.kind = ITEM_FUNCTION;
            it.begin += 10;
            at = it.end = item_semicolon(at);
            item_name(&it, strchr(it.begin, '('));
        } else if (strncmp(at, "typedef ", 8) == 0) {
            it.kind = ITEM_TYPE;
            it.end = item_semicolon(at);
            item_name(&it, it.end);
            at = ++it.end;
        } else if (strncmp(at, "#define ", 8) == 0) {
            it.kind = ITEM_DEFINE;
            at = it.end = at + strcspn(at, "\n");
        } else {
            fail_msg("not understood: %.60s", at);
        }
        items[n_items] = it;
    }
}

/* Where a word stands in text of `length`, or NULL: no part of a longer name. */
static inline const char *find_word(const char *text, size_t length, const char *word) {
    const size_t n = strlen(word);
    for (const char *at = text; at + n <= text + length; at++) {
        const bool before = at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_');
        const bool after =
            at + n < text + length && (isalnum((unsigned char)at[n]) || at[n] == '_');
        if (!before && !after && strncmp(at, word, n) == 0)
            return at;
    }
    return NULL;
}

enum { GROUP_MAX = 32 };

/* Constructors that follow each other, under the comment before them. */
typedef struct group {
    const item *comment;
    const item *function[GROUP_MAX];
    int count;
} group;

/* The group that begins at items[i], which is its comment or its first constructor; empty when there
 * is none. */
static inline group group_at(int i) {
    group g = {0};
    if (items[i].kind == ITEM_COMMENT)
        g.comment = &items[i++];
    for (; i < n_items && items[i].kind == ITEM_FUNCTION; i++) {
        assert_true(g.count < GROUP_MAX);
        g.function[g.count++] = &items[i];
    }
    return g;
}

static inline bool group_begins(int i) {
    return (items[i].kind == ITEM_COMMENT && items[i + 1].kind == ITEM_FUNCTION) ||
           (items[i].kind == ITEM_FUNCTION && items[i - 1].kind != ITEM_COMMENT &&
            items[i - 1].kind != ITEM_FUNCTION);
}

static inline bool mentions(const item *it, const char *name) {
    return find_word(it->begin, (size_t)(it->end - it->begin), name) != NULL;
}

/* The group under which a type or define is shown: the first that uses it, for a define the next. */
static inline int home_of(int type) {
    int used_in = -1;
    for (int i = type + 1; i < n_items; i++) {
        if (group_begins(i))
            used_in = i;
        if (items[type].kind == ITEM_DEFINE && used_in >= 0)
            return used_in;
        if (items[type].kind == ITEM_DEFINE || !mentions(&items[i], items[type].name))
            continue;
        if (items[i].kind == ITEM_FUNCTION)
            return used_in;
        if (items[i].kind == ITEM_TYPE)
            return home_of(i);
    }
    fail_msg("no constructor uses %s", items[type].name);
    return used_in;
}

#endif
