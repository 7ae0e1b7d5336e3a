/* Text from the expressions of elementwise ops. It depends on nothing but the expressions and the
 * broadcast patterns, so that equal chains share one program, whatever the batch. */
#include "graph/generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/narrow.h"
#include "base/status.h"
#include "graph/lowering.h"

#define EXPR_MAX 4096

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Finds the identifiers S<index> in an expression. */
static tutti_status find_scalars(const tutti_node_info *node, const char *expr,
                                 tutti_chain_needs *out) {
    for (const char *c = expr; *c != '\0'; c++) {
        if (*c != 'S' || (c != expr && is_word(c[-1])) || c[1] < '0' || c[1] > '9')
            continue;
        char *end;
        const unsigned long index = strtoul(c + 1, &end, 10);
        if (is_word(*end))
            continue;
        int32_t k = 0;
        while (k < out->n_scalars && out->scalars[k] != index)
            k++;
        if (k == TUTTI_CHAIN_SCALARS_MAX)
            return tutti_op_fail(node, TUTTI_UNSUPPORTED, "more than %d scalars in one kernel",
                                 TUTTI_CHAIN_SCALARS_MAX);
        if (k == out->n_scalars)
            out->scalars[out->n_scalars++] = (uint32_t)index;
    }
    return TUTTI_OK;
}

/* Writes the expression with what stands for RANDOM(stream), whose streams it collects. A stream
 * beyond the most has no array: its words are computed one by one. */
static void put_random(tutti_strbuf *text, const char *expr, tutti_chain_needs *out) {
    static const char call[] = "RANDOM(";
    for (const char *at; (at = strstr(expr, call)) != NULL;) {
        char *end;
        const uint32_t stream = (uint32_t)strtoul(at + sizeof call - 1, &end, 10);
        tutti_strbuf_append(text, expr, (size_t)(at - expr));
        expr = end + 1;
        out->random = true;
        int32_t k = 0;
        while (k < out->n_streams && out->streams[k] != stream)
            k++;
        if (k == out->n_streams && k < TUTTI_CHAIN_STREAMS_MAX)
            out->streams[out->n_streams++] = stream;
        if (out->words && k < TUTTI_CHAIN_STREAMS_MAX)
            tutti_strbuf_printf(text, "words%" PRIu32 "[word]", stream);
        else
            tutti_strbuf_printf(
                text, "random_word(ELEM_LO, ELEM_HI, %" PRIu32 "u, STEP, SEED_LO, SEED_HI)",
                stream);
    }
    tutti_strbuf_puts(text, expr);
}

/* True when the operand has one element for all of the result's axis. */
static bool is_broadcast(const tutti_shape *operand, const tutti_shape *shape, int32_t axis) {
    const int32_t own = axis - (shape->rank - operand->rank);
    if (axis == 0 && shape->batched)
        return !(own == 0 && operand->batched);
    return own < 0 || operand->dim[own] == 1;
}

/* An axis of extent 1 (the batch is none): whether it is broadcast makes no difference. */
static bool is_single(const tutti_shape *shape, int32_t axis) {
    return shape->dim[axis] == 1 && !(axis == 0 && shape->batched);
}

/* Writes the index, among the operand's elements over the result's axes before `end`, that belongs
 * to element `name` of those axes. Neighbouring axes with the same behaviour count as one. The
 * batch axis never needs its extent, being the first. */
static void put_index(tutti_strbuf *text, const tutti_shape *operand, const tutti_shape *shape,
                      int32_t end, const char *name) {
    struct {
        int64_t extent;
        bool broadcast;
    } groups[TUTTI_MAX_RANK];
    int32_t n = 0;
    for (int32_t i = 0; i < end; i++) {
        if (is_single(shape, i))
            continue;
        const bool broadcast = is_broadcast(operand, shape, i);
        if (n > 0 && groups[n - 1].broadcast == broadcast) {
            groups[n - 1].extent *= shape->dim[i];
        } else {
            groups[n].broadcast = broadcast;
            groups[n++].extent = shape->dim[i];
        }
    }
    int64_t inner = 1, stride = 1;
    bool first = true;
    for (int32_t g = n - 1; g >= 0; g--) {
        if (!groups[g].broadcast) {
            tutti_strbuf_printf(text, "%s%s", first ? "" : " + ", name);
            if (inner != 1)
                tutti_strbuf_printf(text, " / %" PRId64 "u", inner);
            /* The outermost group needs no modulus. */
            if (g != 0)
                tutti_strbuf_printf(text, " %% %" PRId64 "u", groups[g].extent);
            if (stride != 1)
                tutti_strbuf_printf(text, " * %" PRId64 "u", stride);
            stride *= groups[g].extent;
            first = false;
        }
        inner *= groups[g].extent;
    }
    if (first)
        tutti_strbuf_puts(text, "0u");
}

