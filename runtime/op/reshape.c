/* The same elements under another shape; no kernel runs. */
#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "op/elementwise.h"

tutti_tensor tutti_reshape_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape) {
    const tutti_shape from = tutti_tensor_type(graph, x).shape;
    if (x.id != 0 && tutti_shape_equal(&from, shape))
        return x;
    return tutti_op_apply1(graph, &tutti_op_reshape, &x, 1, shape, sizeof *shape);
}

/* Replaces TUTTI_BATCH and the one extent of 0 by what they stand for. */
static tutti_status resolve(const tutti_shape *from, int32_t rank, const int64_t *dims,
                            tutti_shape *out) {
    int32_t open = -1;
    int64_t known = 1, filled[TUTTI_MAX_RANK] = {0};
    char text[TUTTI_SHAPE_TEXT];
    if (rank > 0 && dims == NULL)
        return tutti_shape_make(rank, dims, out);
    for (int32_t d = 0; d < rank && d < TUTTI_MAX_RANK; d++) {
        filled[d] = dims[d];
        if (dims[d] == 0 && open >= 0)
            return tutti_fail(TUTTI_SHAPE,
                              "extents %" PRId32 " and %" PRId32 " are both 0, only one may be",
                              open, d);
        if (dims[d] == 0)
            open = d;
        else if (dims[d] > 0 && dims[d] <= INT64_MAX / known)
            known *= dims[d];
    }
    const int64_t count = tutti_shape_sample_count(from);
    const bool batched = rank > 0 && dims[0] == TUTTI_BATCH;
    if (open >= 0)
        filled[open] = count % known == 0 ? count / known : 1;
    TUTTI_TRY(tutti_shape_make(rank, filled, out));
    if (batched != from->batched)
        return tutti_fail(TUTTI_SHAPE, "%s %s, so the first extent must%s be TUTTI_BATCH",
                          tutti_shape_text(from, text),
                          from->batched ? "is batched" : "has no batch", batched ? " not" : "");
    /* Rows per sample: 1, or more when axes merge into the leading one. */
    if (batched && open < 0 && count % known == 0)
        out->dim[0] = count / known;
    return TUTTI_OK;
}

tutti_tensor tutti_reshape(tutti_graph *g, tutti_tensor x, int32_t rank, const int64_t *dims) {
    const tutti_shape from = tutti_tensor_type(g, x).shape;
    tutti_shape shape;
    memset(&shape, 0, sizeof shape);
    if (x.id == 0)
        return x;
    const tutti_status status = resolve(&from, rank, dims, &shape);
    if (status != TUTTI_OK)
        return tutti_graph_reject(g, tutti_fail_context(status, "reshape"));
    return tutti_reshape_to(g, x, &shape);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_shape *from = &node->in_type[0].shape, *shape = node->attr;
    char a[TUTTI_SHAPE_TEXT], b[TUTTI_SHAPE_TEXT];
    if (from->batched != shape->batched ||
        tutti_shape_sample_count(from) != tutti_shape_sample_count(shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "%s has %" PRId64 " elements%s, %s has %" PRId64,
                             tutti_shape_text(from, a), tutti_shape_sample_count(from),
                             from->batched ? " per sample" : "", tutti_shape_text(shape, b),
                             tutti_shape_sample_count(shape));
    out[0].type = (tutti_type){node->in_type[0].dtype, *shape};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)node;
    (void)n;
    return (tutti_cost){0};
}

static void ref(const tutti_ref_call *call) {
    const tutti_type *type = &call->node->in_type[0];
    const int64_t count = tutti_shape_count(&type->shape, call->run->n);
    if (call->out[0] != call->in[0])
        memcpy(call->out[0], call->in[0], (size_t)count * tutti_dtype_size_bytes(type->dtype));
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_reshape_to(graph, dout[0], &node->in_type[0].shape);
    return tutti_graph_status(graph);
}

static const tutti_shape flat = {1, false, {12}};
static const tutti_shape flat_samples = {2, true, {1, 12}};
static const tutti_shape merged = {2, true, {3, 4}};
static const tutti_shape split = {3, true, {1, 3, 4}};
static const tutti_op_example examples[] = {
    {.label = "flat", .n_in = 1, .in = {{.rank = 3, .dim = {2, 3, 2}}}, .attr = &flat},
    {.label = "flat samples",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 4}}},
     .attr = &flat_samples},
    {.label = "merged",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 4}}},
     .attr = &merged},
    {.label = "split", .n_in = 1, .in = {{.rank = 2, .dim = {TUTTI_BATCH, 12}}}, .attr = &split},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 12}, .hi = 9, .no_grad = true}},
     .attr = &split},
    {.label = "no fit",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {2, 5}}},
     .attr = &flat,
     .refused = "reshape: 2x5 has 10 elements, 12 has 12"},
    {.label = "no fit in samples",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}},
     .attr = &flat_samples,
     .refused = "reshape: Nx5 has 5 elements per sample, Nx12 has 12"},
};

const tutti_op tutti_op_reshape = {
    .name = "reshape",
    .summary = "the same elements under another shape",
    .shapes = "x of any rank -> dims, with as many elements per sample",
    .options = "dims; one may be 0, which stands for what is left",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ALIAS | TUTTI_OP_LINEAR,
    .attr_size = sizeof(tutti_shape),
    .infer = infer,
    .cost = cost,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
