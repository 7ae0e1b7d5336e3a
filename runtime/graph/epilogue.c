/* Elementwise work on the result of a product or a convolution, done by the kernel that computes it.
 *
 * The pass runs after chains were fused. A chain of which one operand is the result of an op with
 * TUTTI_OP_EPILOGUE, of the chain's shape and read by nothing else, becomes one node with that op: it
 * stands where one of them stood, unless an update lies between. The kernel gets the
 * chain as a function of a run of its result (cl/epilogue.clh). What a candidate of the op cannot
 * take follows in a kernel of its own, its operand being scratch memory, so that the tuner compares
 * like with like. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/narrow.h"
#include "base/reference.h"
#include "base/status.h"
#include "graph/generate.h"
#include "graph/lowering.h"
#include "graph/passes.h"

/* The pass. */

typedef struct attachment {
    tutti_passes *p;
    int32_t *producer; /* by tensor: item, or -1 */
    int32_t *reads;    /* by tensor: operands that read it */
    int32_t *reduced;  /* by tensor: the last reduction of its memory so far, or -1 */
    uint32_t *root;    /* by tensor: what it is an alias of, or itself */
    bool *taken;       /* by item: part of another one */
    int32_t barrier;   /* the last update or broadcast so far, or -1 */
} attachment;

static bool is_elementwise(const tutti_item *item) {
    const tutti_op *op = item->node.op;
    return item->kind == TUTTI_ITEM_NODE && !item->alias &&
           (op->flags & TUTTI_OP_ELEMENTWISE) != 0 &&
           (op == &tutti_op_fused || (op->lower == NULL && op->expr != NULL)) &&
           item->node.n_out >= 1 && item->node.out_type[0].dtype == TUTTI_F32;
}

/* True when the item at `rest` can be the epilogue of the one at `base`. */
static bool can_take(const attachment *a, int32_t base, int32_t rest) {
    const tutti_item *b = &a->p->items[base], *r = &a->p->items[rest];
    if (b->kind != TUTTI_ITEM_NODE || b->alias || a->taken[base] ||
        (b->node.op->flags & TUTTI_OP_EPILOGUE) == 0 || b->node.n_out != 1 || a->barrier > base ||
        b->place != r->place || b->commit != r->commit || b->every != r->every ||
        !tutti_fuse_same_count(&b->node.out_type[0].shape, &r->node.out_type[0].shape))
        return false;
    const uint32_t id = b->node.out[0].id;
    int32_t own = 0;
    for (int32_t i = 0; i < r->node.n_in; i++)
        own += r->node.in[i].id == id;
    return own == a->reads[id] && !a->p->fetched[id] &&
           b->node.n_in + r->node.n_in - own + r->node.n_out <= TUTTI_FUSE_OPERANDS_MAX;
}

/* True when what the node reads, but for `except`, is the same from item `from` on until now. */
static bool lasts(const attachment *a, const tutti_node_info *node, tutti_tensor except,
                  int32_t from) {
    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in[i].id != except.id &&
            (a->producer[node->in[i].id] > from || a->reduced[a->root[node->in[i].id]] > from))
            return false;
    return true;
}