/* The elements of the last axes over which the operand is either there or broadcast throughout;
 * INT64_MAX when that is so over all axes. */
static int64_t uniform_columns(const tutti_shape *operand, const tutti_shape *shape) {
    int64_t count = 1;
    int32_t last = -1;
    for (int32_t i = shape->rank - 1; i >= 0; i--) {
        if (is_single(shape, i))
            continue;
        if (last >= 0 && is_broadcast(operand, shape, i) != is_broadcast(operand, shape, last))
            return count;
        last = i;
        count *= shape->dim[i];
    }
    return INT64_MAX;
}

/* The axis from which on the shape has `columns` elements, or -1. */
static int32_t axis_of(const tutti_shape *shape, int64_t columns) {
    int64_t count = 1;
    int32_t axis = shape->rank;
    while (axis > (shape->batched ? 1 : 0) && count < columns)
        count *= shape->dim[--axis];
    return count == columns ? axis : -1;
}

int64_t tutti_chain_columns(const tutti_node_info *node, const tutti_fused_chain *chain) {
    int64_t columns = INT64_MAX;
    for (int32_t k = 0; k < node->n_in; k++) {
        const int64_t own = uniform_columns(&node->in_type[k].shape, &chain->shapes[k]);
        columns = own < columns ? own : columns;
    }
    for (int32_t k = 0; k < node->n_in; k++)
        if (uniform_columns(&node->in_type[k].shape, &chain->shapes[k]) != INT64_MAX &&
            axis_of(&chain->shapes[k], columns) < 0)
            return 0;
    return columns == INT64_MAX ? 0 : columns;
}

void tutti_put_storage(tutti_strbuf *text, const tutti_node_info *node,
                       const tutti_fused_chain *chain, const tutti_device_info *device) {
    bool any = false;
    for (int32_t k = 0; k < node->n_in; k++)
        any |= tutti_dtype_is_narrow(node->in_type[k].dtype);
    for (int32_t m = 0; m < chain->n_members; m++)
        any |= tutti_dtype_is_narrow(chain->members[m].node.out_type[0].dtype);
    for (int32_t k = 0; k < node->n_out; k++)
        any |= tutti_dtype_is_narrow(node->out_type[k].dtype);
    if (any)
        tutti_strbuf_printf(text, "%s#include \"storage.clh\"\n",
                            device != NULL && (device->type & TUTTI_DEVICE_CPU) != 0
                                ? "#ifndef F16_BITS\n#define F16_BITS 1\n#endif\n"
                                : "");
}

static void put_load(tutti_strbuf *text, const tutti_node_info *node,
                     const tutti_fused_chain *chain, int32_t k, tutti_tensor base,
                     int64_t columns) {
    if (node->in[k].id == base.id) {
        tutti_strbuf_printf(text, "    const float x%" PRId32 " = out0[i];\n", k);
        return;
    }
    const tutti_shape *shape = &chain->shapes[k], *operand = &node->in_type[k].shape;
    const tutti_dtype dtype = node->in_type[k].dtype;
    const bool narrow = tutti_dtype_is_narrow(dtype);
    if (narrow)
        tutti_strbuf_printf(text, "    const float x%" PRId32 " = load_%s(in%" PRId32 ", ", k,
                            tutti_dtype_name(dtype), k);
    else
        tutti_strbuf_printf(text, "    const float x%" PRId32 " = %sin%" PRId32 "[", k,
                            dtype == TUTTI_I32 ? "(float)" : "", k);
    int32_t last = shape->rank - 1;
    while (last > 0 && is_single(shape, last))
        last--;
    const bool there = shape->rank > 0 && !is_broadcast(operand, shape, last);
    if (uniform_columns(operand, shape) == INT64_MAX) {
        tutti_strbuf_puts(text, there ? "i" : "0u");
    } else if (columns == 0) {
        put_index(text, operand, shape, shape->rank, "i");
    } else {
        tutti_strbuf_puts(text, there ? "(" : "");
        put_index(text, operand, shape, axis_of(shape, columns), "r");
        if (there)
            tutti_strbuf_printf(text, ") * %" PRId64 "u + x", columns);
    }
    tutti_strbuf_puts(text, narrow ? ");\n" : "];\n");
}

