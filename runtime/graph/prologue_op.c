/* An op that takes a prologue: its kernel gets the chain as functions that make what it reads
 * (cl/prologue.clh, cl/load.clh). A candidate that cannot take them comes after a kernel for the
 * chain. Where a kernel reads an element several times, the chain is computed as often: then the best
 * candidate is also offered with a kernel of its own for the chain, so that the tuner decides. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/narrow.h"
#include "base/reference.h"
#include "base/status.h"
#include "graph/generate.h"

/* Operations per element: more is not computed several times unless that was measured to be faster. */
#define CHEAP_FLOPS 10
/* Names in kernels, apart from those of an epilogue. */
#define PREFIX "p_"

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
    tutti_put_parameters(text, &l->kept, none, out_needs, ",\n    ", "", "");
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
    tutti_strbuf_puts(text, "static inline float tutti_prologue_at(\n    const uint i");
    tutti_put_parameters(text, &l->kept, none, out_needs, ",\n    ", "", "");
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
    tutti_strbuf_printf(text, "#define PROLOGUE_OF %" PRId32 "\n#define PROLOGUE_PARAMETERS ",
                        l->slot);
    tutti_put_parameters(text, &l->kept, none, out_needs, ", ", "", PREFIX);
    tutti_strbuf_puts(text, "\n#define PROLOGUE_ARGUMENTS ");
    tutti_put_parameters(text, &l->kept, none, out_needs, ", ", NULL, PREFIX);
    tutti_strbuf_puts(text, "\n#define PROLOGUE(to, first, count) "
                            "tutti_prologue(to, (size_t)(first), (uint)(count)");
    tutti_put_parameters(text, &l->kept, none, out_needs, ", ", NULL, PREFIX);
    tutti_strbuf_puts(text, ")\n#define PROLOGUE_AT(i) tutti_prologue_at((uint)(i)");
    tutti_put_parameters(text, &l->kept, none, out_needs, ", ", NULL, PREFIX);
    tutti_strbuf_puts(text, ")\n");
    return TUTTI_OK;
}

static tutti_status make_code(const tutti_prologue *l, const tutti_device_info *device,
                              tutti_lowering *out, tutti_attached_code *code) {
    tutti_chain_needs needs = {0};
    tutti_strbuf text = {0};
    const tutti_status status = put_code(&text, l, device, &needs);
    TUTTI_TRY(tutti_attach_code(&text, status, &l->kept, (tutti_tensor){0}, &needs, out, code));
    code->loaded = l->base.in[l->slot];
    return TUTTI_OK;
}

static bool takes(const tutti_candidate *candidate) {
    for (int32_t i = 0; i < candidate->n_launches; i++)
        if (candidate->launches[i].prologue)
            return true;
    return false;
}

/* Puts the chain's kernel before the launches of a candidate that does not take the prologue. What it
 * makes is in scratch memory when nothing else reads it. */
static tutti_status complete(const tutti_prologue *l, const tutti_device_info *device,
                             tutti_lowering *out, tutti_candidate *candidate) {
    if (takes(candidate))
        return TUTTI_OK;
    const bool kept = l->members.members[l->result].output >= 0;
    const tutti_type *type = &l->chain.out_type[l->loaded];
    if (kept && tutti_dtype_is_narrow(type->dtype))
        tutti_widen_input(device, out, candidate, l->base.in[l->slot], type);
    tutti_single_chain single;
    const tutti_fused_chain chain = tutti_fused_chain_of(&l->chain, &single);
    TUTTI_TRY(tutti_chain_launch(&l->chain, &chain, device, out, candidate));
    tutti_candidate_last_first(candidate);
    if (kept)
        return TUTTI_OK;
    const tutti_extent count = tutti_extent_count(&l->chain.out_type[0].shape);
    const uint32_t scratch = tutti_candidate_scratch(
        out, candidate, (tutti_extent){4 * count.base, 4 * count.per_sample});
    tutti_candidate_redirect(candidate, l->base.in[l->slot],
                             (tutti_arg){.kind = TUTTI_ARG_SCRATCH, .u.scratch = scratch}, false);
    return TUTTI_OK;
}

static bool is_cheap(const tutti_prologue *l) {
    bool random = false;
    for (int32_t m = 0; m < l->members.n_members; m++)
        random |= (l->members.members[m].node.op->flags & TUTTI_OP_RANDOM) != 0;
    const double elements = (double)tutti_shape_count(&l->chain.out_type[0].shape, 1);
    return !random && l->chain.op->cost(&l->chain, 1).flops <= CHEAP_FLOPS * elements;
}

/* The candidates of the op, each with the chain in a kernel of its own. */
static tutti_status lower_apart(const tutti_prologue *l, const tutti_device_info *device,
                                tutti_lowering *out) {
    TUTTI_TRY(tutti_op_lower(&l->base, device, out));
    for (int32_t c = 0; c < out->n_candidates; c++)
        TUTTI_TRY(complete(l, device, out, &out->candidates[c]));
    return tutti_lowering_status(out);
}

/* Adds the first candidate with the chain apart: ahead of the others unless the chain is cheap. */
static tutti_status add_apart(const tutti_prologue *l, const tutti_device_info *device,
                              tutti_lowering *out) {
    const bool cheap = is_cheap(l);
    tutti_lowering other = {.arena = out->arena};
    if (!takes(&out->candidates[0]) || (out->n_candidates == 1 && cheap))
        return TUTTI_OK;
    TUTTI_TRY(lower_apart(l, device, &other));
    tutti_candidate apart = other.candidates[0];
    apart.name = tutti_arena_printf(out->arena, "%s_apart", apart.name);
    if (apart.name == NULL)
        return TUTTI_OUT_OF_MEMORY;
    /* An op that offers one candidate does not want it to be measured. */
    const bool alone = out->n_candidates == 1;
    const int32_t last = alone                                       ? 0
                         : out->n_candidates == TUTTI_CANDIDATES_MAX ? TUTTI_CANDIDATES_MAX - 1
                                                                     : out->n_candidates++;
    if (cheap) {
        out->candidates[last] = apart;
        return TUTTI_OK;
    }
    memmove(out->candidates + 1, out->candidates, (size_t)last * sizeof apart);
    out->candidates[0] = apart;
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
    if (tutti_fused_core(&l->base)->op->loads != 0)
        TUTTI_TRY(add_apart(l, device, out));
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
    tutti_reference_widened(
        &(tutti_ref_call){.node = &l->chain, .run = call->run, .in = call->in, .out = out});
    for (int32_t k = 0; k < l->base.n_in; k++)
        in[k] = k == l->slot ? out[l->loaded] : call->in[l->chain.n_in + k - (k > l->slot)];
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
