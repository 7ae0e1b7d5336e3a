/* Tensors one behind the other along an axis. */
#include <inttypes.h>

#include "op/copy.h"

/* Inputs of one node; more make a tree. */
#define CONCAT_MAX 16

typedef struct concat_attr {
    int32_t axis; /* negative counts from the end */
} concat_attr;

tutti_tensor tutti_concat(tutti_graph *g, int32_t n, const tutti_tensor *x, int32_t axis) {
    if (n > CONCAT_MAX) {
        const tutti_tensor halves[] = {tutti_concat(g, n / 2, x, axis),
                                       tutti_concat(g, n - n / 2, x + n / 2, axis)};
        return tutti_concat(g, 2, halves, axis);
    }
    const concat_attr attr = {axis};
    return tutti_op_apply1(g, &tutti_op_concat, x, n, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const int32_t axis = ((const concat_attr *)node->attr)->axis;
    const tutti_type *first = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT], text_first[TUTTI_SHAPE_TEXT];
    tutti_status status = tutti_axis_check(node, "input 0", &first->shape, axis);
    if (status != TUTTI_OK)
        return status;
    const tutti_shape expected = tutti_axis_with(&first->shape, axis, 1);
    const int32_t at = tutti_axis_view_of(&first->shape, axis).axis;
    int64_t extent = 0;
    for (int32_t i = 0; i < node->n_in; i++) {
        const tutti_type *x = &node->in_type[i];
        if (x->dtype != first->dtype)
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "input 0 is %s, input %" PRId32 " is %s: expected one type",
                                 tutti_dtype_name(first->dtype), i, tutti_dtype_name(x->dtype));
        tutti_shape own = x->shape;
        if (own.rank == expected.rank)
            own.dim[at] = 1;
        if (!tutti_shape_equal(&own, &expected))
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "input 0 is %s, input %" PRId32
                                 " is %s: expected equal extents beside axis %" PRId32,
                                 tutti_shape_text(&first->shape, text_first), i,
                                 tutti_shape_text(&x->shape, text), at);
        extent += x->shape.dim[at];
    }
    out->type = (tutti_type){first->dtype, tutti_axis_with(&first->shape, axis, extent)};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return (tutti_cost){.bytes = 8.0 * (double)tutti_shape_count(&node->out_type[0].shape, n)};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const int32_t axis = ((const concat_attr *)node->attr)->axis;
    const tutti_axis_view whole = tutti_axis_view_of(&node->out_type[0].shape, axis);
    tutti_candidate *candidate = tutti_lowering_candidate(out, "copy");
    int64_t begin = 0;
    for (int32_t i = 0; i < node->n_in; i++) {
        const int64_t extent = node->in_type[i].shape.dim[whole.axis];
        const tutti_copy copy = {.outer = whole.outer,
                                 .k = 1,
                                 .length = extent * whole.inner,
                                 .from_outer = extent * whole.inner,
                                 .to_outer = whole.extent.base * whole.inner,
                                 .to_base = begin * whole.inner};
        tutti_copy_launch(device, out, candidate, node->in[i], node->out[0], &copy);
        begin += extent;
    }
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const int32_t axis = ((const concat_attr *)call->node->attr)->axis;
    const tutti_axis_view whole = tutti_axis_view_of(&call->node->out_type[0].shape, axis);
    const int64_t outer = tutti_extent_value(whole.outer, call->run->n);
    uint32_t *y = call->out[0];
    for (int64_t o = 0; o < outer; o++)
        for (int32_t i = 0; i < call->node->n_in; i++) {
            const int64_t count = call->node->in_type[i].shape.dim[whole.axis] * whole.inner;
            for (int64_t k = 0; k < count; k++)
                *y++ = ((const uint32_t *)call->in[i])[o * count + k];
        }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const int32_t axis = ((const concat_attr *)node->attr)->axis;
    int64_t begin = 0;
    for (int32_t i = 0; i < node->n_in; i++) {
        const int64_t extent = tutti_axis_view_of(&node->in_type[i].shape, axis).extent.base;
        if (want[i])
            din[i] = tutti_slice(graph, dout[0], axis, begin, begin + extent, 1);
        begin += extent;
    }
    return tutti_graph_status(graph);
}

static const concat_attr first = {0}, second = {1}, last = {-1}, no_axis = {2};
static const tutti_op_example examples[] = {
    {.label = "one", .n_in = 1, .in = {{.rank = 1, .dim = {7}}}, .attr = &first},
    {.label = "vectors",
     .n_in = 3,
     .in = {{.rank = 1, .dim = {7}}, {.rank = 1, .dim = {1}}, {.rank = 1, .dim = {12}}},
     .attr = &first},
    {.label = "channels",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 2, 5}}, {.rank = 3, .dim = {TUTTI_BATCH, 3, 5}}},
     .attr = &second},
    {.label = "last",
     .n_in = 4,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.rank = 2, .dim = {TUTTI_BATCH, 1}},
            {.rank = 2, .dim = {TUTTI_BATCH, 17}},
            {.rank = 2, .dim = {TUTTI_BATCH, 2}}},
     .attr = &last},
    {.label = "labels",
     .n_in = 2,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 3}, .hi = 99},
            {.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 4}, .hi = 99}},
     .attr = &second},
    {.label = "no fit",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}}, {.rank = 2, .dim = {4, 3}}},
     .attr = &second,
     .refused = "concat: input 0 is Nx3, input 1 is 4x3: expected equal extents beside axis 1"},
    {.label = "ranks",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {2, 3}}, {.rank = 1, .dim = {3}}},
     .attr = &first,
     .refused = "concat: input 0 is 2x3, input 1 is 3: expected equal extents beside axis 0"},
    {.label = "types",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {3}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {3}, .hi = 3}},
     .attr = &first,
     .refused = "concat: input 0 is f32, input 1 is i32: expected one type"},
    {.label = "no axis",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {2, 3}}},
     .attr = &no_axis,
     .refused = "concat: input 0 is 2x3: there is no axis 2"},
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}}},
     .attr = &first,
     .refused = "concat: input 0 is Nx3: axis 0 is the batch"},
};

const tutti_op tutti_op_concat = {
    .name = "concat",
    .summary = "tensors one behind the other along an axis",
    .shapes = "1 to 16 tensors (… A_i …) -> (… sum of A_i …)",
    .options = "axis, not the batch",
    .n_in_min = 1,
    .n_in_max = CONCAT_MAX,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(concat_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