static tutti_status put_members(tutti_strbuf *body, const tutti_fused_chain *chain,
                                tutti_chain_needs *out) {
    char *expr = malloc(EXPR_MAX);
    if (expr == NULL)
        return tutti_fail_memory(EXPR_MAX, "an expression");
    tutti_status status = TUTTI_OK;
    for (int32_t m = 0; m < chain->n_members && status == TUTTI_OK; m++) {
        const tutti_fused_member *member = &chain->members[m];
        const tutti_op *op = member->node.op;
        char names[TUTTI_FUSE_INPUTS_MAX][16];
        const char *in[TUTTI_FUSE_INPUTS_MAX];
        if (op->expr == NULL || member->node.n_in > TUTTI_FUSE_INPUTS_MAX ||
            member->node.n_out != 1) {
            status = tutti_op_fail(&member->node, TUTTI_INTERNAL,
                                   "an elementwise op needs expr, one output and at most %d inputs",
                                   TUTTI_FUSE_INPUTS_MAX);
            break;
        }
        for (int32_t k = 0; k < member->node.n_in; k++) {
            const int32_t source = member->source[k];
            snprintf(names[k], sizeof names[k], "%c%" PRId32, source >= 0 ? 'x' : 'v',
                     source >= 0 ? source : -1 - source);
            in[k] = names[k];
        }
        status = op->expr(&member->node, in, expr, EXPR_MAX);
        if (status == TUTTI_OK)
            status = find_scalars(&member->node, expr, out);
        tutti_strbuf_printf(body, "    const float v%" PRId32 " = ", m);
        if (status == TUTTI_OK)
            put_random(body, expr, out);
        tutti_strbuf_puts(body, ";\n");
        out->random |= (op->flags & TUTTI_OP_RANDOM) != 0;
        out->inv_batch |= (op->flags & TUTTI_OP_INV_BATCH) != 0;
    }
    free(expr);
    return status;
}

/* FNV-1a. */
static uint32_t hash_of(const char *text) {
    uint32_t hash = 2166136261U;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    return hash;
}

void tutti_put_preludes(tutti_strbuf *text, const tutti_fused_chain *chain,
                        const tutti_chain_needs *needs) {
    if (needs->n_streams > 0)
        tutti_strbuf_puts(text, "#include \"philox.clh\"\n");
    for (int32_t m = 0; m < chain->n_members; m++) {
        const char *prelude = chain->members[m].node.op->expr_prelude;
        bool seen = prelude == NULL;
        for (int32_t k = 0; k < m && !seen; k++) {
            const char *other = chain->members[k].node.op->expr_prelude;
            seen = other != NULL && strcmp(prelude, other) == 0;
        }
        /* One kernel may get two chains. */
        const uint32_t hash = seen ? 0 : hash_of(prelude);
        if (!seen)
            tutti_strbuf_printf(
                text, "#ifndef PRELUDE_%08" PRIx32 "\n#define PRELUDE_%08" PRIx32 "\n%s\n#endif\n",
                hash, hash, prelude);
    }
}

