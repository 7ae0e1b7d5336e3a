/* Kernels of elementwise chains, in one of two forms.
 *
 * Flat: element i of the result comes of those with the same index, and those of broadcast operands
 * are found by division. Rows: no division is needed where operands are whole rows or one value per
 * row. GPUs hide the division behind the memory, and have a work-item per element. On CPUs a
 * work-item takes a strip of elements in a loop, of which vectors are made: where work-items are
 * the loop, the one that makes sure that they are not too many masks every operation. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/status.h"
#include "graph/generate.h"

#define ENTRY_MAX   64
#define LOCAL_SIZE  256
#define COLUMNS_MIN 16 /* of the rows form */
#define STRIP       1024

/* How the kernel is laid out over the result. */
typedef struct form {
    int64_t columns; /* 0: flat */
    int64_t local;
    int64_t strip; /* elements, or columns, of a work-item on CPUs; else 0 */
    int64_t rows;  /* rows of a work-item */
} form;

/* The rows form where it pays. */
static form choose_form(const tutti_node_info *node, const tutti_fused_chain *chain,
                        const tutti_device_info *device) {
    form f = {.local = LOCAL_SIZE};
    if (device == NULL || (device->type & TUTTI_DEVICE_CPU) == 0) {
        while (device != NULL && f.local > 1 &&
               (f.local > device->max_work_group || f.local > device->max_work_item[0]))
            f.local /= 2;
        return f;
    }
    f.local = 1;
    f.strip = STRIP;
    const int64_t columns = tutti_chain_columns(node, chain);
    if (columns < COLUMNS_MIN)
        return f;
    f.columns = columns;
    f.strip = columns < 2 * STRIP ? columns : STRIP;
    f.rows = f.strip < STRIP ? STRIP / f.strip : 1;
    return f;
}

