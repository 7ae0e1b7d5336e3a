/* Permutes axes; the batch stays first. */
#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "op/elementwise.h"
#include "op/permute.h"

typedef struct permute_attr {
    int32_t rank;
    int32_t perm[TUTTI_MAX_RANK]; /* axis i of the result is axis perm[i] of x */
} permute_attr;

tutti_tensor tutti_permute(tutti_graph *g, tutti_tensor x, int32_t rank, const int32_t *perm) {
    permute_attr attr = {.rank = rank};
    if (x.id == 0)
        return x;
    if (rank < 0 || rank > TUTTI_MAX_RANK)
        return tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE,
                                                "permute: rank is %" PRId32 ", must be 0 to %d",
                                                rank, TUTTI_MAX_RANK));
    if (rank > 0 && perm == NULL)
        return tutti_graph_reject(g, tutti_fail(TUTTI_INVALID_ARGUMENT,
                                                "permute: perm is NULL, expected %" PRId32 " axes",
                                                rank));
    if (rank > 0)
        memcpy(attr.perm, perm, (size_t)rank * sizeof *perm);
    return tutti_op_apply1(g, &tutti_op_permute, &x, 1, &attr, sizeof attr);
}

tutti_tensor tutti_permute_source(const tutti_graph *g, tutti_tensor x,
                                  int32_t perm[TUTTI_MAX_RANK]) {
    const int32_t rank = tutti_tensor_type(g, x).shape.rank;
    for (int32_t i = 0; i < TUTTI_MAX_RANK; i++)
        perm[i] = i;
    /* Refused when the node is made, by what reads it. */
    if (!tutti_graph_owns(g, x))
        return x;
    for (int32_t at; (at = tutti_graph_record(g, x)->node) >= 0;) {
        const tutti_node *node = &g->nodes[at];
        if (node->op != &tutti_op_permute)
            break;
        const permute_attr *attr = node->attr;
        for (int32_t i = 0; i < rank; i++)
            perm[i] = attr->perm[perm[i]];
        x = node->in[0];
    }
    return x;
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const permute_attr *attr = node->attr;
    const tutti_shape *from = &node->in_type[0].shape;
    tutti_shape shape = {.rank = from->rank, .batched = from->batched};
    char text[TUTTI_SHAPE_TEXT];
    uint32_t seen = 0;
    if (attr->rank != from->rank)
        return tutti_op_fail(node, TUTTI_SHAPE, "%s has %" PRId32 " axes, perm has %" PRId32,
                             tutti_shape_text(from, text), from->rank, attr->rank);
    for (int32_t i = 0; i < attr->rank; i++) {
        const int32_t axis = attr->perm[i];
        if (axis < 0 || axis >= attr->rank || (seen >> axis & 1) != 0)
            return tutti_op_fail(
                node, TUTTI_SHAPE,
                "perm[%" PRId32 "] is %" PRId32 "%s, expected each of 0 to %" PRId32 " once", i,
                axis, axis >= 0 && axis < attr->rank ? " again" : "", attr->rank - 1);
        seen |= 1U << axis;
        shape.dim[i] = from->dim[axis];
    }
    if (from->batched && attr->perm[0] != 0)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "perm[0] is %" PRId32 ", but the batch axis of %s must stay first",
                             attr->perm[0], tutti_shape_text(from, text));
    out[0].type = (tutti_type){node->in_type[0].dtype, shape};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return (tutti_cost){.bytes = 8.0 * (double)tutti_shape_count(&node->out_type[0].shape, n)};
}

/* Extents of the result and steps of the input along them, both with leading 1s up to six axes. */
static void layout(const tutti_node_info *node, int64_t *dim, int64_t *step) {
    const permute_attr *attr = node->attr;
    const tutti_shape *from = &node->in_type[0].shape;
    const int32_t lead = TUTTI_MAX_RANK - from->rank;
    int64_t steps[TUTTI_MAX_RANK] = {0}, s = 1;
    for (int32_t d = from->rank - 1; d >= 0; d--) {
        steps[d] = s;
        s *= from->dim[d];
    }
    for (int32_t d = 0; d < TUTTI_MAX_RANK; d++) {
        dim[d] = d < lead ? 1 : from->dim[attr->perm[d - lead]];
        step[d] = d < lead ? s : steps[attr->perm[d - lead]];
    }
}