void tutti_put_words(tutti_strbuf *text, const tutti_node_info *node,
                     const tutti_chain_needs *needs, int64_t most, const char *first,
                     const char *count) {
    if (needs->n_streams == 0)
        return;
    tutti_strbuf_printf(text,
                        "    const ulong words_first = "
                        "(((ulong)sample_hi << 32) | sample_lo) * %" PRId64 "ul + %s;\n"
                        "    const uint words_shift = (uint)words_first & 63u;\n",
                        tutti_extent_count(&node->out_type[0].shape).per_sample, first);
    for (int32_t k = 0; k < needs->n_streams; k++)
        tutti_strbuf_printf(text,
                            "    uint words%" PRIu32 "[%" PRId64 "];\n"
                            "    random_words(words%" PRIu32
                            ", words_first >> 6, (words_shift + %s + 63u) / 64u, %" PRIu32
                            "u, STEP, SEED_LO, SEED_HI);\n",
                            needs->streams[k], (most + 63 + 63) / 64 * 64, needs->streams[k], count,
                            needs->streams[k]);
}

void tutti_put_quads(tutti_strbuf *text, const tutti_node_info *node,
                     const tutti_chain_needs *needs) {
    tutti_strbuf_printf(text,
                        "    const ulong words_first = "
                        "(((ulong)sample_hi << 32) | sample_lo) * %" PRId64 "ul;\n"
                        "    const uint words_shift = (uint)words_first & 63u;\n",
                        tutti_extent_count(&node->out_type[0].shape).per_sample);
    for (int32_t k = 0; k < needs->n_streams; k++)
        tutti_strbuf_printf(
            text,
            "    const uint4 quad%" PRIu32 " = random_quad((words_first >> 6) * 16ul + id, %" PRIu32
            "u, STEP, SEED_LO, SEED_HI);\n"
            "    const uint words%" PRIu32 "[4] = {quad%" PRIu32 ".x, quad%" PRIu32
            ".y, quad%" PRIu32 ".z, quad%" PRIu32 ".w};\n",
            needs->streams[k], needs->streams[k], needs->streams[k], needs->streams[k],
            needs->streams[k], needs->streams[k], needs->streams[k]);
}

tutti_status tutti_put_values(tutti_strbuf *text, const tutti_node_info *node,
                              const tutti_fused_chain *chain, tutti_tensor base, int64_t columns,
                              tutti_chain_needs *out_needs) {
    tutti_strbuf members = {0};
    const tutti_status status = put_members(&members, chain, out_needs);
    if (out_needs->random)
        tutti_strbuf_printf(text,
                            "    const ulong element = "
                            "(((ulong)sample_hi << 32) | sample_lo) * %" PRId64 "ul + i;\n"
                            "    const uint ELEM_LO = (uint)element;\n"
                            "    const uint ELEM_HI = (uint)(element >> 32);\n",
                            tutti_extent_count(&node->out_type[0].shape).per_sample);
    for (int32_t k = 0; k < node->n_in; k++)
        put_load(text, node, chain, k, base, columns);
    tutti_strbuf_append(text, members.text == NULL ? "" : members.text, members.length);
    text->failed |= members.failed;
    tutti_strbuf_free(&members);
    return status;
}

void tutti_put_store(tutti_strbuf *text, const tutti_node_info *node, int32_t output,
                     const char *index, const char *value) {
    const tutti_dtype dtype = node->out_type[output].dtype;
    if (tutti_dtype_is_narrow(dtype))
        tutti_strbuf_printf(text, "    store_%s(out%" PRId32 ", %s, %s);\n",
                            tutti_dtype_name(dtype), output, index, value);
    else
        tutti_strbuf_printf(text, "    out%" PRId32 "[%s] = %s;\n", output, index, value);
}

tutti_status tutti_put_body(tutti_strbuf *text, const tutti_node_info *node,
                            const tutti_fused_chain *chain, tutti_tensor base, int64_t columns,
                            tutti_chain_needs *out_needs) {
    const tutti_status status = tutti_put_values(text, node, chain, base, columns, out_needs);
    for (int32_t m = 0; m < chain->n_members; m++) {
        char value[16];
        snprintf(value, sizeof value, "v%" PRId32, m);
        if (chain->members[m].output >= 0)
            tutti_put_store(text, node, chain->members[m].output, "i", value);
    }
    return status;
}
