/* Kernels generated from the expressions of elementwise ops. The text depends on nothing but the
 * expressions and the broadcast patterns, so that equal chains share one program, whatever the
 * batch.
 *
 * Two forms. Flat: a work-item takes element i of the result, and finds those of broadcast operands
 * by division. Rows: a work-item takes column x of row r, and no division is needed where operands
 * are whole rows or one value per row; CPUs then read contiguous vectors. PoCL 3.1 makes vectors only
 * where no work-item leaves early for its column (6 to 20 times the time otherwise), so that a
 * work-group's width divides the columns. GPUs hide the division behind the memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "graph/fuse.h"
#include "graph/lowering.h"

#define EXPR_MAX      4096
#define SCALARS_MAX   16
#define ENTRY_MAX     64
#define LOCAL_SIZE    256
#define COLUMNS_MIN   16 /* of the rows form */
#define LOCAL_ROW_MIN 32 /* of the rows form, where rows are longer */

/* The kernel's work besides its operands. */
typedef struct needs {
    uint32_t scalars[SCALARS_MAX];
    int32_t n_scalars;
    bool random, inv_batch;
} needs;

static uint32_t host_seed_lo(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)run->seed;
}

static uint32_t host_seed_hi(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)(run->seed >> 32);
}

static uint32_t host_step(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)run->step;
}

static uint32_t host_sample_lo(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)(uint64_t)run->sample_begin;
}

static uint32_t host_sample_hi(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)((uint64_t)run->sample_begin >> 32);
}

static float host_inv_batch(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (float)(1.0 / (double)run->n_global);
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Finds the identifiers S<index> in an expression. */
static tutti_status find_scalars(const tutti_node_info *node, const char *expr, needs *out) {
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
        if (k == SCALARS_MAX)
            return tutti_op_fail(node, TUTTI_UNSUPPORTED, "more than %d scalars in one kernel",
                                 SCALARS_MAX);
        if (k == out->n_scalars)
            out->scalars[out->n_scalars++] = (uint32_t)index;
    }
    return TUTTI_OK;
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

/* How the kernel is laid out over the result. */
typedef struct form {
    int32_t axis;    /* rows: the first axis of the columns; flat: 0 */
    int64_t columns; /* rows; flat: 0 */
    int64_t local[2];
} form;

/* Work-items of a group along a row of `columns`: all of them, or the most that divide it, or the
 * most that there can be when those are too few. */
static int64_t row_local(int64_t columns, int64_t most) {
    for (int64_t local = columns < most ? columns : most; local >= LOCAL_ROW_MIN; local--)
        if (columns % local == 0)
            return local;
    return columns < most ? columns : most;
}

/* The rows form where it pays: columns are the last axes, over which each operand is either there
 * or broadcast throughout. */
static form choose_form(const tutti_node_info *node, const tutti_device_info *device) {
    const tutti_shape *shape = &node->out_type[0].shape;
    form f = {.local = {LOCAL_SIZE, 1}};
    if (device != NULL)
        while (f.local[0] > 1 &&
               (f.local[0] > device->max_work_group || f.local[0] > device->max_work_item[0]))
            f.local[0] /= 2;
    if (device == NULL || (device->type & TUTTI_DEVICE_CPU) == 0)
        return f;
    int32_t axis = 0;
    for (int32_t k = 0; k < node->n_in; k++) {
        int32_t last = -1;
        for (int32_t i = 0; i < shape->rank; i++) {
            if (is_single(shape, i))
                continue;
            const tutti_shape *operand = &node->in_type[k].shape;
            if (last >= 0 && i > axis &&
                is_broadcast(operand, shape, i) != is_broadcast(operand, shape, last))
                axis = i;
            last = i;
        }
    }
    int64_t columns = 1;
    for (int32_t i = axis; i < shape->rank; i++)
        columns *= shape->dim[i];
    if (axis == 0 || columns < COLUMNS_MIN)
        return f;
    const int64_t local = row_local(columns, f.local[0]);
    f.axis = axis;
    f.columns = columns;
    f.local[1] = f.local[0] / local;
    if (f.local[1] > device->max_work_item[1])
        f.local[1] = 1;
    f.local[0] = local;
    return f;
}

static void put_load(tutti_strbuf *text, const tutti_node_info *node, int32_t k, const form *f) {
    const tutti_shape *shape = &node->out_type[0].shape, *operand = &node->in_type[k].shape;
    tutti_strbuf_printf(text, "    const float x%" PRId32 " = %sin%" PRId32 "[", k,
                        node->in_type[k].dtype == TUTTI_I32 ? "(float)" : "", k);
    bool full = true, columns = false;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (is_single(shape, i))
            continue;
        const bool broadcast = is_broadcast(operand, shape, i);
        full &= !broadcast;
        columns |= !broadcast && i >= f->axis;
    }
    if (full) {
        tutti_strbuf_puts(text, "i");
    } else if (f->columns == 0) {
        put_index(text, operand, shape, shape->rank, "i");
    } else {
        tutti_strbuf_puts(text, columns ? "(" : "");
        put_index(text, operand, shape, f->axis, "r");
        if (columns)
            tutti_strbuf_printf(text, ") * %" PRId64 "u + x", f->columns);
    }
    tutti_strbuf_puts(text, "];\n");
}