#define LAYOUT_OPTIONS                                                                             \
    "-DD1=%" PRId64 " -DD2=%" PRId64 " -DD3=%" PRId64 " -DD4=%" PRId64 " -DD5=%" PRId64            \
    " -DS0=%" PRId64 " -DS1=%" PRId64 " -DS2=%" PRId64 " -DS3=%" PRId64 " -DS4=%" PRId64           \
    " -DS5=%" PRId64

/* The same with as few axes as there can be: those of one element left out, and neighbours of the result
 * that are neighbours in x made one. The batch is axis 0, the others are the last ones. */
static void merged_layout(const tutti_node_info *node, int64_t *dim, int64_t *step) {
    const tutti_shape *from = &node->in_type[0].shape;
    int64_t d[TUTTI_MAX_RANK], s[TUTTI_MAX_RANK];
    layout(node, d, s);
    for (int32_t i = 0; i < TUTTI_MAX_RANK; i++) {
        dim[i] = 1;
        step[i] = 0;
    }
    const int32_t batch = from->batched ? TUTTI_MAX_RANK - from->rank : -1;
    if (batch >= 0)
        step[0] = s[batch];
    int32_t at = TUTTI_MAX_RANK;
    for (int32_t i = TUTTI_MAX_RANK - 1; i > batch; i--) {
        if (d[i] == 1)
            continue;
        if (at < TUTTI_MAX_RANK && s[i] == step[at] * dim[at]) {
            dim[at] *= d[i];
        } else {
            dim[--at] = d[i];
            step[at] = s[i];
        }
    }
}

#define ROWS_ELEMENTS 1024 /* of a work-item that copies rows */

/* On CPUs: rows that stay together, or turned blocks of 16 x 16. */
static void lower_vectors(const tutti_node_info *node, tutti_lowering *out) {
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    int64_t d[TUTTI_MAX_RANK], s[TUTTI_MAX_RANK];
    merged_layout(node, d, s);
    if (d[5] < 16)
        return;
    if (s[5] == 1) {
        const tutti_extent rows = {count.base / d[5], count.per_sample / d[5]};
        const int64_t each = d[5] < ROWS_ELEMENTS ? ROWS_ELEMENTS / d[5] : 1;
        tutti_launch *launch =
            tutti_candidate_launch(out, tutti_lowering_candidate(out, "rows"), "permute.cl",
                                   "permute_rows", LAYOUT_OPTIONS " -DROWS=%" PRId64, d[1], d[2],
                                   d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5], each);
        tutti_launch_tensor(out, launch, node->in[0]);
        tutti_launch_tensor(out, launch, node->out[0]);
        tutti_launch_i32(out, launch, rows);
        tutti_launch_range(launch, rows, each, 1);
        return;
    }
    int64_t e[TUTTI_MAX_RANK], apart = d[5];
    memcpy(e, d, sizeof e);
    for (int32_t p = TUTTI_MAX_RANK - 2; p >= 0; apart *= d[p--]) {
        if (s[p] != 1 || d[p] < 16)
            continue;
        e[p] = 1;
        /* Long stretches of x, while what they make fits the first cache. */
        const int64_t strip = d[5] <= 64 ? 256 : 64;
        const int64_t size = d[p] * d[5], strips = (d[p] + strip - 1) / strip;
        const tutti_extent items = {count.base / size * strips, count.per_sample / size * strips};
        tutti_launch *launch = tutti_candidate_launch(
            out, tutti_lowering_candidate(out, "blocks"), "permute.cl", "permute_16",
            LAYOUT_OPTIONS " -DP=%" PRId64 " -DT=%" PRId64 " -DE1=%" PRId64 " -DE2=%" PRId64
                           " -DE3=%" PRId64 " -DE4=%" PRId64 " -DSTRIP=%" PRId64,
            d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5], d[p], apart, e[1],
            e[2], e[3], e[4], strip);
        tutti_launch_tensor(out, launch, node->in[0]);
        tutti_launch_tensor(out, launch, node->out[0]);
        tutti_launch_i32(out, launch, items);
        tutti_launch_range(launch, items, 1, 1);
        return;
    }
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const permute_attr *attr = node->attr;
    const tutti_shape *shape = &node->out_type[0].shape;
    const tutti_extent count = tutti_extent_count(shape);
    int64_t d[TUTTI_MAX_RANK], s[TUTTI_MAX_RANK];
    layout(node, d, s);

    /* First, for where nothing is measured. */
    if ((device->type & TUTTI_DEVICE_CPU) != 0)
        lower_vectors(node, out);

    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_lowering_candidate(out, "plain"), "permute.cl", "permute", LAYOUT_OPTIONS, d[1],
        d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5]);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_range(launch, count, 1, 64);

    bool swaps_last = attr->rank >= 2 && attr->perm[attr->rank - 2] == attr->rank - 1;
    for (int32_t i = 0; i < attr->rank - 2; i++)
        swaps_last = swaps_last && attr->perm[i] == i;
    if (!swaps_last || device->max_work_group < 256 || device->local_memory_bytes < 2048)
        return tutti_lowering_status(out);
    /* The matrices before the last two axes, as a function of the samples. */
    const int64_t size = d[4] * d[5];
    const tutti_extent matrices = {count.base / size, count.per_sample / size};
    launch = tutti_candidate_launch(out, tutti_lowering_candidate(out, "tile16"), "permute.cl",
                                    "permute_tile", LAYOUT_OPTIONS, d[1], d[2], d[3], d[4], d[5],
                                    s[0], s[1], s[2], s[3], s[4], s[5]);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_range(launch, tutti_extent_const(d[5]), 1, 16);
    tutti_launch_range(launch, tutti_extent_const(d[4]), 1, 16);
    tutti_launch_range(launch, matrices, 1, 1);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_node_info *node = call->node;
    const permute_attr *attr = node->attr;
    const tutti_shape *shape = &node->out_type[0].shape;
    const uint32_t *in = call->in[0];
    uint32_t *out = call->out[0];
    const int64_t count = tutti_shape_count(shape, call->run->n);
    for (int64_t e = 0; e < count; e++) {
        int64_t at[TUTTI_MAX_RANK] = {0}, rest = e, from = 0;
        for (int32_t i = shape->rank - 1; i > 0; i--) {
            at[attr->perm[i]] = rest % shape->dim[i];
            rest /= shape->dim[i];
        }
        if (shape->rank > 0)
            at[attr->perm[0]] = rest;
        for (int32_t i = 0; i < shape->rank; i++)
            from = (i == 0 ? 0 : from * node->in_type[0].shape.dim[i]) + at[i];
        out[e] = in[from];
    }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const permute_attr *attr = node->attr;
    int32_t inverse[TUTTI_MAX_RANK] = {0};
    for (int32_t i = 0; i < attr->rank; i++)
        inverse[attr->perm[i]] = i;
    if (want[0])
        din[0] = tutti_permute(graph, dout[0], attr->rank, inverse);
    return tutti_graph_status(graph);
}

