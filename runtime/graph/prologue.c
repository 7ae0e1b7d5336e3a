/* Elementwise work on what a reduction reads, done by the kernel that reduces.
 *
 * The pass runs after epilogues were found. A chain of which an output is input 0 of an op with
 * TUTTI_OP_PROLOGUE becomes one node with that op. What the chain makes is then neither written nor
 * read; where others read it too, the kernel writes it as it goes, and it is not read again. The
 * kernel gets the chain as functions that make its input (cl/prologue.clh). A candidate that cannot
 * take them comes after a kernel for the chain.
 *
 * The node stands where the chain stood when all else that the op reads is there already; otherwise
 * where the op stood, if nothing else reads what the chain makes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/narrow.h"
#include "base/reference.h"
#include "base/status.h"
#include "graph/attach.h"
#include "graph/generate.h"
#include "graph/lowering.h"

/* The pass. */

static bool is_kept(const tutti_attachment *a, const tutti_prologue *l, int32_t output) {
    const tutti_tensor tensor = l->chain.out[output];
    return output != l->loaded || a->reads[tensor.id] > 1 || a->p->fetched[tensor.id];
}

static int32_t count_kept(const tutti_attachment *a, const tutti_prologue *l) {
    int32_t count = 0;
    for (int32_t i = 0; i < l->chain.n_out; i++)
        count += is_kept(a, l, i);
    return count;
}

/* The chain with the outputs that stay. */
static tutti_status keep(const tutti_attachment *a, tutti_prologue *l) {
    tutti_arena *arena = a->p->arena;
    const size_t n_out = (size_t)l->chain.n_out;
    tutti_single_chain *single = tutti_arena_alloc(arena, sizeof *single);
    if (single == NULL)
        return TUTTI_OUT_OF_MEMORY;
    l->members = tutti_fused_chain_of(&l->chain, single);
    tutti_tensor *out = tutti_arena_array(arena, n_out, sizeof *out);
    tutti_type *types = tutti_arena_copy(arena, l->chain.out_type, n_out * sizeof *types);
    int32_t *index = tutti_arena_array(a->p->scratch, n_out, sizeof *index);
    tutti_fused_member *members =
        tutti_arena_copy(arena, l->members.members, (size_t)l->members.n_members * sizeof *members);
    if (out == NULL || types == NULL || index == NULL || members == NULL)
        return TUTTI_OUT_OF_MEMORY;
    l->kept = l->chain;
    l->kept.n_out = 0;
    for (int32_t i = 0; i < l->chain.n_out; i++) {
        index[i] = is_kept(a, l, i) ? l->kept.n_out : -1;
        if (index[i] < 0)
            continue;
        out[l->kept.n_out] = l->chain.out[i];
        types[l->kept.n_out++] = l->chain.out_type[i];
    }
    l->kept.out = out;
    l->kept.out_type = types;
    for (int32_t m = 0; m < l->members.n_members; m++) {
        const int32_t output = members[m].output;
        if (output == l->loaded)
            l->result = m;
        members[m].output = output < 0 ? -1 : index[output];
    }
    l->members.members = members;
    return TUTTI_OK;
}

