/* Elementwise work on the result of a product or a convolution, done by the kernel that computes it.
 *
 * The pass runs after chains were fused. A chain of which one operand is the result of an op with
 * TUTTI_OP_EPILOGUE, of the chain's shape and read by nothing else, becomes one node with that op: it
 * stands where one of them stood, unless an update lies between. The kernel gets the
 * chain as a function of a run of its result (cl/epilogue.clh). What a candidate of the op cannot
 * take follows in a kernel of its own, its operand being scratch memory, so that the tuner compares
 * like with like. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/narrow.h"
#include "base/reference.h"
#include "base/status.h"
#include "graph/attach.h"
#include "graph/generate.h"

/* The pass. */

/* True when the item at `rest` can be the epilogue of the one at `base`. */
static bool can_take(const tutti_attachment *a, int32_t base, int32_t rest) {
    const tutti_node_info *b = &a->p->items[base].node, *r = &a->p->items[rest].node;
    if (!tutti_attach_beside(a, base, rest) || (b->op->flags & TUTTI_OP_EPILOGUE) == 0 ||
        b->n_out != 1 || !tutti_fuse_same_count(&b->out_type[0].shape, &r->out_type[0].shape))
        return false;
    const int32_t own = tutti_attach_reads(r, b->out[0]);
    return own == a->reads[b->out[0].id] && !a->p->fetched[b->out[0].id] &&
           b->n_in + r->n_in - own + r->n_out <= TUTTI_FUSE_OPERANDS_MAX;
}

/* Makes one node of both, at `at`, which is one of the two items. */
static tutti_status attach(tutti_attachment *a, int32_t base, int32_t rest, int32_t at) {
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
static tutti_status visit(tutti_attachment *a, int32_t k, int32_t *at) {
    if (!tutti_attach_is_chain(&a->p->items[k]))
        return TUTTI_OK;
    const tutti_node_info *node = &a->p->items[k].node;
    int32_t base = -1;
    for (int32_t i = 0; i < node->n_in; i++) {
        const int32_t producer = a->producer[node->in[i].id];
        if (producer > base && can_take(a, producer, k))
            base = producer;
    }
    if (base < 0)
        return TUTTI_OK;
    const tutti_node_info *b = &a->p->items[base].node;
    if (tutti_attach_lasts(a, node, b->out[0], base))
        *at = base;
    else if (!tutti_attach_lasts(a, b, (tutti_tensor){0}, base))
        return TUTTI_OK;
    return attach(a, base, k, *at);
}

tutti_status tutti_pass_epilogue(tutti_passes *p) {
    return tutti_attach_sweep(p, visit);
}

/* The op. */

#define WORDS_MAX 256 /* random words at a time, on CPUs */

static tutti_status put_code(tutti_strbuf *text, const tutti_epilogue *e,
                             const tutti_fused_chain *chain, const tutti_device_info *device,
                             tutti_chain_needs *out_needs) {
    const tutti_node_info *node = &e->rest;
    const tutti_tensor base = e->base.out[0];
    const int64_t columns = tutti_chain_columns(node, chain);
    tutti_strbuf body = {0};
    out_needs->words = device == NULL || (device->type & TUTTI_DEVICE_CPU) != 0;
    const tutti_status status = tutti_put_body(&body, node, chain, base, columns, out_needs);
    tutti_put_storage(text, node, chain, device);
    tutti_put_preludes(text, chain, out_needs);
    tutti_strbuf_puts(text, "static inline void tutti_epilogue(\n"
                            "    __global float *out0, const size_t first, const uint count");
    tutti_put_parameters(text, node, base, out_needs, ",\n    ", "", "");
    tutti_strbuf_puts(text, ") {\n"
                            "    for (uint done = 0; done < count;) {\n"
                            "    const uint begin = (uint)first + done;\n");
    char rest[64] = "count - done";
    if (out_needs->words && out_needs->n_streams > 0)
        snprintf(rest, sizeof rest, "min(count - done, %du)", WORDS_MAX);
    if (columns > 0)
        tutti_strbuf_printf(text,
                            "    const uint r = begin / %" PRId64 "u, x_begin = begin %% %" PRId64
                            "u;\n"
                            "    const uint length = min(%s, %" PRId64 "u - x_begin);\n",
                            columns, columns, rest, columns);
    else
        tutti_strbuf_printf(text, "    const uint length = %s;\n", rest);
    if (out_needs->words)
        tutti_put_words(text, node, out_needs, WORDS_MAX, "begin", "length");
    tutti_strbuf_puts(text, "    for (uint k = 0; k < length; k++) {\n"
                            "    const size_t i = (size_t)begin + k;\n");
    if (columns > 0)
        tutti_strbuf_puts(text, "    const size_t x = (size_t)x_begin + k;\n");
    if (out_needs->words && out_needs->n_streams > 0)
        tutti_strbuf_puts(text, "    const uint word = words_shift + k;\n");
    tutti_strbuf_append(text, body.text == NULL ? "" : body.text, body.length);
    tutti_strbuf_puts(text, "    }\n"
                            "    done += length;\n"
                            "    }\n"
                            "}\n"
                            "#define EPILOGUE_PARAMETERS ");
    tutti_put_parameters(text, node, base, out_needs, ", ", "restrict ", "");
    tutti_strbuf_puts(text, "\n#define EPILOGUE(to, first, count) "
                            "tutti_epilogue(to, (size_t)(first), (uint)(count)");
    tutti_put_parameters(text, node, base, out_needs, ", ", NULL, "");
    tutti_strbuf_puts(text, ")\n");
    text->failed |= body.failed;
    tutti_strbuf_free(&body);
    return status;
}

static tutti_status make_code(const tutti_epilogue *e, const tutti_device_info *device,
                              tutti_lowering *out, tutti_attached_code *code) {
    tutti_single_chain single;
    const tutti_fused_chain chain = tutti_fused_chain_of(&e->rest, &single);
    tutti_chain_needs needs = {0};
    tutti_strbuf text = {0};
    const tutti_status status = put_code(&text, e, &chain, device, &needs);
    return tutti_attach_code(&text, status, &e->rest, e->base.out[0], &needs, out, code);
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
    tutti_candidate_redirect(candidate, e->base.out[0], result, false);
    return TUTTI_OK;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_epilogue *e = node->attr;
    tutti_attached_code code;
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
