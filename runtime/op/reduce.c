#include "op/reduce.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/status.h"
#include "op/axis.h"

tutti_status tutti_reduce_axes(const char *name, const tutti_shape *shape, int32_t n_axes,
                               const int32_t *axes, uint32_t *out) {
    char text[TUTTI_SHAPE_TEXT];
    if (n_axes < 0 || (n_axes > 0 && axes == NULL))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s: %" PRId32 " axes%s, expected 0 or more",
                          name, n_axes, n_axes > 0 ? " at NULL" : "");
    *out = n_axes == 0 ? (1u << shape->rank) - 1 : 0;
    for (int32_t i = 0; i < n_axes; i++) {
        const int32_t axis = axes[i] < 0 ? axes[i] + shape->rank : axes[i];
        if (axis < 0 || axis >= shape->rank)
            return tutti_fail(TUTTI_SHAPE, "%s: x is %s: there is no axis %" PRId32, name,
                              tutti_shape_text(shape, text), axes[i]);
        if ((*out >> axis & 1) != 0)
            return tutti_fail(TUTTI_SHAPE, "%s: x is %s: axis %" PRId32 " is named twice", name,
                              tutti_shape_text(shape, text), axis);
        *out |= 1u << axis;
    }
    return TUTTI_OK;
}

tutti_tensor tutti_reduce(tutti_graph *graph, const tutti_op *op, tutti_tensor x, int32_t n_axes,
                          const int32_t *axes, bool keep_dims) {
    const tutti_shape shape = tutti_tensor_type(graph, x).shape;
    tutti_reduce_attr attr = {0, keep_dims};
    if (x.id != 0) {
        tutti_status status = tutti_reduce_axes(op->name, &shape, n_axes, axes, &attr.axes);
        if (status != TUTTI_OK)
            return tutti_graph_reject(graph, status);
    }
    return tutti_op_apply1(graph, op, &x, 1, &attr, sizeof attr);
}

bool tutti_reduce_batch(const tutti_shape *shape, uint32_t axes) {
    return shape->batched && (axes & 1) != 0;
}

tutti_shape tutti_reduce_shape(const tutti_shape *shape, uint32_t axes, bool keep_dims) {
    tutti_shape out = {.batched = shape->batched && (axes & 1) == 0};
    for (int32_t i = 0; i < shape->rank; i++) {
        const bool reduced = (axes >> i & 1) != 0;
        if (!reduced || keep_dims)
            out.dim[out.rank++] = reduced ? 1 : shape->dim[i];
    }
    return out;
}

tutti_status tutti_reduce_infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_reduce_attr *attr = node->attr;
    const tutti_type *x = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT];
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    if (attr->axes >> x->shape.rank != 0)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s: an axis beyond %" PRId32 " is reduced",
                             tutti_shape_text(&x->shape, text), x->shape.rank - 1);
    out->type =
        (tutti_type){TUTTI_F32, tutti_reduce_shape(&x->shape, attr->axes, attr->keep_dims != 0)};
    out->batch_sum = tutti_reduce_batch(&x->shape, attr->axes);
    return TUTTI_OK;
}

tutti_cost tutti_reduce_cost(const tutti_node_info *node, int64_t n) {
    const double in = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){in, 4 * (in + (double)tutti_shape_count(&node->out_type[0].shape, n))};
}

/* Neighbouring axes that are both reduced or both kept, as one. */
typedef struct group {
    tutti_extent extent;
    bool reduced;
} group;

static int32_t make_groups(const tutti_shape *shape, uint32_t axes, group *out) {
    int32_t count = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        const tutti_extent extent = tutti_extent_dim(shape, i);
        const bool reduced = (axes >> i & 1) != 0;
        if (extent.base == 1 && extent.per_sample == 0)
            continue;
        if (count > 0 && out[count - 1].reduced == reduced)
            out[count - 1].extent = tutti_extent_multiply(out[count - 1].extent, extent);
        else
            out[count++] = (group){extent, reduced};
    }
    return count;
}

typedef struct stage {
    tutti_extent outer, r, inner; /* x is outer x r x inner */
    int64_t splits;
} stage;