/* The bodies: loads are in `body` first, so that an output may share memory with an operand. */
static tutti_status put_members(const tutti_fused_chain *chain, tutti_strbuf *body, needs *out) {
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
        tutti_strbuf_printf(body, "    const float v%" PRId32 " = %s;\n", m, expr);
        out->random |= (op->flags & TUTTI_OP_RANDOM) != 0;
        out->inv_batch |= (op->flags & TUTTI_OP_INV_BATCH) != 0;
    }
    free(expr);
    return status;
}

static void put_preludes(const tutti_fused_chain *chain, tutti_strbuf *text) {
    for (int32_t m = 0; m < chain->n_members; m++) {
        const char *prelude = chain->members[m].node.op->expr_prelude;
        bool seen = prelude == NULL;
        for (int32_t k = 0; k < m && !seen; k++) {
            const char *other = chain->members[k].node.op->expr_prelude;
            seen = other != NULL && strcmp(prelude, other) == 0;
        }
        if (!seen)
            tutti_strbuf_printf(text, "%s\n", prelude);
    }
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
        if (!is_word(*c))
            *c = '_';
}

static const char *c_type(tutti_dtype dtype) {
    return dtype == TUTTI_I32 ? "int" : "float";
}

static tutti_status put_kernel(const tutti_node_info *node, const tutti_fused_chain *chain,
                               const char *entry, const form *f, tutti_strbuf *text, needs *out) {
    const tutti_shape *shape = &node->out_type[0].shape;
    tutti_strbuf body = {0};
    tutti_status status = put_members(chain, &body, out);
    put_preludes(chain, text);
    tutti_strbuf_printf(text,
                        "__kernel __attribute__((reqd_work_group_size(%" PRId64 ", %" PRId64
                        ", 1))) void %s(\n",
                        f->local[0], f->local[1], entry);
    for (int32_t k = 0; k < node->n_in; k++)
        tutti_strbuf_printf(text, "    __global const %s *in%" PRId32 ",\n",
                            c_type(node->in_type[k].dtype), k);
    for (int32_t k = 0; k < node->n_out; k++)
        tutti_strbuf_printf(text, "    __global float *out%" PRId32 ",\n", k);
    for (int32_t k = 0; k < out->n_scalars; k++)
        tutti_strbuf_printf(text, "    const float S%" PRIu32 ",\n", out->scalars[k]);
    if (out->inv_batch)
        tutti_strbuf_puts(text, "    const float INV_BATCH,\n");
    if (out->random)
        tutti_strbuf_puts(text, "    const uint SEED_LO, const uint SEED_HI, const uint STEP,\n"
                                "    const uint sample_lo, const uint sample_hi,\n");
    char guard[48] = "";
    if (f->columns > 0 && f->columns % f->local[0] != 0)
        snprintf(guard, sizeof guard, "x_id >= %" PRId64 "u || ", f->columns);
    if (f->columns > 0)
        tutti_strbuf_printf(text,
                            "    const int rows) {\n"
                            "    const size_t x_id = get_global_id(0), r_id = get_global_id(1);\n"
                            "    if (%sr_id >= (size_t)rows)\n"
                            "        return;\n"
                            "    const uint x = (uint)x_id, r = (uint)r_id;\n"
                            "    const uint i = r * %" PRId64 "u + x;\n",
                            guard, f->columns);
    else
        tutti_strbuf_puts(text, "    const int total) {\n"
                                "    const size_t id = get_global_id(0);\n"
                                "    if (id >= (size_t)total)\n"
                                "        return;\n"
                                "    const uint i = (uint)id;\n");
    if (out->random) {
        const int64_t per_sample = tutti_extent_count(shape).per_sample;
        tutti_strbuf_printf(text,
                            "    const ulong element = "
                            "(((ulong)sample_hi << 32) | sample_lo) * %" PRId64 "ul + i;\n"
                            "    const uint ELEM_LO = (uint)element;\n"
                            "    const uint ELEM_HI = (uint)(element >> 32);\n",
                            per_sample);
    }
    for (int32_t k = 0; k < node->n_in; k++)
        put_load(text, node, k, f);
    tutti_strbuf_append(text, body.text == NULL ? "" : body.text, body.length);
    for (int32_t m = 0; m < chain->n_members; m++)
        if (chain->members[m].output >= 0)
            tutti_strbuf_printf(text, "    out%" PRId32 "[i] = v%" PRId32 ";\n",
                                chain->members[m].output, m);
    tutti_strbuf_puts(text, "}\n");
    if (status == TUTTI_OK && (body.failed || text->failed))
        status = tutti_fail_memory(0, "a generated kernel");
    tutti_strbuf_free(&body);
    return status;
}

