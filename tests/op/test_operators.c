/* docs/operators.md, written from the tables of the ops and the comments of ops.h, is up to date.
 * TUTTI_UPDATE_DOCS=1 writes it. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "tutti/ext/op.h"

static const char *source_dir(void) {
    const char *root = getenv("TUTTI_SOURCE_DIR");
    return root != NULL ? root : ".";
}

static char *read_text(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", source_dir(), name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    char *text = NULL;
    size_t size = 0;
    ssize_t got = getdelim(&text, &size, '\0', file);
    fclose(file);
    if (got < 0)
        fail_msg("%s is empty", path);
    return text;
}

static const tutti_op *find(const char *name) {
    int32_t count;
    const tutti_op *const *ops = tutti_op_list(&count);
    for (int32_t i = 0; i < count; i++)
        if (strcmp(ops[i]->name, name) == 0)
            return ops[i];
    return NULL;
}

/* Text of a comment without the marks at its lines' beginnings, in one line. */
static void put_comment(tutti_strbuf *out, const char *begin, const char *end) {
    bool space = false, line_begins = false;
    begin += strspn(begin, " ");
    for (const char *at = begin; at < end; at++) {
        if (isspace((unsigned char)*at) || (*at == '*' && line_begins)) {
            line_begins = *at == '\n' || (line_begins && *at != '*');
            space = true;
            continue;
        }
        tutti_strbuf_printf(out, "%s%c", space ? " " : "", *at);
        space = line_begins = false;
    }
}

/* A comment behind which a line is blank opens a section: its title ends at the first ':' or '.'. */
static void put_section(tutti_strbuf *out, const char *begin, const char *end) {
    const char *stop = begin + strcspn(begin, ":.");
    tutti_strbuf_printf(out, "## ");
    put_comment(out, begin, stop);
    tutti_strbuf_printf(out, "\n\n");
    if (stop + 2 < end) {
        put_comment(out, stop + 1, end);
        tutti_strbuf_printf(out, "\n\n");
    }
}

static void put_declaration(tutti_strbuf *out, const char *begin, const char *end) {
    bool space = false;
    for (const char *at = begin; at <= end; at++) {
        if (isspace((unsigned char)*at)) {
            space = true;
            continue;
        }
        tutti_strbuf_printf(out, "%s%c", space ? " " : "", *at);
        space = false;
    }
    tutti_strbuf_printf(out, "\n");
}

static const char *gradient_of(const tutti_op *op) {
    return (op->flags & TUTTI_OP_NO_GRAD) != 0 ? "none" : "yes";
}

static const char *or_dash(const char *text) {
    return text != NULL ? text : "-";
}

static void put_row(tutti_strbuf *out, const char *name) {
    const tutti_op *op = find(name);
    if (op == NULL) {
        tutti_strbuf_printf(out, "| `%s` | composed of other ops | | | by its parts | |\n", name);
        return;
    }
    const bool elementwise = (op->flags & TUTTI_OP_ELEMENTWISE) != 0;
    tutti_strbuf_printf(out, "| `%s` | %s | %s | %s | %s | %s |\n", name, op->summary,
                        op->shapes != NULL ? op->shapes
                        : elementwise      ? "any; inputs broadcast"
                                           : "?",
                        or_dash(op->options), gradient_of(op), or_dash(op->source));
}

enum { GROUP_MAX = 32 };

/* Constructors that follow each other, under the comment before them. */
typedef struct group {
    const char *comment, *comment_end;
    const char *begin[GROUP_MAX],
        *end[GROUP_MAX]; /* declarations: behind TUTTI_API, the semicolon */
    char name[GROUP_MAX][64];
    int count;
} group;

static void put_group(tutti_strbuf *out, group *g) {
    if (g->count > 0) {
        tutti_strbuf_printf(out, "### ");
        for (int i = 0; i < g->count; i++)
            tutti_strbuf_printf(out, "%s%s", i == 0 ? "" : ", ", g->name[i]);
        tutti_strbuf_printf(out, "\n\n```c\n");
        for (int i = 0; i < g->count; i++)
            put_declaration(out, g->begin[i], g->end[i]);
        tutti_strbuf_printf(out, "```\n");
        if (g->comment != NULL) {
            put_comment(out, g->comment, g->comment_end);
            tutti_strbuf_printf(out, "\n");
        }
        tutti_strbuf_printf(out, "\n| op | computes | shapes | options | gradient | source |\n"
                                 "|---|---|---|---|---|---|\n");
        for (int i = 0; i < g->count; i++)
            put_row(out, g->name[i]);
        tutti_strbuf_printf(out, "\n");
    }
    *g = (group){0};
}

static void add_constructor(group *g, const char *begin, const char *end) {
    const char *name = strstr(begin, " tutti_");
    while (name != NULL && name < end && name[7 + strcspn(name + 7, "( ,*")] != '(')
        name = strstr(name + 1, " tutti_");
    assert_true(name != NULL && name < end && g->count < GROUP_MAX);
    g->begin[g->count] = begin;
    g->end[g->count] = end;
    snprintf(g->name[g->count++], sizeof g->name[0], "%.*s", (int)strcspn(name + 7, "("), name + 7);
}

