/* docs/operators.md, written from the tables of the ops, the comments of ops.h and two lists beside
 * this file, is up to date. TUTTI_UPDATE_DOCS=1 writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "header.h"
#include "tutti/ext/op.h"

typedef struct row {
    const char *name, *computes, *shapes, *options, *gradient;
} row;

static const row constructors[] = {
#define ROW(name, computes, shapes, options, gradient) {#name, computes, shapes, options, gradient},
#include "constructors.def"
#undef ROW
};

static const struct {
    const char *pytorch, *here;
} pytorch[] = {
#define ROW(pytorch, here) {pytorch, here},
#include "pytorch.def"
#undef ROW
};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* The public headers. */
static char *ops_h, *all_headers;

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

static int setup(void **state) {
    (void)state;
    static const char *const names[] = {"ops.h",  "nn.h",   "graph.h", "train.h",
                                        "plan.h", "data.h", "types.h"};
    tutti_strbuf all = {0};
    for (int i = 0; i < COUNT(names); i++) {
        char path[64];
        snprintf(path, sizeof path, "include/tutti/%s", names[i]);
        char *text = read_text(path);
        assert_non_null(text);
        tutti_strbuf_puts(&all, text);
        free(text);
    }
    ops_h = read_text("include/tutti/ops.h");
    all_headers = tutti_strbuf_take(&all);
    assert_non_null(all_headers);
    header_read(ops_h);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(ops_h);
    free(all_headers);
    return 0;
}

static const tutti_op *find_op(const char *name) {
    int32_t count;
    const tutti_op *const *ops = tutti_op_list(&count);
    for (int32_t i = 0; i < count; i++)
        if (strcmp(ops[i]->name, name) == 0)
            return ops[i];
    return NULL;
}

/* The constructor tutti_<name>, or NULL. */
static const item *find_constructor(const char *name) {
    for (int i = 0; i < n_items; i++)
        if (items[i].kind == ITEM_FUNCTION && strcmp(items[i].name + 6, name) == 0)
            return &items[i];
    return NULL;
}

static const row *find_row(const char *name) {
    for (int i = 0; i < COUNT(constructors); i++)
        if (strcmp(constructors[i].name, name) == 0)
            return &constructors[i];
    return NULL;
}