typedef struct operand {
    bool is_scratch;
    tutti_tensor tensor;
    uint32_t scratch;
} operand;

static void add_operand(tutti_lowering *out, tutti_launch *launch, operand o) {
    if (o.is_scratch)
        tutti_launch_scratch(out, launch, o.scratch);
    else
        tutti_launch_tensor(out, launch, o.tensor);
}

#define COLUMNS_MOST 1024 /* as in reduce.clh */

/* Of a work-item of reduce_columns: the longest that leaves each compute unit two, and at most what the
 * kernel has room for. Long ones read memory in order. */
static int64_t column_width(const tutti_device_info *device, const stage *s) {
    const int64_t units = 2 * (int64_t)device->compute_units;
    const int64_t outer = tutti_extent_value(s->outer, TUTTI_TYPICAL_BATCH) * s->splits;
    const int64_t inner = tutti_extent_value(s->inner, TUTTI_TYPICAL_BATCH);
    const int64_t items = outer < units ? (units + outer - 1) / outer : 1;
    const int64_t width = inner / items / 64 * 64;
    return width < 64 ? 64 : width > COLUMNS_MOST ? COLUMNS_MOST : width;
}

static void add_launch(const tutti_node_info *node, const tutti_device_info *device,
                       tutti_lowering *out, tutti_candidate *candidate, const stage *s,
                       operand from, operand to) {
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const bool flat = s->inner.base == 1 && s->inner.per_sample == 0;
    const int64_t r = tutti_extent_value(s->r, TUTTI_TYPICAL_BATCH) / s->splits;
    const int local = device->max_work_group < 128 ? (int)device->max_work_group : 128;
    /* Short rows are a work-item's work, unless it has a work-group to itself as on CPUs. */
    enum { ITEMS, GROUP, COLUMNS, ROW } kind = ITEMS;
    if (is_cpu)
        kind = !flat ? COLUMNS : r >= 16 ? ROW : ITEMS;
    else if (flat && r >= 64 && (local & (local - 1)) == 0)
        kind = GROUP;
    static const char *const entries[] = {"reduce_items", "reduce_group", "reduce_columns",
                                          "reduce_row"};
    char file[64];
    snprintf(file, sizeof file, "%s.cl", node->op->name);
    tutti_launch *launch =
        kind == GROUP
            ? tutti_candidate_launch(out, candidate, file, entries[kind], "-DLOCAL=%d", local)
            : tutti_candidate_launch(out, candidate, file, entries[kind], "%s", "");
    const tutti_extent rows = tutti_extent_times(s->outer, s->splits);
    add_operand(out, launch, from);
    add_operand(out, launch, to);
    tutti_launch_i32(out, launch, s->r);
    tutti_launch_i32(out, launch, s->inner);
    tutti_launch_i32(out, launch, tutti_extent_const(s->splits));
    tutti_launch_i32(out, launch, rows);
    if (!from.is_scratch)
        tutti_launch_prologue(out, launch);
    switch (kind) {
    case ITEMS:
        /* Along whichever of the two is long. */
        tutti_launch_range(launch, s->inner, 1, flat ? 1 : 64);
        tutti_launch_range(launch, rows, 1, flat ? 64 : 1);
        break;
    case GROUP:
        tutti_launch_range(launch, tutti_extent_times(rows, local), 1, local);
        break;
    case COLUMNS:
        tutti_launch_range(launch, s->inner, column_width(device, s), 1);
        tutti_launch_range(launch, rows, 1, 1);
        break;
    case ROW:
        tutti_launch_range(launch, rows, 1, 1);
        break;
    }
}

/* Parts to cut R in, so that few outputs do not leave compute units idle; each part stays long
 * enough to be worth a launch more. */