static void put_constructors(tutti_strbuf *out, const char *header) {
    group g = {0};
    const char *at = strstr(header, "extern \"C\" {");
    assert_non_null(at);
    while ((at = strpbrk(at, "/Tt#")) != NULL && strncmp(at, "#ifdef", 6) != 0) {
        const char *end;
        if (strncmp(at, "/*", 2) == 0) {
            put_group(out, &g);
            end = strstr(at, "*/");
            assert_non_null(end);
            if (strncmp(end, "*/\n\n", 4) == 0)
                put_section(out, at + 2, end);
            else
                g = (group){.comment = at + 2, .comment_end = end};
            at = end + 2;
        } else if (strncmp(at, "TUTTI_API ", 10) == 0) {
            end = strchr(at, ';');
            assert_non_null(end);
            add_constructor(&g, at + 10, end);
            at = end;
        } else if (strncmp(at, "typedef", 7) == 0 || strncmp(at, "#define", 7) == 0) {
            /* As it stands, with the comment before it. */
            end = *at == '#' ? at + strcspn(at, "\n") : strchr(strchr(at, '}'), ';') + 1;
            if (g.comment != NULL && g.count == 0) {
                put_comment(out, g.comment, g.comment_end);
                tutti_strbuf_printf(out, "\n");
                g = (group){0};
            }
            put_group(out, &g);
            tutti_strbuf_printf(out, "```c\n%.*s\n```\n\n", (int)(end - at), at);
            at = end;
        } else {
            at++;
        }
    }
    put_group(out, &g);
}

/* Ops that have no constructor of their name: what gradients, losses and optimizers are made of. */
static void put_others(tutti_strbuf *out, const char *header) {
    int32_t count;
    const tutti_op *const *ops = tutti_op_list(&count);
    tutti_strbuf_printf(out, "## Parts of gradients, losses and optimizers\n\n"
                             "Made by the constructors above and by `tutti_graph_optimize`.\n\n"
                             "| op | computes | gradient | source |\n|---|---|---|---|\n");
    for (int32_t i = 0; i < count; i++) {
        char call[160];
        snprintf(call, sizeof call, " tutti_%s(", ops[i]->name);
        if (strstr(header, call) == NULL)
            tutti_strbuf_printf(out, "| `%s` | %s | %s | %s |\n", ops[i]->name, ops[i]->summary,
                                gradient_of(ops[i]), or_dash(ops[i]->source));
    }
}

static void is_up_to_date(void **state) {
    (void)state;
    char *header = read_text("include/tutti/ops.h"), *old = read_text("docs/operators.md");
    assert_non_null(header);
    tutti_strbuf buf = {0};
    tutti_strbuf_puts(
        &buf,
        "# Operators\n\n"
        "Every constructor of `include/tutti/ops.h`, with what the tables of the ops say. Written "
        "by the\n"
        "test `op.operators` (`TUTTI_UPDATE_DOCS=1 ctest -R op.operators`); do not edit.\n\n"
        "N is the batch, of which each device holds a part; see docs/architecture.md. Every op is "
        "checked\n"
        "against its reference in double precision on each device, its gradient against finite\n"
        "differences, both against PyTorch (`tests/conformance`, `tests/golden`).\n\n");
    put_constructors(&buf, header);
    put_others(&buf, header);
    char *text = tutti_strbuf_take(&buf);
    assert_non_null(text);
    if (getenv("TUTTI_UPDATE_DOCS") != NULL) {
        char path[4096];
        snprintf(path, sizeof path, "%s/docs/operators.md", source_dir());
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fputs(text, file);
        assert_int_equal(fclose(file), 0);
    } else if (old == NULL || strcmp(old, text) != 0) {
        fail_msg("docs/operators.md is out of date: TUTTI_UPDATE_DOCS=1 ctest -R op.operators");
    }
    free(header);
    free(old);
    free(text);
}

/* Ops say what their attributes are, those with a constructor of their own also what shapes they take.
 */
static void tables_are_complete(void **state) {
    (void)state;
    char *header = read_text("include/tutti/ops.h");
    int32_t count, missing = 0;
    const tutti_op *const *ops = tutti_op_list(&count);
    for (int32_t i = 0; i < count; i++) {
        char call[160];
        snprintf(call, sizeof call, " tutti_%s(", ops[i]->name);
        assert_non_null(ops[i]->summary);
        if (ops[i]->attr_size > 0 && ops[i]->options == NULL) {
            print_error("%s: no options\n", ops[i]->name);
            missing++;
        }
        if (strstr(header, call) == NULL || (ops[i]->flags & TUTTI_OP_ELEMENTWISE) != 0 ||
            ops[i]->shapes != NULL)
            continue;
        print_error("%s: no shapes\n", ops[i]->name);
        missing++;
    }
    free(header);
    assert_int_equal(missing, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_up_to_date),
                                       cmocka_unit_test(tables_are_complete)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
