/* What runs in a program, as one line of text. Header for test programs only. */
#ifndef TESTS_GRAPH_LABELS_H
#define TESTS_GRAPH_LABELS_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"
#include "graph/program.h"

/* Makes the program and compares the labels of its items, in order; a reduction over devices is "|",
 * and aliases and updates are left out. Freezes the graph. */
static inline tutti_program labels_expect(tutti_graph *g, tutti_mode mode, tutti_arena *arena,
                                          const char *labels) {
    if (!g->frozen && tutti_graph_freeze(g) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    tutti_program p;
    if (tutti_program_make(g, mode, arena, &p) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    char text[512] = "";
    for (int32_t k = 0; k < p.n_items; k++) {
        const tutti_item *item = &p.items[k];
        const bool node = item->kind == TUTTI_ITEM_NODE;
        if (item->alias || item->commit)
            continue;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", text[0] ? " " : "",
                 node ? tutti_fused_label(&item->node) : "|");
    }
    assert_string_equal(text, labels);
    return p;
}

#endif