/* Makes one node of both, at `at`, which is one of the two items. */
static tutti_status attach(attachment *a, int32_t base, int32_t rest, int32_t at) {
    tutti_arena *arena = a->p->arena;
    const tutti_node_info *b = &a->p->items[base].node, *r = &a->p->items[rest].node;
    const size_t room = (size_t)(b->n_in + r->n_in);
    tutti_epilogue *e = tutti_arena_alloc(arena, sizeof *e);
    tutti_tensor *in = tutti_arena_array(arena, room, sizeof *in);
    tutti_type *types = tutti_arena_array(arena, room, sizeof *types);
    if (e == NULL || in == NULL || types == NULL)
        return TUTTI_OUT_OF_MEMORY;
    *e = (tutti_epilogue){*b, *r,
                          tutti_arena_printf(arena, "%s+%s", b->op->name, tutti_fused_label(r))};
    if (e->label == NULL)
        return TUTTI_OUT_OF_MEMORY;
    memcpy(in, b->in, (size_t)b->n_in * sizeof *in);
    memcpy(types, b->in_type, (size_t)b->n_in * sizeof *types);
    int32_t n = b->n_in;
    for (int32_t i = 0; i < r->n_in; i++) {
        if (r->in[i].id == b->out[0].id)
            continue;
        in[n] = r->in[i];
        types[n++] = r->in_type[i];
    }
    a->p->items[at].node = (tutti_node_info){.op = &tutti_op_epilogue,
                                             .attr = e,
                                             .n_in = n,
                                             .n_out = e->rest.n_out,
                                             .in = in,
                                             .out = e->rest.out,
                                             .in_type = types,
                                             .out_type = e->rest.out_type};
    a->taken[at == base ? rest : base] = true;
    return TUTTI_OK;
}

/* Where the op stood when the chain's other operands are there already, so that neither waits longer
 * than before; else where the chain stood. */
static tutti_status attach_item(attachment *a, int32_t k, int32_t *out_at) {
    const tutti_node_info *node = &a->p->items[k].node;
    int32_t base = -1;
    for (int32_t i = 0; i < node->n_in; i++) {
        const int32_t producer = a->producer[node->in[i].id];
        if (producer > base && can_take(a, producer, k))
            base = producer;
    }
    *out_at = k;
    if (base < 0)
        return TUTTI_OK;
    const tutti_node_info *b = &a->p->items[base].node;
    if (lasts(a, node, b->out[0], base))
        *out_at = base;
    else if (!lasts(a, b, (tutti_tensor){0}, base))
        return TUTTI_OK;
    return attach(a, base, k, *out_at);
}

static void count_reads(attachment *a) {
    for (int32_t k = 0; k < a->p->n_items; k++) {
        const tutti_item *item = &a->p->items[k];
        for (int32_t i = 0; i < item->node.n_in; i++)
            a->reads[item->node.in[i].id]++;
        for (int32_t i = 0; i < item->n_tensors; i++)
            a->reads[item->tensors[i].id]++;
    }
}