tutti_status tutti_chain_lower(const tutti_node_info *node, const tutti_fused_chain *chain,
                               const tutti_device_info *device, tutti_lowering *out) {
    for (int32_t k = 0; k < node->n_out; k++)
        if (node->out_type[k].dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_UNSUPPORTED, "an elementwise op must give f32");
    const form f = choose_form(node, device);
    char entry[ENTRY_MAX];
    entry_name(chain, entry);
    tutti_strbuf text = {0};
    needs extra = {0};
    tutti_status status = put_kernel(node, chain, entry, &f, &text, &extra);
    if (status != TUTTI_OK) {
        tutti_strbuf_free(&text);
        return status;
    }
    tutti_candidate *candidate = tutti_lowering_candidate(out, "generated");
    tutti_launch *launch = tutti_candidate_launch_source(out, candidate, text.text, entry, "");
    tutti_strbuf_free(&text);
    for (int32_t k = 0; k < node->n_in; k++)
        tutti_launch_tensor(out, launch, node->in[k]);
    for (int32_t k = 0; k < node->n_out; k++)
        tutti_launch_tensor(out, launch, node->out[k]);
    for (int32_t k = 0; k < extra.n_scalars; k++)
        tutti_launch_scalar(out, launch, extra.scalars[k]);
    if (extra.inv_batch)
        tutti_launch_host_f32(out, launch, host_inv_batch);
    if (extra.random) {
        tutti_launch_host_u32(out, launch, host_seed_lo);
        tutti_launch_host_u32(out, launch, host_seed_hi);
        tutti_launch_host_u32(out, launch, host_step);
        tutti_launch_host_u32(out, launch, host_sample_lo);
        tutti_launch_host_u32(out, launch, host_sample_hi);
    }
    tutti_extent total = tutti_extent_count(&node->out_type[0].shape);
    if (f.columns > 0) {
        total = (tutti_extent){total.base / f.columns, total.per_sample / f.columns};
        tutti_launch_range(launch, tutti_extent_const(f.columns), 1, f.local[0]);
    }
    tutti_launch_i32(out, launch, total);
    tutti_launch_range(launch, total, 1, f.columns > 0 ? f.local[1] : f.local[0]);
    return tutti_lowering_status(out);
}

tutti_status tutti_elementwise_lower(const tutti_node_info *node, const tutti_device_info *device,
                                     tutti_lowering *out) {
    int32_t source[TUTTI_FUSE_INPUTS_MAX];
    for (int32_t k = 0; k < TUTTI_FUSE_INPUTS_MAX; k++)
        source[k] = k;
    const tutti_fused_member member = {.node = *node, .source = source, .output = 0};
    const tutti_fused_chain chain = {.members = &member, .n_members = 1, .label = node->op->name};
    return tutti_chain_lower(node, &chain, device, out);
}