/* "tutti_add_relu": never the name of a built-in function. */
static void entry_name(const tutti_fused_chain *chain, char entry[ENTRY_MAX]) {
    size_t used = (size_t)snprintf(entry, ENTRY_MAX, "tutti");
    for (int32_t m = 0; m < chain->n_members && used < ENTRY_MAX - 1; m++) {
        const int wrote =
            snprintf(entry + used, ENTRY_MAX - used, "_%s", chain->members[m].node.op->name);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    for (char *c = entry; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
}

static tutti_status put_kernel(tutti_strbuf *text, const tutti_node_info *node,
                               const tutti_fused_chain *chain, const tutti_device_info *device,
                               const char *entry, const form *f, tutti_chain_needs *out_needs) {
    const tutti_tensor none = {0};
    tutti_strbuf body = {0};
    out_needs->words = true;
    const tutti_status status = tutti_put_body(&body, node, chain, none, f->columns, out_needs);
    tutti_put_storage(text, node, chain, device);
    tutti_put_preludes(text, chain, out_needs);
    tutti_strbuf_printf(text,
                        "%s__kernel __attribute__((reqd_work_group_size(%" PRId64
                        ", 1, 1))) void %s(\n    const int %s",
                        f->strip > 0 ? "#include \"loop.clh\"\n" : "", f->local, entry,
                        f->columns > 0 ? "rows" : "total");
    tutti_put_parameters(text, node, none, out_needs, ",\n    ", "", "");
    if (f->columns > 0) {
        tutti_strbuf_printf(text,
                            ") {\n"
                            "    const uint r_begin = (uint)get_global_id(1) * %" PRId64 "u;\n"
                            "    const uint r_end = min(r_begin + %" PRId64 "u, (uint)rows);\n",
                            f->rows, f->rows);
        if (f->strip == f->columns)
            tutti_strbuf_printf(text, "    const uint begin = 0u, end = %" PRId64 "u;\n",
                                f->columns);
        else
            tutti_strbuf_printf(text,
                                "    const uint begin = (uint)get_global_id(0) * %" PRId64 "u;\n"
                                "    const uint end = min(begin + %" PRId64 "u, %" PRId64 "u);\n",
                                f->strip, f->strip, f->columns);
        char first[64];
        snprintf(first, sizeof first, "(r_begin * %" PRId64 "u + begin)", f->columns);
        tutti_put_words(text, node, out_needs, f->rows * f->strip, first,
                        "(r_end - r_begin) * (end - begin)");
        tutti_strbuf_printf(text,
                            "    for (uint r = r_begin; r < r_end; r++)\n"
                            "    VECTOR_LOOP for (uint x = begin; x < end; x++) {\n"
                            "    const uint i = r * %" PRId64 "u + x;\n",
                            f->columns);
        if (out_needs->n_streams > 0)
            tutti_strbuf_printf(text, "    const uint word = words_shift + (i - %s);\n", first);
    } else if (f->strip > 0) {
        tutti_strbuf_printf(text,
                            ") {\n"
                            "    const uint begin = (uint)get_global_id(0) * %" PRId64 "u;\n"
                            "    const uint end = min(begin + %" PRId64 "u, (uint)total);\n",
                            f->strip, f->strip);
        tutti_put_words(text, node, out_needs, f->strip, "begin", "(end - begin)");
        tutti_strbuf_puts(text, "    VECTOR_LOOP for (uint i = begin; i < end; i++) {\n");
        if (out_needs->n_streams > 0)
            tutti_strbuf_puts(text, "    const uint word = words_shift + (i - begin);\n");
    } else if (out_needs->n_streams > 0) {
        tutti_strbuf_puts(text, ") {\n"
                                "    const uint id = (uint)get_global_id(0);\n");
        tutti_put_quads(text, node, out_needs);
        tutti_strbuf_puts(text, "    _Pragma(\"unroll\") for (uint word = 0; word < 4u; word++) {\n"
                                "    const uint i = id / 16u * 64u + id % 16u + 16u * word - "
                                "words_shift;\n"
                                "    if (i < (uint)total) {\n");
    } else {
        tutti_strbuf_puts(text, ") {\n"
                                "    const size_t id = get_global_id(0);\n"
                                "    if (id >= (size_t)total)\n"
                                "        return;\n"
                                "    const uint i = (uint)id;\n");
    }
    tutti_strbuf_append(text, body.text == NULL ? "" : body.text, body.length);
    tutti_strbuf_puts(text, f->strip > 0               ? "    }\n}\n"
                            : out_needs->n_streams > 0 ? "    }\n    }\n}\n"
                                                       : "}\n");
    text->failed |= body.failed;
    tutti_strbuf_free(&body);
    return status;
}

tutti_status tutti_chain_launch(const tutti_node_info *node, const tutti_fused_chain *chain,
                                const tutti_device_info *device, tutti_lowering *out,
                                tutti_candidate *candidate) {
    for (int32_t k = 0; k < node->n_out; k++)
        if (node->out_type[k].dtype == TUTTI_I32)
            return tutti_op_fail(node, TUTTI_UNSUPPORTED, "an elementwise op must not give i32");
    const form f = choose_form(node, chain, device);
    char entry[ENTRY_MAX];
    entry_name(chain, entry);
    tutti_strbuf text = {0};
    tutti_chain_needs needs = {0};
    tutti_status status = put_kernel(&text, node, chain, device, entry, &f, &needs);
    if (status == TUTTI_OK && text.failed)
        status = tutti_fail_memory(0, "a generated kernel");
    if (status != TUTTI_OK) {
        tutti_strbuf_free(&text);
        return status;
    }
    tutti_launch *launch = tutti_candidate_launch_source(out, candidate, text.text, entry, "");
    tutti_strbuf_free(&text);
    tutti_extent total = tutti_extent_count(&node->out_type[0].shape);
    const int64_t columns = f.columns;
    if (columns > 0) {
        total = (tutti_extent){total.base / columns, total.per_sample / columns};
        tutti_launch_range(launch, tutti_extent_const(columns), f.strip, 1);
    }
    if (f.strip > 0)
        tutti_launch_range(launch, total, columns > 0 ? f.rows : f.strip, f.local);
    else if (needs.n_streams > 0) /* the first and the last block of 64 may be there in part */
        tutti_launch_range(launch, (tutti_extent){total.base + 126, total.per_sample}, 4, f.local);
    else
        tutti_launch_range(launch, total, 1, f.local);
    tutti_launch_i32(out, launch, total);
    tutti_launch_chain(out, launch, node, (tutti_tensor){0}, &needs);
    return tutti_lowering_status(out);
}

tutti_status tutti_elementwise_lower(const tutti_node_info *node, const tutti_device_info *device,
                                     tutti_lowering *out) {
    tutti_single_chain single;
    const tutti_fused_chain chain = tutti_fused_chain_of(node, &single);
    return tutti_chain_launch(node, &chain, device, out,
                              tutti_lowering_candidate(out, "generated"));
}
