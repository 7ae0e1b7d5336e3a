#include "kernel/merge.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A set of names. */
typedef struct names {
    char **items;
    int32_t n, capacity;
    bool failed;
} names;

static bool has(const names *set, const char *name, size_t length) {
    for (int32_t i = 0; i < set->n; i++)
        if (strncmp(set->items[i], name, length) == 0 && set->items[i][length] == '\0')
            return true;
    return false;
}

static void add(names *set, const char *name, size_t length) {
    if (has(set, name, length))
        return;
    if (set->n == set->capacity) {
        int32_t capacity = set->capacity == 0 ? 16 : 2 * set->capacity;
        char **grown = realloc(set->items, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            set->failed = true;
            return;
        }
        set->items = grown;
        set->capacity = capacity;
    }
    char *copy = strndup(name, length);
    if (copy == NULL)
        set->failed = true;
    else
        set->items[set->n++] = copy;
}

static void free_names(names *set) {
    for (int32_t i = 0; i < set->n; i++)
        free(set->items[i]);
    free(set->items);
}

static bool is_name_start(char c) {
    return isalpha((unsigned char)c) || c == '_';
}

static size_t name_length(const char *p) {
    size_t n = 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_')
        n++;
    return n;
}

/* One option; `define` is "X" or "X=1" when it is a -D. Returns its end, NULL at quotes. */
static const char *next_option(const char *p, const char **define, size_t *define_length) {
    *define = NULL;
    if (strncmp(p, "-D", 2) == 0) {
        p += 2;
        p += strspn(p, " ");
        *define = p;
    }
    const char *begin = p;
    while (*p != '\0' && *p != ' ') {
        if (strchr("\"'\\`", *p) != NULL)
            return NULL;
        p++;
    }
    *define_length = (size_t)(p - begin);
    return p;
}

bool tutti_merge_rest(const char *options, char **out_rest) {
    tutti_strbuf rest = {0};
    for (const char *p = options + strspn(options, " "); *p != '\0'; p += strspn(p, " ")) {
        const char *define, *begin = p;
        size_t length;
        p = next_option(p, &define, &length);
        size_t name = p != NULL && define != NULL ? name_length(define) : 0;
        if (p == NULL || (define != NULL &&
                          (!is_name_start(*define) || (name != length && define[name] != '=')))) {
            tutti_strbuf_free(&rest);
            return false;
        }
        if (define == NULL) {
            tutti_strbuf_append(&rest, begin, (size_t)(p - begin));
            tutti_strbuf_puts(&rest, " ");
        }
    }
    *out_rest = tutti_strbuf_take(&rest);
    return *out_rest != NULL;
}

/* Where the lexer is in the source, and what it has met. */
typedef struct scan {
    const char *p;
    int32_t braces, parentheses;
    names macros;   /* defined or undefined */
    names declared; /* at file scope */
    names tested;   /* in #if and its kin */
    bool refused;
} scan;

static void skip_blank(scan *s) {
    for (;;) {
        if (*s->p == ' ' || *s->p == '\t')
            s->p++;
        else if (s->p[0] == '\\' && s->p[1] == '\n')
            s->p += 2;
        else if (s->p[0] == '/' && s->p[1] == '*') {
            const char *end = strstr(s->p + 2, "*/");
            s->p = end != NULL ? end + 2 : s->p + strlen(s->p);
        } else
            return;
    }
}

static bool take_word(scan *s, const char *word) {
    size_t n = strlen(word);
    if (strncmp(s->p, word, n) != 0 || name_length(s->p) != n)
        return false;
    s->p += n;
    skip_blank(s);
    return true;
}

/* A line that begins with '#', continued lines included. */
static void scan_directive(scan *s) {
    s->p++;
    skip_blank(s);
    bool tests = strncmp(s->p, "if", 2) == 0 || strncmp(s->p, "elif", 4) == 0;
    if (take_word(s, "define") || take_word(s, "undef")) {
        add(&s->macros, s->p, name_length(s->p));
    } else if (take_word(s, "pragma")) {
        /* One that lasts to the end of the program, such as FP_CONTRACT, would reach others; a
         * diagnostic may. */
        s->refused |= !(take_word(s, "OPENCL") && take_word(s, "EXTENSION")) &&
                      !(take_word(s, "clang") && take_word(s, "diagnostic")) &&
                      !take_word(s, "unroll") && !take_word(s, "once");
    }
    while (*s->p != '\0' && *s->p != '\n') {
        if (s->p[0] == '\\' && s->p[1] == '\n')
            s->p += 2;
        else if (s->p[0] == '/' && s->p[1] == '*')
            skip_blank(s);
        else if (s->p[0] == '/' && s->p[1] == '/')
            s->p += strcspn(s->p, "\n");
        else if (tests && is_name_start(*s->p)) {
            add(&s->tested, s->p, name_length(s->p));
            s->p += name_length(s->p);
        } else
            s->p++;
    }
}

static void skip_quoted(scan *s) {
    char quote = *s->p++;
    while (*s->p != '\0' && *s->p != quote && *s->p != '\n')
        s->p += *s->p == '\\' && s->p[1] != '\0' ? 2 : 1;
    if (*s->p == quote)
        s->p++;
}