/* Text in one line, without the marks at the beginnings of a comment's lines. */
static void put_line(tutti_strbuf *out, const char *begin, const char *end) {
    bool space = false, line_begins = false;
    begin += strspn(begin, " \n");
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

/* Text in a cell of a table. */
static void put_cell(tutti_strbuf *out, const char *text) {
    tutti_strbuf_puts(out, " ");
    for (; *text != '\0'; text++)
        tutti_strbuf_printf(out, *text == '|' ? "\\%c" : "%c", *text);
    tutti_strbuf_puts(out, " |");
}

/* Where a heading is: in small letters, blanks as '-', without punctuation. */
static void put_anchor(tutti_strbuf *out, const char *begin, const char *end) {
    for (const char *at = begin; at < end; at++)
        if (isalnum((unsigned char)*at) || *at == '_' || *at == ' ')
            tutti_strbuf_printf(out, "%c", *at == ' ' ? '-' : tolower((unsigned char)*at));
}

static void put_group_name(tutti_strbuf *out, const group *g) {
    for (int i = 0; i < g->count; i++)
        tutti_strbuf_printf(out, "%s%s", i == 0 ? "" : ", ", g->function[i]->name + 6);
}

static char *group_anchor(const group *g) {
    tutti_strbuf name = {0}, anchor = {0};
    put_group_name(&name, g);
    put_anchor(&anchor, name.text, name.text + name.length);
    tutti_strbuf_free(&name);
    return tutti_strbuf_take(&anchor);
}

/* [`name`](#where), or only `name` when it is no constructor's. */
static void put_link(tutti_strbuf *out, const char *name) {
    for (int i = 0; i < n_items; i++) {
        const group g = group_begins(i) ? group_at(i) : (group){0};
        for (int k = 0; k < g.count; k++) {
            if (strcmp(g.function[k]->name, name) != 0)
                continue;
            char *anchor = group_anchor(&g);
            tutti_strbuf_printf(out, "[`%s`](#%s)", name, anchor);
            free(anchor);
            return;
        }
    }
    if (strncmp(name, "tutti_nn_", 9) == 0)
        tutti_strbuf_printf(out, "[`%s`](training.md#layers)", name);
    else
        tutti_strbuf_printf(out, "`%s`", name);
}

/* The types that are shown here, as they stand, with the comments before them; then constructors. */
static void put_code(tutti_strbuf *out, int at, const group *g) {
    tutti_strbuf_printf(out, "```c\n");
    for (int i = 0; i < at; i++) {
        if ((items[i].kind != ITEM_TYPE && items[i].kind != ITEM_DEFINE) || home_of(i) != at)
            continue;
        const bool told = items[i - 1].kind == ITEM_COMMENT;
        const char *begin = told ? items[i - 1].begin - 2 : items[i].begin;
        tutti_strbuf_printf(out, "%.*s\n\n", (int)(items[i].end - begin), begin);
    }
    for (int i = 0; i < g->count; i++) {
        put_line(out, g->function[i]->begin, g->function[i]->end + 1);
        tutti_strbuf_printf(out, "\n");
    }
    tutti_strbuf_printf(out, "```\n\n");
}

/* Types that are shown elsewhere. */
static void put_references(tutti_strbuf *out, int at, const group *g) {
    for (int i = 0; i < at; i++) {
        if (items[i].kind != ITEM_TYPE || home_of(i) == at)
            continue;
        bool used = false;
        for (int k = 0; k < g->count; k++)
            used = used || mentions(g->function[k], items[i].name);
        const group home = used ? group_at(home_of(i)) : (group){0};
        if (!used)
            continue;
        tutti_strbuf_printf(out, "`%s`: see ", items[i].name);
        put_link(out, home.function[0]->name);
        tutti_strbuf_printf(out, ".\n\n");
    }
}

static const char *gradient_of(const tutti_op *op) {
    return (op->flags & TUTTI_OP_NO_GRAD) != 0 ? "none" : "yes";
}

static const char *or_dash(const char *text) {
    return text != NULL ? text : "-";
}

static const char *shapes_of(const tutti_op *op) {
    if (op->shapes != NULL)
        return op->shapes;
    return op->n_in_max == 1 ? "x (any) -> the same" : "any; inputs broadcast";
}

static void put_row(tutti_strbuf *out, const char *name) {
    const tutti_op *op = find_op(name);
    const row *own = find_row(name);
    row shown = own != NULL ? *own : (row){.name = name};
    if (op == NULL && (own == NULL || own->computes == NULL || own->shapes == NULL ||
                       own->options == NULL || own->gradient == NULL))
        fail_msg("%s: no op, and no full row in constructors.def", name);
    if (shown.computes == NULL)
        shown.computes = op->summary;
    if (shown.shapes == NULL)
        shown.shapes = shapes_of(op);
    if (shown.options == NULL)
        shown.options = or_dash(op->options);
    if (shown.gradient == NULL)
        shown.gradient = gradient_of(op);
    tutti_strbuf_printf(out, "| `%s` |", name);
    put_cell(out, shown.computes);
    put_cell(out, shown.shapes);
    put_cell(out, shown.options);
    put_cell(out, shown.gradient);
    put_cell(out, op != NULL ? or_dash(op->source) : "composed of other ops");
    tutti_strbuf_puts(out, "\n");
}

static void put_group(tutti_strbuf *out, int at) {
    const group g = group_at(at);
    tutti_strbuf_printf(out, "### ");
    put_group_name(out, &g);
    tutti_strbuf_printf(out, "\n\n");
    put_code(out, at, &g);
    if (g.comment != NULL) {
        put_line(out, g.comment->begin, g.comment->end);
        tutti_strbuf_printf(out, "\n\n");
    }
    put_references(out, at, &g);
    tutti_strbuf_printf(out, "| op | computes | shapes | options | gradient | source |\n"
                             "|---|---|---|---|---|---|\n");
    for (int i = 0; i < g.count; i++)
        put_row(out, g.function[i]->name + 6);
    tutti_strbuf_printf(out, "\n");
}

/* The title of a section ends at the first ':' or '.'. */
static const char *title_end(const item *section) {
    return section->begin + strcspn(section->begin, ":.");
}

static void put_section(tutti_strbuf *out, const item *section) {
    const char *stop = title_end(section);
    tutti_strbuf_printf(out, "## ");
    put_line(out, section->begin, stop);
    tutti_strbuf_printf(out, "\n\n");
    if (stop + 2 < section->end) {
        tutti_strbuf text = {0};
        put_line(&text, stop + 1, section->end);
        tutti_strbuf_printf(out, "%c%s\n\n", toupper((unsigned char)*text.text), text.text + 1);
        tutti_strbuf_free(&text);
    }
}

static void put_index(tutti_strbuf *out) {
    tutti_strbuf_printf(out, "| section | constructors |\n|---|---|");
    bool first = true;
    for (int i = 0; i < n_items; i++) {
        if (items[i].kind == ITEM_SECTION) {
            const char *begin = items[i].begin + 1, *end = title_end(&items[i]);
            tutti_strbuf_printf(out, "%s\n| [%.*s](#", first ? "" : " |", (int)(end - begin),
                                begin);
            put_anchor(out, begin, end);
            tutti_strbuf_printf(out, ") |");
            first = true;
        }
        const group g = group_begins(i) ? group_at(i) : (group){0};
        char *anchor = g.count > 0 ? group_anchor(&g) : NULL;
        for (int k = 0; k < g.count; k++, first = false)
            tutti_strbuf_printf(out, "%s[%s](#%s)", first ? " " : ", ", g.function[k]->name + 6,
                                anchor);
        free(anchor);
    }
    tutti_strbuf_printf(out, " |\n\n");
}

/* Ops that have no constructor of their name: what gradients, losses and optimizers are made of. */
static void put_others(tutti_strbuf *out) {
    int32_t count;
    const tutti_op *const *ops = tutti_op_list(&count);
    tutti_strbuf_printf(out, "## Parts of gradients, losses and optimizers\n\n"
                             "Made by the constructors above and by `tutti_graph_optimize`.\n\n"
                             "| op | computes | gradient | source |\n|---|---|---|---|\n");
    for (int32_t i = 0; i < count; i++) {
        if (find_constructor(ops[i]->name) != NULL)
            continue;
        tutti_strbuf_printf(out, "| `%s` |", ops[i]->name);
        put_cell(out, ops[i]->summary);
        put_cell(out, gradient_of(ops[i]));
        put_cell(out, or_dash(ops[i]->source));
        tutti_strbuf_puts(out, "\n");
    }
}

/* Names between ` are those of the headers; functions and constants link to where they are told. */
static void put_here(tutti_strbuf *out, const char *text) {
    for (bool is_name = false; *text != '\0'; is_name = !is_name) {
        const size_t length = strcspn(text, "`");
        char name[512];
        snprintf(name, sizeof name, "%.*s", (int)length, text);
        if (is_name && find_word(all_headers, strlen(all_headers), name) == NULL)
            fail_msg("pytorch.def: %s is in none of the headers", name);
        if (is_name)
            put_link(out, name);
        else
            tutti_strbuf_puts(out, name);
        text += length + (text[length] == '`');
    }
}

static void put_pytorch(tutti_strbuf *out) {
    tutti_strbuf_printf(out, "\n## PyTorch's names\n\n"
                             "F is `torch.nn.functional`, nn is `torch.nn`.\n\n"
                             "| PyTorch | here |\n|---|---|\n");
    for (int i = 0; i < COUNT(pytorch); i++) {
        const char *at = pytorch[i].pytorch;
        tutti_strbuf_puts(out, "| ");
        for (size_t n; (n = strcspn(at, ",")) > 0; at += n + strspn(at + n, ", "))
            tutti_strbuf_printf(out, "%s`%.*s`", at == pytorch[i].pytorch ? "" : ", ", (int)n, at);
        tutti_strbuf_puts(out, " | ");
        put_here(out, pytorch[i].here);
        tutti_strbuf_puts(out, " |\n");
    }
}

static char *write_text(void) {
    tutti_strbuf buf = {0};
    tutti_strbuf_puts(
        &buf,
        "# Operators\n\n"
        "Every constructor of `include/tutti/ops.h`, with what the tables of the ops say. Written "
        "by the\n"
        "test `op.operators` (`TUTTI_UPDATE_DOCS=1 ctest -R op.operators`); do not edit. Layers "
        "that "
        "create their\n"
        "parameters, optimizers and schedules: [training.md](training.md).\n\n");
    const char *intro = strstr(ops_h, "/*") + 2;
    put_line(&buf, intro, strstr(intro, "*/"));
    tutti_strbuf_puts(&buf, " N is the batch, of which each device holds a part; see "
                            "[architecture.md](architecture.md).\n\n"
                            "Every op is checked against its reference in double precision on each "
                            "device, its gradient against\n"
                            "finite differences, both against PyTorch (`tests/conformance`, "
                            "`tests/golden`).\n\n"
                            "Coming from PyTorch: [its names and what stands for them "
                            "here](#pytorchs-names).\n\n");
    put_index(&buf);
    for (int i = 0; i < n_items; i++) {
        if (items[i].kind == ITEM_SECTION)
            put_section(&buf, &items[i]);
        else if (group_begins(i))
            put_group(&buf, i);
    }
    put_others(&buf);
    put_pytorch(&buf);
    char *text = tutti_strbuf_take(&buf);
    assert_non_null(text);
    return text;
}

static void is_up_to_date(void **state) {
    (void)state;
    char *old = read_text("docs/operators.md"), *text = write_text();
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
    free(old);
    free(text);
}

/* Ops say what their attributes are, those with a constructor of their own also what shapes they take;
 * rows of constructors.def are of constructors, and say all of those that have no op. */
static void tables_are_complete(void **state) {
    (void)state;
    int32_t count, missing = 0;
    const tutti_op *const *ops = tutti_op_list(&count);
    for (int32_t i = 0; i < count; i++) {
        assert_non_null(ops[i]->summary);
        if (ops[i]->attr_size > 0 && ops[i]->options == NULL) {
            print_error("%s: no options\n", ops[i]->name);
            missing++;
        }
        if (find_constructor(ops[i]->name) == NULL || (ops[i]->flags & TUTTI_OP_ELEMENTWISE) != 0 ||
            ops[i]->shapes != NULL)
            continue;
        print_error("%s: no shapes\n", ops[i]->name);
        missing++;
    }
    for (int i = 0; i < COUNT(constructors); i++) {
        const row *own = &constructors[i];
        if (find_constructor(own->name) != NULL &&
            (find_op(own->name) == NULL) == (own->gradient != NULL))
            continue;
        print_error("constructors.def: %s: no constructor, or the gradient is not said just once\n",
                    own->name);
        missing++;
    }
    assert_int_equal(missing, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_up_to_date),
                                       cmocka_unit_test(tables_are_complete)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