static tutti_status attach(tutti_attachment *a, const tutti_prologue *found, int32_t at,
                           int32_t other) {
    tutti_arena *arena = a->p->arena;
    tutti_prologue *l = tutti_arena_copy(arena, found, sizeof *l);
    if (l == NULL)
        return TUTTI_OUT_OF_MEMORY;
    TUTTI_TRY(keep(a, l));
    const int32_t n_in = l->chain.n_in + l->base.n_in - 1, n_out = l->base.n_out + l->kept.n_out;
    tutti_tensor *ids = tutti_arena_array(arena, (size_t)(n_in + n_out), sizeof *ids);
    tutti_type *types = tutti_arena_array(arena, (size_t)(n_in + n_out), sizeof *types);
    l->label = tutti_arena_printf(arena, "%s+%s", tutti_fused_label(&l->chain), l->base.op->name);
    if (ids == NULL || types == NULL || l->label == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const struct {
        const tutti_tensor *ids;
        const tutti_type *types;
        int32_t count;
    } parts[] = {{l->chain.in, l->chain.in_type, l->chain.n_in},
                 {l->base.in + 1, l->base.in_type + 1, l->base.n_in - 1},
                 {l->base.out, l->base.out_type, l->base.n_out},
                 {l->kept.out, l->kept.out_type, l->kept.n_out}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(ids + n, parts[i].ids, (size_t)parts[i].count * sizeof *ids);
        memcpy(types + n, parts[i].types, (size_t)parts[i].count * sizeof *types);
        n += (size_t)parts[i].count;
    }
    a->p->items[at].node = (tutti_node_info){.op = &tutti_op_prologue,
                                             .attr = l,
                                             .n_in = n_in,
                                             .n_out = n_out,
                                             .in = ids,
                                             .out = ids + n_in,
                                             .in_type = types,
                                             .out_type = types + n_in};
    a->taken[other] = true;
    return TUTTI_OK;
}

/* True when an operand has all elements of the chain: how many there are was then checked. */
static bool has_full_operand(const tutti_node_info *chain) {
    for (int32_t i = 0; i < chain->n_in; i++)
        if (tutti_fuse_same_count(&chain->in_type[i].shape, &chain->out_type[0].shape))
            return true;
    return false;
}

static tutti_status visit(tutti_attachment *a, int32_t k, int32_t *at) {
    const tutti_node_info *base = &a->p->items[k].node;
    if ((base->op->flags & TUTTI_OP_PROLOGUE) == 0)
        return TUTTI_OK;
    const int32_t from = a->producer[base->in[0].id];
    /* Summed over devices since, what the chain made is another value. */
    if (from < 0 || a->reduced[a->root[base->in[0].id]] > from ||
        !tutti_attach_is_chain(&a->p->items[from]) || !tutti_attach_beside(a, from, k) ||
        tutti_attach_reads(base, base->in[0]) != 1)
        return TUTTI_OK;
    tutti_prologue l = {.chain = a->p->items[from].node, .base = *base};
    while (l.chain.out[l.loaded].id != base->in[0].id)
        l.loaded++;
    const int32_t n_kept = count_kept(a, &l);
    if (l.chain.out_type[l.loaded].dtype != TUTTI_F32 ||
        !tutti_fuse_same_count(&l.chain.out_type[0].shape, &base->in_type[0].shape) ||
        !has_full_operand(&l.chain) ||
        l.chain.n_in + base->n_in - 1 + base->n_out + n_kept > TUTTI_FUSE_OPERANDS_MAX)
        return TUTTI_OK;
    if (tutti_attach_lasts(a, base, base->in[0], from)) {
        *at = from;
        return attach(a, &l, from, k);
    }
    if (n_kept > 0 || !tutti_attach_lasts(a, &l.chain, (tutti_tensor){0}, from))
        return TUTTI_OK;
    return attach(a, &l, k, from);
}

tutti_status tutti_pass_prologue(tutti_passes *p) {
    return tutti_attach_sweep(p, visit);
}

/* The op. */

#define STRETCH_MAX 256 /* elements */

/* A stretch of elements into private memory. What is stored besides is stored after all operands of
 * the stretch were loaded, so that it may share memory with one; and compilers see that nothing in
 * the loop before can overlap. */
static tutti_status put_stretch(tutti_strbuf *text, const tutti_prologue *l,
                                tutti_chain_needs *out_needs) {
    const tutti_tensor none = {0};
    const int64_t columns = tutti_chain_columns(&l->kept, &l->members);
    tutti_strbuf values = {0};
    out_needs->words = true;
    const tutti_status status =
        tutti_put_values(&values, &l->kept, &l->members, none, columns, out_needs);
    tutti_strbuf_puts(text, "static inline void tutti_prologue(\n"
                            "    float *to, const size_t first, const uint count");
    tutti_put_parameters(text, &l->kept, none, out_needs, ",\n    ", "");
    tutti_strbuf_puts(text, ") {\n");
    const int32_t same = l->members.members[l->result].output;
    for (int32_t k = 0; k < l->kept.n_out; k++)
        if (k == same)
            tutti_strbuf_printf(text, "    float *keep%" PRId32 " = to;\n", k);
        else
            tutti_strbuf_printf(text, "    float keep%" PRId32 "[PROLOGUE_MOST];\n", k);
    tutti_strbuf_puts(text, "    for (uint done = 0; done < count;) {\n"
                            "    const uint begin = (uint)first + done;\n");
    if (columns > 0)
        tutti_strbuf_printf(text,
                            "    const uint r = begin / %" PRId64 "u, x_begin = begin %% %" PRId64
                            "u;\n"
                            "    const uint length = min(count - done, %" PRId64 "u - x_begin);\n",
                            columns, columns, columns);
    else
        tutti_strbuf_puts(text, "    const uint length = count;\n");
    tutti_put_words(text, &l->kept, out_needs, STRETCH_MAX, "begin", "length");
    tutti_strbuf_puts(text, "    for (uint k = 0; k < length; k++) {\n"
                            "    const size_t i = (size_t)begin + k;\n");
    if (columns > 0)
        tutti_strbuf_puts(text, "    const size_t x = (size_t)x_begin + k;\n");
    if (out_needs->n_streams > 0)
        tutti_strbuf_puts(text, "    const uint word = words_shift + k;\n");
    tutti_strbuf_append(text, values.text == NULL ? "" : values.text, values.length);
    if (same < 0)
        tutti_strbuf_printf(text, "    to[done + k] = v%" PRId32 ";\n", l->result);
    for (int32_t m = 0; m < l->members.n_members; m++)
        if (l->members.members[m].output >= 0)
            tutti_strbuf_printf(text, "    keep%" PRId32 "[done + k] = v%" PRId32 ";\n",
                                l->members.members[m].output, m);
    tutti_strbuf_puts(text, "    }\n"
                            "    done += length;\n"
                            "    }\n");
    for (int32_t k = 0; k < l->kept.n_out; k++) {
        char value[24];
        snprintf(value, sizeof value, "keep%" PRId32 "[k]", k);
        tutti_strbuf_puts(text, "    for (uint k = 0; k < count; k++)\n    ");
        tutti_put_store(text, &l->kept, k, "first + k", value);
    }
    tutti_strbuf_puts(text, "}\n");
    text->failed |= values.failed;
    tutti_strbuf_free(&values);
    return status;
}

static tutti_status put_element(tutti_strbuf *text, const tutti_prologue *l,
                                tutti_chain_needs *out_needs) {
    const tutti_tensor none = {0};
    tutti_strbuf_puts(text, "static inline float tutti_prologue_at(\n    const size_t i");
    tutti_put_parameters(text, &l->kept, none, out_needs, ",\n    ", "");
    tutti_strbuf_puts(text, ") {\n");
    out_needs->words = false;
    const tutti_status status = tutti_put_body(text, &l->kept, &l->members, none, 0, out_needs);
    tutti_strbuf_printf(text, "    return v%" PRId32 ";\n}\n", l->result);
    return status;
}

static tutti_status put_code(tutti_strbuf *text, const tutti_prologue *l,
                             const tutti_device_info *device, tutti_chain_needs *out_needs) {
    const tutti_tensor none = {0};
    tutti_strbuf_printf(text, "#define PROLOGUE_MOST %d\n", STRETCH_MAX);
    tutti_put_storage(text, &l->kept, &l->members, device);
    tutti_strbuf functions = {0};
    tutti_status status = put_stretch(&functions, l, out_needs);
    if (status == TUTTI_OK)
        status = put_element(&functions, l, out_needs);
    tutti_put_preludes(text, &l->members, out_needs);
    tutti_strbuf_append(text, functions.text == NULL ? "" : functions.text, functions.length);
    text->failed |= functions.failed;
    tutti_strbuf_free(&functions);
    TUTTI_TRY(status);
    tutti_strbuf_puts(text, "#define PROLOGUE_PARAMETERS ");
    tutti_put_parameters(text, &l->kept, none, out_needs, ", ", "");
    tutti_strbuf_puts(text, "\n#define PROLOGUE(to, first, count) "
                            "tutti_prologue(to, (size_t)(first), (uint)(count)");
    tutti_put_parameters(text, &l->kept, none, out_needs, ", ", NULL);
    tutti_strbuf_puts(text, ")\n#define PROLOGUE_AT(i) tutti_prologue_at((size_t)(i)");
    tutti_put_parameters(text, &l->kept, none, out_needs, ", ", NULL);
    tutti_strbuf_puts(text, ")\n");
    return TUTTI_OK;
}

static tutti_status make_code(const tutti_prologue *l, const tutti_device_info *device,
                              tutti_lowering *out, tutti_attached_code *code) {
    tutti_chain_needs needs = {0};
    tutti_strbuf text = {0};
    tutti_status status = put_code(&text, l, device, &needs);
    *code = (tutti_attached_code){.loaded = l->base.in[0]};
    if (status == TUTTI_OK && !text.failed)
        code->text = tutti_arena_strdup(out->arena, text.text);
    if (status == TUTTI_OK && code->text == NULL)
        status = tutti_fail_memory(text.length, "a generated kernel");
    tutti_strbuf_free(&text);
    tutti_launch_chain(out, &code->parameters, &l->kept, (tutti_tensor){0}, &needs);
    return status;
}

/* Puts the chain's kernel before the launches of a candidate that does not take the prologue. What it
 * makes is in scratch memory when nothing else reads it. */
static tutti_status complete(const tutti_prologue *l, const tutti_device_info *device,
                             tutti_lowering *out, tutti_candidate *candidate) {
    for (int32_t i = 0; i < candidate->n_launches; i++)
        if (candidate->launches[i].prologue)
            return TUTTI_OK;
    const bool kept = l->members.members[l->result].output >= 0;
    const tutti_type *type = &l->chain.out_type[l->loaded];
    if (kept && tutti_dtype_is_narrow(type->dtype))
        tutti_widen_input(device, out, candidate, l->base.in[0], type);
    tutti_single_chain single;
    const tutti_fused_chain chain = tutti_fused_chain_of(&l->chain, &single);
    TUTTI_TRY(tutti_chain_launch(&l->chain, &chain, device, out, candidate));
    tutti_candidate_last_first(candidate);
    if (kept)
        return TUTTI_OK;
    const tutti_extent count = tutti_extent_count(&l->chain.out_type[0].shape);
    const uint32_t scratch = tutti_candidate_scratch(
        out, candidate, (tutti_extent){4 * count.base, 4 * count.per_sample});
    tutti_candidate_redirect(candidate, l->base.in[0],
                             (tutti_arg){.kind = TUTTI_ARG_SCRATCH, .u.scratch = scratch}, false);
    return TUTTI_OK;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_prologue *l = node->attr;
    tutti_attached_code code;
    TUTTI_TRY(make_code(l, device, out, &code));
    out->prologue = &code;
    const tutti_status status = tutti_op_lower(&l->base, device, out);
    out->prologue = NULL;
    TUTTI_TRY(status);
    for (int32_t c = 0; c < out->n_candidates; c++)
        TUTTI_TRY(complete(l, device, out, &out->candidates[c]));
    return tutti_lowering_status(out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_prologue *l = node->attr;
    const tutti_cost chain = l->chain.op->cost(&l->chain, n), base = l->base.op->cost(&l->base, n);
    /* What passes between them is not read, and is written only where it is kept. */
    const bool kept = l->members.members[l->result].output >= 0;
    const double between = 4.0 * (double)tutti_shape_count(&l->chain.out_type[0].shape, n);
    return (tutti_cost){.flops = chain.flops + base.flops,
                        .bytes = chain.bytes + base.bytes - (kept ? 1 : 2) * between};
}

static void ref(const tutti_ref_call *call) {
    const tutti_prologue *l = call->node->attr;
    const int32_t n_base = l->base.n_out;
    const size_t count = (size_t)tutti_shape_count(&l->chain.out_type[0].shape, call->run->n);
    void *between = malloc((count + 1) * sizeof(float));
    if (between == NULL) {
        for (int32_t k = 0; k < n_base; k++)
            memset(call->out[k], 0xFF, /* NaN */
                   4 * (size_t)tutti_shape_count(&l->base.out_type[k].shape, call->run->n));
        return;
    }
    void *in[TUTTI_FUSE_OPERANDS_MAX], *out[TUTTI_FUSE_OPERANDS_MAX];
    for (int32_t k = 0, next = n_base; k < l->chain.n_out; k++) {
        const bool kept =
            next - n_base < l->kept.n_out && l->kept.out[next - n_base].id == l->chain.out[k].id;
        out[k] = kept ? call->out[next++] : between;
    }
    in[0] = out[l->loaded];
    tutti_reference_widened(
        &(tutti_ref_call){.node = &l->chain, .run = call->run, .in = call->in, .out = out});
    for (int32_t k = 1; k < l->base.n_in; k++)
        in[k] = call->in[l->chain.n_in + k - 1];
    tutti_reference_widened(
        &(tutti_ref_call){.node = &l->base, .run = call->run, .in = in, .out = call->out});
    free(between);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    (void)out;
    return tutti_op_fail(node, TUTTI_UNSUPPORTED, "made by the fusion pass only");
}

/* attr_size is 0: attr is a pointer into the program, no data to be hashed or copied. */
const tutti_op tutti_op_prologue = {.name = "prologue",
                                    .summary = "elementwise ops, and an op on their result",
                                    .n_in_min = 0,
                                    .n_in_max = TUTTI_FUSE_OPERANDS_MAX,
                                    .n_out = 1,
                                    .flags = TUTTI_OP_NO_GRAD,
                                    .infer = infer,
                                    .cost = cost,
                                    .lower = lower,
                                    .ref = ref};