static bool is_keyword(const char *name, size_t length) {
    static const char *const words[] = {"struct", "union",    "enum",  "typedef", "kernel",
                                        "else",   "constant", "local", "global",  "private"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && strncmp(words[i], name, length) == 0)
            return true;
    return length >= 2 && name[0] == '_' && name[1] == '_';
}

/* At file scope, the name before one of ( = [ ; { , or an attribute is what is being declared. */
static void scan_name(scan *s) {
    const char *name = s->p;
    size_t length = name_length(name);
    s->p += length;
    if (s->braces != 0 || s->parentheses != 0 || is_keyword(name, length))
        return;
    const char *after = s->p;
    after += strspn(after, " \t\n");
    if ((*after != '\0' && strchr("(=[;{,", *after) != NULL) ||
        strncmp(after, "__attribute__", 13) == 0)
        add(&s->declared, name, length);
}

static void scan_source(scan *s) {
    bool line_start = true;
    while (*s->p != '\0') {
        char c = *s->p;
        if (c == '\n') {
            line_start = true;
            s->p++;
            continue;
        }
        if (c == '/' && s->p[1] == '/')
            s->p += strcspn(s->p, "\n");
        else if (c == ' ' || c == '\t' || (c == '/' && s->p[1] == '*'))
            skip_blank(s);
        else if (c == '#' && line_start)
            scan_directive(s);
        else {
            line_start = false;
            if (c == '"' || c == '\'')
                skip_quoted(s);
            else if (is_name_start(c))
                scan_name(s);
            else {
                s->braces += (c == '{') - (c == '}');
                s->parentheses += (c == '(') - (c == ')');
                if (isdigit((unsigned char)c)) /* 1e5f, 0xffu: no names */
                    s->p += name_length(s->p);
                else
                    s->p++;
            }
        }
    }
}

/* The -D options: their names into defined, or as text into out. */
static void put_defines(tutti_strbuf *out, const char *options, names *defined, bool text) {
    for (const char *p = options + strspn(options, " "); *p != '\0'; p += strspn(p, " ")) {
        const char *define;
        size_t length = 0;
        p = next_option(p, &define, &length);
        if (define == NULL)
            continue;
        size_t name = name_length(define);
        if (!text) {
            add(defined, define, name);
            continue;
        }
        tutti_strbuf_printf(out, "#undef %.*s\n#define %.*s %.*s\n", (int)name, define, (int)name,
                            define, name == length ? 1 : (int)(length - name - 1),
                            name == length ? "1" : define + name + 1);
    }
}

char *tutti_merge_entry(const char *entry, int32_t index) {
    tutti_strbuf name = {0};
    tutti_strbuf_printf(&name, "%s_u%d", entry, (int)index);
    return tutti_strbuf_take(&name);
}

static void put_unit(tutti_strbuf *out, int32_t index, const char *source, const char *options,
                     const names *macros, const names *renamed) {
    for (int32_t i = 0; i < macros->n; i++)
        tutti_strbuf_printf(out, "#pragma push_macro(\"%s\")\n", macros->items[i]);
    for (int32_t i = 0; i < renamed->n; i++)
        tutti_strbuf_printf(out, "#pragma push_macro(\"%s\")\n#undef %s\n#define %s %s_u%d\n",
                            renamed->items[i], renamed->items[i], renamed->items[i],
                            renamed->items[i], (int)index);
    put_defines(out, options, NULL, true);
    tutti_strbuf_puts(out, source);
    for (int32_t i = renamed->n - 1; i >= 0; i--)
        tutti_strbuf_printf(out, "#pragma pop_macro(\"%s\")\n", renamed->items[i]);
    for (int32_t i = macros->n - 1; i >= 0; i--)
        tutti_strbuf_printf(out, "#pragma pop_macro(\"%s\")\n", macros->items[i]);
}

bool tutti_merge_add(tutti_strbuf *out, int32_t index, const char *source, const char *options,
                     const char *const *entries, int32_t n_entries) {
    scan s = {.p = source};
    names renamed = {0};
    put_defines(NULL, options, &s.macros, false);
    scan_source(&s);
    for (int32_t i = 0; i < n_entries; i++)
        add(&s.declared, entries[i], strlen(entries[i]));
    /* A macro of the unit's own cannot be a rename too; when it makes a kernel, the name after
     * expansion is renamed. */
    for (int32_t i = 0; i < s.declared.n; i++)
        if (!has(&s.macros, s.declared.items[i], strlen(s.declared.items[i])))
            add(&renamed, s.declared.items[i], strlen(s.declared.items[i]));
    /* A rename is a macro: a test for one of that name would change its answer. */
    for (int32_t i = 0; i < renamed.n; i++)
        s.refused |= has(&s.tested, renamed.items[i], strlen(renamed.items[i]));
    for (int32_t i = 0; i < n_entries; i++)
        s.refused |= has(&s.macros, entries[i], strlen(entries[i]));
    bool good = !s.refused && s.braces == 0 && s.parentheses == 0 && !s.macros.failed &&
                !s.declared.failed && !s.tested.failed && !renamed.failed;
    if (good)
        put_unit(out, index, source, options, &s.macros, &renamed);
    free_names(&s.macros);
    free_names(&s.declared);
    free_names(&s.tested);
    free_names(&renamed);
    return good && !out->failed;
}