static int64_t choose_splits(const tutti_device_info *device, const stage *s) {
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int64_t outputs =
        tutti_extent_value(tutti_extent_multiply(s->outer, s->inner), TUTTI_TYPICAL_BATCH);
    const int64_t r = tutti_extent_value(s->r, TUTTI_TYPICAL_BATCH);
    const int64_t units = 4 * (int64_t)device->compute_units;
    const int64_t width = is_cpu ? COLUMNS_MOST : 64;
    const bool flat = s->inner.base == 1 && s->inner.per_sample == 0;
    const int64_t busy = flat ? outputs : (outputs + width - 1) / width;
    int64_t splits = (units + busy - 1) / busy;
    const int64_t shortest = flat ? (is_cpu ? 16384 : 2048) : (is_cpu ? 1024 : 64);
    if (splits > r / shortest)
        splits = r / shortest;
    return splits < 1 ? 1 : splits;
}

tutti_status tutti_reduce_lower(const tutti_node_info *node, const tutti_device_info *device,
                                tutti_lowering *out) {
    const tutti_reduce_attr *attr = node->attr;
    group groups[TUTTI_MAX_RANK];
    int32_t count = make_groups(&node->in_type[0].shape, attr->axes, groups);
    int32_t left = 0;
    for (int32_t i = 0; i < count; i++)
        left += groups[i].reduced;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "reduce");
    operand from = {.tensor = node->in[0]};
    const operand to = {.tensor = node->out[0]};
    /* Reduces the last group first; what lies behind it is kept and one group already. */
    tutti_extent inner = tutti_extent_const(1);
    if (left == 0)
        groups[count++] = (group){tutti_extent_const(1), true};
    for (int32_t i = count - 1; i >= 0; i--) {
        if (!groups[i].reduced) {
            inner = tutti_extent_multiply(inner, groups[i].extent);
            continue;
        }
        stage s = {tutti_extent_const(1), groups[i].extent, inner, 1};
        for (int32_t j = 0; j < i; j++)
            s.outer = tutti_extent_multiply(s.outer, groups[j].extent);
        if (left == 0) { /* nothing to reduce: a copy */
            s.inner = s.outer;
            s.outer = tutti_extent_const(1);
        }
        s.splits = choose_splits(device, &s);
        const tutti_extent outputs = tutti_extent_multiply(s.outer, s.inner);
        if (s.splits > 1) {
            const operand parts = {.is_scratch = true,
                                   .scratch = tutti_candidate_scratch(
                                       out, candidate, tutti_extent_times(outputs, 4 * s.splits))};
            add_launch(node, device, out, candidate, &s, from, parts);
            from = parts;
            s.r = tutti_extent_const(s.splits);
            s.splits = 1;
        }
        const bool last = left <= 1;
        const operand next = last ? to
                                  : (operand){.is_scratch = true,
                                              .scratch = tutti_candidate_scratch(
                                                  out, candidate, tutti_extent_times(outputs, 4))};
        add_launch(node, device, out, candidate, &s, from, next);
        from = next;
        if (last)
            break;
        left--;
    }
    return tutti_lowering_status(out);
}

/* Offset in x of the index-th element among the axes of `axes`, the others being 0. */
static int64_t offset_of(const tutti_shape *shape, int64_t n, uint32_t axes, int64_t index) {
    int64_t offset = 0, stride = 1;
    for (int32_t d = shape->rank - 1; d >= 0; d--) {
        const int64_t extent = d == 0 && shape->batched ? shape->dim[0] * n : shape->dim[d];
        if ((axes >> d & 1) != 0) {
            offset += index % extent * stride;
            index /= extent;
        }
        stride *= extent;
    }
    return offset;
}

void tutti_reduce_ref(const tutti_ref_call *call, double start, double (*fold)(double, double)) {
    const tutti_reduce_attr *attr = call->node->attr;
    const tutti_shape *shape = &call->node->in_type[0].shape;
    const int64_t n = call->run->n;
    const int64_t outputs = tutti_shape_count(&call->node->out_type[0].shape, n);
    const int64_t parts = outputs == 0 ? 0 : tutti_shape_count(shape, n) / outputs;
    const float *x = call->in[0];
    for (int64_t o = 0; o < outputs; o++) {
        const float *from = x + (parts == 0 ? 0 : offset_of(shape, n, ~attr->axes, o));
        double folded = start;
        for (int64_t i = 0; i < parts; i++)
            folded = fold(folded, (double)from[offset_of(shape, n, attr->axes, i)]);
        ((float *)call->out[0])[o] = (float)folded;
    }
}
