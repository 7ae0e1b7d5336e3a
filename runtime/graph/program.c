#include "graph/program.h"

#include "base/status.h"
#include "graph/passes.h"

/* Which tensors have memory, and where. */
static tutti_status locate(const tutti_passes *p, tutti_program *out) {
    const tutti_graph *graph = p->graph;
    bool *used = tutti_arena_array(p->arena, (size_t)graph->n_tensors, sizeof *used);
    bool *on_each = tutti_arena_array(p->arena, (size_t)graph->n_tensors, sizeof *on_each);
    tutti_tensor *inputs = tutti_arena_array(p->arena, (size_t)graph->n_tensors, sizeof *inputs);
    if (used == NULL || on_each == NULL || inputs == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t k = 0; k < p->n_items; k++) {
        const tutti_item *item = &p->items[k];
        const tutti_node_info *node = &item->node;
        const bool each = item->place == TUTTI_PLACE_EACH;
        for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
            const uint32_t id = i < node->n_in ? node->in[i].id : node->out[i - node->n_in].id;
            used[id] = true;
            on_each[id] |= each;
        }
    }
    for (int32_t i = 0; i < p->n_fetches; i++)
        used[p->fetches[i].id] = true;
    for (int32_t i = 1; i < graph->n_tensors; i++) {
        const tutti_tensor_record *record = &graph->tensors[i];
        const tutti_tensor tensor = {(uint32_t)i};
        /* Parameters and states outlive the step. */
        if (record->kind == TUTTI_TENSOR_PARAM || record->kind == TUTTI_TENSOR_STATE) {
            used[i] = true;
            on_each[i] = tutti_graph_is_shared(graph, tensor);
        }
        if (record->kind == TUTTI_TENSOR_INPUT && used[i]) {
            on_each[i] |= record->type.shape.batched;
            inputs[out->n_inputs++] = tensor;
        }
    }
    out->used = used;
    out->on_each = on_each;
    out->inputs = inputs;
    return TUTTI_OK;
}

static tutti_status make(tutti_passes *p, tutti_program *out) {
    TUTTI_TRY(tutti_pass_select(p));
    TUTTI_TRY(tutti_pass_split(p));
    TUTTI_TRY(tutti_pass_fuse(p));
    TUTTI_TRY(tutti_pass_epilogue(p));
    TUTTI_TRY(tutti_pass_prologue(p));
    TUTTI_TRY(tutti_pass_factor(p));
    TUTTI_TRY(tutti_pass_group(p));
    TUTTI_TRY(tutti_pass_precision(p));
    *out = (tutti_program){
        .mode = p->mode, .dtype = p->dtype, .fetches = p->fetches, .n_fetches = p->n_fetches};
    out->items = tutti_arena_copy(p->arena, p->items, (size_t)p->n_items * sizeof *p->items);
    out->n_items = p->n_items;
    return out->items == NULL ? TUTTI_OUT_OF_MEMORY : locate(p, out);
}

tutti_status tutti_program_make(const tutti_graph *graph, tutti_mode mode, tutti_arena *arena,
                                tutti_program *out) {
    const tutti_program_options options = {.narrow = TUTTI_F32, .loads = true};
    return tutti_program_make_for(graph, mode, options, arena, out);
}

tutti_status tutti_program_make_for(const tutti_graph *graph, tutti_mode mode,
                                    tutti_program_options options, tutti_arena *arena,
                                    tutti_program *out) {
    if (!graph->frozen)
        return tutti_fail(TUTTI_STATE, "program: the graph is not frozen");
    tutti_arena scratch = {0};
    tutti_passes passes = {.graph = graph,
                           .mode = mode,
                           .arena = arena,
                           .scratch = &scratch,
                           .loads = options.loads,
                           .narrow = options.narrow};
    const tutti_status status = make(&passes, out);
    tutti_arena_free(&scratch);
    return status;
}