static const permute_attr swap = {2, {1, 0}}, swap_last = {3, {0, 2, 1}}, heads = {4, {0, 2, 1, 3}},
                          last = {4, {0, 2, 3, 1}}, apart = {4, {3, 0, 2, 1}},
                          reversed = {6, {5, 4, 3, 2, 1, 0}}, none = {1, {0}}, twice = {2, {1, 1}},
                          scalar = {0, {0}};
static const tutti_op_example examples[] = {
    {.label = "matrix", .n_in = 1, .in = {{.rank = 2, .dim = {37, 18}}}, .attr = &swap},
    {.label = "batched",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 17, 5}}},
     .attr = &swap_last},
    {.label = "matrices", .n_in = 1, .in = {{.rank = 3, .dim = {3, 16, 32}}}, .attr = &swap_last},
    {.label = "heads",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 3, 2, 5}}},
     .attr = &heads},
    {.label = "channels last",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 18, 5, 17}}},
     .attr = &last},
    {.label = "rows",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 3, 2, 19}}},
     .attr = &heads},
    {.label = "turned apart",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {2, 17, 3, 18}}},
     .attr = &apart},
    {.label = "reversed",
     .n_in = 1,
     .in = {{.rank = 6, .dim = {2, 3, 4, 1, 5, 2}}},
     .attr = &reversed},
    {.label = "none", .n_in = 1, .in = {{.rank = 1, .dim = {TUTTI_BATCH}}}, .attr = &none},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}, .attr = &scalar},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {3, 4}, .hi = 99, .no_grad = true}},
     .attr = &swap},
    {.label = "batch moved",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &swap,
     .refused = "permute: perm[0] is 1, but the batch axis of Nx4 must stay first"},
    {.label = "twice",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 4}}},
     .attr = &twice,
     .refused = "permute: perm[1] is 1 again, expected each of 0 to 1 once"},
    {.label = "rank",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {3, 4, 5}}},
     .attr = &swap,
     .refused = "permute: 3x4x5 has 3 axes, perm has 2"},
};

const tutti_op tutti_op_permute = {
    .name = "permute",
    .summary = "x with its axes permuted",
    .shapes = "x (any) -> x with its axes in another order",
    .options = "perm; the batch axis stays first",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(permute_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
