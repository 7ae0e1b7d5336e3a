/* Every step-th element along an axis, from begin on. */
#include "op/slice.h"

#include <inttypes.h>

#include "base/status.h"
#include "op/copy.h"

tutti_tensor tutti_slice(tutti_graph *g, tutti_tensor x, int32_t axis, int64_t begin, int64_t end,
                         int64_t step) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    const int32_t at = axis < 0 ? axis + shape.rank : axis;
    const bool exists = at >= 0 && at < shape.rank;
    char text[TUTTI_SHAPE_TEXT];
    if (x.id == 0 || (exists && begin == 0 && end == TUTTI_END && step == 1))
        return x;
    tutti_slice_attr attr = {axis, 1, 0, 1, 1};
    /* The op refuses an axis that is not there, or that is the batch. */
    if (exists && !(shape.batched && at == 0)) {
        attr.extent = shape.dim[at];
        attr.begin = begin < 0 ? begin + attr.extent : begin;
        const int64_t stop = end == TUTTI_END ? attr.extent : end < 0 ? end + attr.extent : end;
        if (attr.begin < 0 || attr.begin >= stop || stop > attr.extent || step < 1)
            return tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE,
                                                    "slice: x is %s: from %" PRId64 " to %" PRId64
                                                    " by %" PRId64 " along axis %" PRId32
                                                    ": expected 0 <= begin < end <= %" PRId64
                                                    " and a step of at least 1",
                                                    tutti_shape_text(&shape, text), attr.begin,
                                                    stop, step, at, attr.extent));
        attr.count = (stop - attr.begin - 1) / step + 1;
        attr.step = attr.count > 1 ? step : 1;
        if (attr.count == attr.extent)
            return x;
    }
    return tutti_op_apply1(g, &tutti_op_slice, &x, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_slice_attr *attr = node->attr;
    const tutti_type *x = &node->in_type[0];
    const int32_t axis = (int32_t)attr->axis;
    char text[TUTTI_SHAPE_TEXT];
    tutti_status status = tutti_axis_check(node, "x", &x->shape, axis);
    if (status != TUTTI_OK)
        return status;
    const tutti_axis_view view = tutti_axis_view_of(&x->shape, axis);
    if (attr->extent != view.extent.base || attr->begin < 0 || attr->count < 1 || attr->step < 1 ||
        attr->step > attr->extent || attr->begin + (attr->count - 1) * attr->step >= attr->extent)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s: %" PRId64 " elements from %" PRId64 " by %" PRId64
                             " of %" PRId64 " do not lie within axis %" PRId32,
                             tutti_shape_text(&x->shape, text), attr->count, attr->begin,
                             attr->step, attr->extent, view.axis);
    out->type = (tutti_type){x->dtype, tutti_axis_with(&x->shape, axis, attr->count)};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return (tutti_cost){.bytes = 8.0 * (double)tutti_shape_count(&node->out_type[0].shape, n)};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_slice_attr *attr = node->attr;
    const tutti_axis_view view = tutti_axis_view_of(&node->in_type[0].shape, (int32_t)attr->axis);
    tutti_copy copy = {.outer = view.outer,
                       .k = attr->count,
                       .length = view.inner,
                       .from_outer = attr->extent * view.inner,
                       .from_k = attr->step * view.inner,
                       .from_base = attr->begin * view.inner,
                       .to_outer = attr->count * view.inner,
                       .to_k = view.inner};
    if (attr->step == 1) {
        copy.length *= copy.k;
        copy.k = 1;
    }
    tutti_copy_launch(device, out, tutti_lowering_candidate(out, "copy"), node->in[0], node->out[0],
                      &copy);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_slice_attr *attr = call->node->attr;
    const tutti_axis_view view =
        tutti_axis_view_of(&call->node->in_type[0].shape, (int32_t)attr->axis);
    const int64_t outer = tutti_extent_value(view.outer, call->run->n);
    const uint32_t *x = call->in[0];
    uint32_t *y = call->out[0];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < attr->count; k++)
            for (int64_t i = 0; i < view.inner; i++)
                *y++ = x[(o * attr->extent + attr->begin + k * attr->step) * view.inner + i];
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_slice_grad, dout, 1, node->attr,
                                 sizeof(tutti_slice_attr));
    return tutti_graph_status(graph);
}

#define SLICE(name, ...) static const tutti_slice_attr name = {__VA_ARGS__}
SLICE(vector, 0, 37, 3, 20, 1);
SLICE(vector_step, 0, 37, 1, 12, 3);
SLICE(middle, 1, 7, 2, 4, 1);
SLICE(middle_step, 1, 7, 0, 4, 2);
SLICE(last, -1, 5, 4, 1, 1);
SLICE(last_step, -1, 9, 1, 3, 3);
SLICE(beyond, 1, 4, 2, 3, 1);
SLICE(no_axis, 3, 4, 0, 1, 1);
SLICE(batch, 0, 1, 0, 1, 1);
#define CASE(text, tag, dims, ...)                                                                 \
    { .label = text, .n_in = 1, .in = {{.rank = dims, .dim = {__VA_ARGS__}}}, .attr = &(tag) }
static const tutti_op_example examples[] = {
    CASE("vector", vector, 1, 37),
    CASE("vector by 3", vector_step, 1, 37),
    CASE("middle", middle, 3, TUTTI_BATCH, 7, 3),
    CASE("middle by 2", middle_step, 3, TUTTI_BATCH, 7, 5),
    CASE("last", last, 3, 3, 4, 5),
    CASE("last by 3", last_step, 2, TUTTI_BATCH, 9),
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 7}, .hi = 99}},
     .attr = &middle},
    {.label = "beyond",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 4}}},
     .attr = &beyond,
     .refused = "slice: x is 3x4: 3 elements from 2 by 1 of 4 do not lie within axis 1"},
    {.label = "no axis",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 4}}},
     .attr = &no_axis,
     .refused = "slice: x is 3x4: there is no axis 3"},
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &batch,
     .refused = "slice: x is Nx4: axis 0 is the batch"},
};

const tutti_op tutti_op_slice = {
    .name = "slice",
    .summary = "every step-th element along an axis, from begin on",
    .shapes = "x (… A …) -> (… count …)",
    .options = "axis, not the batch; begin, count, step >= 1",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(tutti_slice_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
