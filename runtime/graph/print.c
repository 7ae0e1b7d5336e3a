/* Graphs and programs as text: stable, one line per tensor, node or item. */
#include <inttypes.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "graph/program.h"

static const char *const kind_names[] = {"none", "input", "param", "state", "result"};

static void put_type(tutti_strbuf *out, const tutti_type *type) {
    char text[TUTTI_SHAPE_TEXT];
    tutti_strbuf_printf(out, "%s %s", tutti_dtype_name(type->dtype),
                        tutti_shape_text(&type->shape, text));
}

static void put_names(tutti_strbuf *out, const tutti_graph *graph, const tutti_tensor *tensors,
                      int32_t count) {
    for (int32_t i = 0; i < count; i++)
        tutti_strbuf_printf(out, "%s%s", i > 0 ? ", " : "",
                            tutti_graph_tensor_name(graph, tensors[i]));
}

/* "out: f32 Nx4 = op(in, in)" */
static void put_call(tutti_strbuf *out, const tutti_graph *graph, const tutti_dtype *dtype,
                     const char *op, const tutti_tensor *in, int32_t n_in,
                     const tutti_tensor *results, int32_t n_out) {
    for (int32_t i = 0; i < n_out; i++) {
        tutti_strbuf_printf(out, "%s%s: ", i > 0 ? ", " : "",
                            tutti_graph_tensor_name(graph, results[i]));
        tutti_type type = tutti_graph_record(graph, results[i])->type;
        if (dtype != NULL)
            type.dtype = dtype[results[i].id];
        put_type(out, &type);
    }
    tutti_strbuf_printf(out, "%s%s(", n_out > 0 ? " = " : "", op);
    put_names(out, graph, in, n_in);
    tutti_strbuf_puts(out, ")");
}

tutti_status tutti_graph_print(const tutti_graph *graph, char **out_text) {
    tutti_strbuf out = {0};
    for (int32_t i = 1; i < graph->n_tensors; i++) {
        const tutti_tensor_record *record = &graph->tensors[i];
        if (record->kind == TUTTI_TENSOR_RESULT)
            continue;
        tutti_strbuf_printf(&out, "%-7s%s: ", kind_names[record->kind], record->name);
        put_type(&out, &record->type);
        tutti_strbuf_puts(&out, "\n");
    }
    for (int32_t i = 0; i < graph->n_scalars; i++)
        tutti_strbuf_printf(&out, "scalar %s: %.9g\n", graph->scalars[i].name,
                            (double)graph->scalars[i].initial);
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const tutti_node *node = &graph->nodes[i];
        tutti_strbuf_printf(&out, "%-7s", node->backward ? "back" : "node");
        put_call(&out, graph, NULL, node->op->name, node->in, node->n_in, node->out, node->n_out);
        tutti_strbuf_puts(&out, "\n");
    }
    if (graph->loss.id != 0)
        tutti_strbuf_printf(&out, "loss   %s\n", tutti_graph_tensor_name(graph, graph->loss));
    for (int32_t i = 0; i < graph->n_outputs; i++)
        tutti_strbuf_printf(&out, "output %s: %s\n", graph->outputs[i].name,
                            tutti_graph_tensor_name(graph, graph->outputs[i].tensor));
    if (graph->status != TUTTI_OK)
        tutti_strbuf_printf(&out, "error  %s\n", tutti_graph_message(graph));
    *out_text = tutti_strbuf_take(&out);
    return *out_text == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}

static const char *item_word(const tutti_item *item) {
    if (item->kind == TUTTI_ITEM_REDUCE)
        return "reduce";
    if (item->kind == TUTTI_ITEM_BROADCAST)
        return "broadcast";
    return item->alias ? "alias" : "run";
}

tutti_status tutti_program_print(const tutti_graph *graph, const tutti_program *program,
                                 char **out_text) {
    tutti_strbuf out = {0};
    tutti_strbuf_puts(&out, "inputs: ");
    put_names(&out, graph, program->inputs, program->n_inputs);
    tutti_strbuf_puts(&out, "\nfetches: ");
    put_names(&out, graph, program->fetches, program->n_fetches);
    tutti_strbuf_puts(&out, "\n");
    for (int32_t i = 0; i < program->n_items; i++) {
        const tutti_item *item = &program->items[i];
        tutti_strbuf_printf(&out, "%-9s %-5s %s ", item_word(item),
                            item->place == TUTTI_PLACE_EACH ? "each" : "owner",
                            item->commit ? "commit" : "      ");
        if (item->kind == TUTTI_ITEM_NODE)
            put_call(&out, graph, program->dtype, tutti_fused_label(&item->node), item->node.in,
                     item->node.n_in, item->node.out, item->node.n_out);
        else
            put_names(&out, graph, item->tensors, item->n_tensors);
        if (item->every > 1)
            tutti_strbuf_printf(&out, "; every %" PRId32 " steps", item->every);
        tutti_strbuf_puts(&out, "\n");
    }
    *out_text = tutti_strbuf_take(&out);
    return *out_text == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}