tutti_status tutti_pass_epilogue(tutti_passes *p) {
    const size_t n_tensors = (size_t)p->graph->n_tensors, n_items = (size_t)p->n_items;
    attachment a = {.p = p,
                    .producer = tutti_arena_array(p->scratch, n_tensors, sizeof *a.producer),
                    .reads = tutti_arena_array(p->scratch, n_tensors, sizeof *a.reads),
                    .reduced = tutti_arena_array(p->scratch, n_tensors, sizeof *a.reduced),
                    .root = tutti_arena_array(p->scratch, n_tensors, sizeof *a.root),
                    .taken = tutti_arena_array(p->scratch, n_items, sizeof(bool)),
                    .barrier = -1};
    if (a.producer == NULL || a.reads == NULL || a.reduced == NULL || a.root == NULL ||
        a.taken == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (size_t i = 0; i < n_tensors; i++) {
        a.producer[i] = a.reduced[i] = -1;
        a.root[i] = (uint32_t)i;
    }
    count_reads(&a);
    for (int32_t k = 0; k < p->n_items; k++) {
        const tutti_item *item = &p->items[k];
        int32_t at = k;
        if (item->kind == TUTTI_ITEM_REDUCE)
            for (int32_t i = 0; i < item->n_tensors; i++)
                a.reduced[a.root[item->tensors[i].id]] = k;
        else if (item->kind == TUTTI_ITEM_BROADCAST ||
                 (item->node.op->flags & TUTTI_OP_UPDATE) != 0)
            a.barrier = k;
        else if (item->alias)
            a.root[item->node.out[0].id] = a.root[item->node.in[0].id];
        else if (is_elementwise(item))
            TUTTI_TRY(attach_item(&a, k, &at));
        for (int32_t i = 0; i < item->node.n_out; i++)
            a.producer[item->node.out[i].id] = at;
    }
    int32_t n = 0;
    for (int32_t k = 0; k < p->n_items; k++)
        if (!a.taken[k])
            p->items[n++] = p->items[k];
    p->n_items = n;
    return TUTTI_OK;
}

/* The op. */

static tutti_status put_code(tutti_strbuf *text, const tutti_epilogue *e,
                             const tutti_fused_chain *chain, const tutti_device_info *device,
                             tutti_chain_needs *out_needs) {
    const tutti_node_info *node = &e->rest;
    const tutti_tensor base = e->base.out[0];
    const int64_t columns = tutti_chain_columns(node, chain);
    tutti_strbuf body = {0};
    const tutti_status status = tutti_put_body(&body, node, chain, base, columns, out_needs);
    tutti_put_storage(text, node, chain, device);
    tutti_put_preludes(text, chain);
    tutti_strbuf_puts(text, "static inline void tutti_epilogue(\n"
                            "    __global float *out0, const size_t first, const uint count");
    tutti_put_parameters(text, node, base, out_needs, ",\n    ", "");
    tutti_strbuf_puts(text, ") {\n"
                            "    for (uint done = 0; done < count;) {\n"
                            "    const uint begin = (uint)first + done;\n");
    if (columns > 0)
        tutti_strbuf_printf(text,
                            "    const uint r = begin / %" PRId64 "u, x_begin = begin %% %" PRId64
                            "u;\n"
                            "    const uint length = min(count - done, %" PRId64 "u - x_begin);\n",
                            columns, columns, columns);
    else
        tutti_strbuf_puts(text, "    const uint length = count;\n");
    tutti_strbuf_puts(text, "    for (uint k = 0; k < length; k++) {\n"
                            "    const size_t i = (size_t)begin + k;\n");
    if (columns > 0)
        tutti_strbuf_puts(text, "    const size_t x = (size_t)x_begin + k;\n");
    tutti_strbuf_append(text, body.text == NULL ? "" : body.text, body.length);
    tutti_strbuf_puts(text, "    }\n"
                            "    done += length;\n"
                            "    }\n"
                            "}\n"
                            "#define EPILOGUE_PARAMETERS ");
    tutti_put_parameters(text, node, base, out_needs, ", ", "restrict ");
    tutti_strbuf_puts(text, "\n#define EPILOGUE(to, first, count) "
                            "tutti_epilogue(to, (size_t)(first), (uint)(count)");
    tutti_put_parameters(text, node, base, out_needs, ", ", NULL);
    tutti_strbuf_puts(text, ")\n");
    text->failed |= body.failed;
    tutti_strbuf_free(&body);
    return status;
}

static tutti_status make_code(const tutti_epilogue *e, const tutti_device_info *device,
                              tutti_lowering *out, tutti_epilogue_code *code) {
    tutti_single_chain single;
    const tutti_fused_chain chain = tutti_fused_chain_of(&e->rest, &single);
    tutti_chain_needs needs = {0};
    tutti_strbuf text = {0};
    tutti_status status = put_code(&text, e, &chain, device, &needs);
    *code = (tutti_epilogue_code){0};
    if (status == TUTTI_OK && !text.failed)
        code->text = tutti_arena_strdup(out->arena, text.text);
    if (status == TUTTI_OK && code->text == NULL)
        status = tutti_fail_memory(text.length, "a generated kernel");
    tutti_strbuf_free(&text);
    tutti_launch_chain(out, &code->parameters, &e->rest, e->base.out[0], &needs);
    return status;
}

/* The result of the op alone has no memory of its own: it is that of the first output, or scratch
 * memory when a kernel for the chain follows. */
static tutti_status complete(const tutti_epilogue *e, const tutti_device_info *device,
                             tutti_lowering *out, tutti_candidate *candidate) {
    bool takes = false;
    for (int32_t l = 0; l < candidate->n_launches; l++)
        takes |= candidate->launches[l].epilogue;
    tutti_arg result = {.kind = TUTTI_ARG_TENSOR, .u.tensor = e->rest.out[0]};
    if (!takes) {
        tutti_single_chain single;
        const tutti_fused_chain chain = tutti_fused_chain_of(&e->rest, &single);
        const tutti_extent count = tutti_extent_count(&e->base.out_type[0].shape);
        TUTTI_TRY(tutti_chain_launch(&e->rest, &chain, device, out, candidate));
        result.kind = TUTTI_ARG_SCRATCH;
        result.u.scratch = tutti_candidate_scratch(
            out, candidate, (tutti_extent){4 * count.base, 4 * count.per_sample});
    }
    for (int32_t l = 0; l < candidate->n_launches; l++)
        for (int32_t i = 0; i < candidate->launches[l].n_args; i++) {
            tutti_arg *arg = &candidate->launches[l].args[i];
            if (arg->kind == TUTTI_ARG_TENSOR && arg->u.tensor.id == e->base.out[0].id)
                *arg = result;
        }
    return TUTTI_OK;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_epilogue *e = node->attr;
    tutti_epilogue_code code;
    /* A result in 2 bytes leaves no room for the one that it is made of. */
    const bool has_room = !tutti_dtype_is_narrow(e->rest.out_type[0].dtype);
    if (has_room)
        TUTTI_TRY(make_code(e, device, out, &code));
    out->epilogue = has_room ? &code : NULL;
    const tutti_status status = tutti_op_lower(&e->base, device, out);
    out->epilogue = NULL;
    TUTTI_TRY(status);
    for (int32_t c = 0; c < out->n_candidates; c++)
        TUTTI_TRY(complete(e, device, out, &out->candidates[c]));
    return tutti_lowering_status(out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_epilogue *e = node->attr;
    const tutti_cost base = e->base.op->cost(&e->base, n), rest = e->rest.op->cost(&e->rest, n);
    /* The result between them is neither written nor read. */
    const double between = 4.0 * (double)tutti_shape_count(&e->base.out_type[0].shape, n);
    return (tutti_cost){.flops = base.flops + rest.flops,
                        .bytes = base.bytes + rest.bytes - 2 * between};
}

static void ref(const tutti_ref_call *call) {
    const tutti_epilogue *e = call->node->attr;
    const int64_t n = call->run->n;
    const size_t count = (size_t)tutti_shape_count(&e->base.out_type[0].shape, n);
    void *between = malloc((count + 1) * sizeof(float));
    if (between == NULL) {
        for (int32_t k = 0; k < call->node->n_out; k++)
            memset(call->out[k], 0xFF, count * sizeof(float)); /* NaN */
        return;
    }
    tutti_reference_widened(
        &(tutti_ref_call){.node = &e->base, .run = call->run, .in = call->in, .out = &between});
    void *in[TUTTI_FUSE_OPERANDS_MAX];
    int32_t next = e->base.n_in;
    for (int32_t i = 0; i < e->rest.n_in; i++)
        in[i] = e->rest.in[i].id == e->base.out[0].id ? between : call->in[next++];
    tutti_reference_widened(
        &(tutti_ref_call){.node = &e->rest, .run = call->run, .in = in, .out = call->out});
    free(between);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    (void)out;
    return tutti_op_fail(node, TUTTI_UNSUPPORTED, "made by the fusion pass only");
}

/* attr_size is 0: attr is a pointer into the program, no data to be hashed or copied. */
const tutti_op tutti_op_epilogue = {.name = "epilogue",
                                    .summary = "an op, and elementwise ops on its result",
                                    .n_in_min = 0,
                                    .n_in_max = TUTTI_FUSE_OPERANDS_MAX,
                                    .n_out = 1,
                                    .flags = TUTTI_OP_NO_GRAD,
                                    .infer = infer,
                                    .cost = cost,
                                    .lower = lower,
                                    .ref = ref};
