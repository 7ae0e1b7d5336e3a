/* The opposite of a slice: dy where it was taken from, 0 elsewhere. */
#include <inttypes.h>
#include <string.h>

#include "op/copy.h"
#include "op/slice.h"

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_slice_attr *attr = node->attr;
    const tutti_type *dy = &node->in_type[0];
    const int32_t axis = (int32_t)attr->axis;
    char text[TUTTI_SHAPE_TEXT];
    tutti_status status = tutti_axis_check(node, "dy", &dy->shape, axis);
    if (status != TUTTI_OK)
        return status;
    if (dy->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "dy is %s, expected f32",
                             tutti_dtype_name(dy->dtype));
    const tutti_axis_view view = tutti_axis_view_of(&dy->shape, axis);
    if (attr->count != view.extent.base || attr->begin < 0 || attr->step < 1 ||
        attr->step > attr->extent || attr->begin + (attr->count - 1) * attr->step >= attr->extent)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "dy is %s: %" PRId64 " elements to %" PRId64 " by %" PRId64
                             " of %" PRId64 " do not fit axis %" PRId32,
                             tutti_shape_text(&dy->shape, text), attr->count, attr->begin,
                             attr->step, attr->extent, view.axis);
    out->type = (tutti_type){TUTTI_F32, tutti_axis_with(&dy->shape, axis, attr->extent)};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return (tutti_cost){.bytes = 4.0 * (double)(tutti_shape_count(&node->in_type[0].shape, n) +
                                                tutti_shape_count(&node->out_type[0].shape, n))};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_slice_attr *attr = node->attr;
    const tutti_axis_view view = tutti_axis_view_of(&node->in_type[0].shape, (int32_t)attr->axis);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    /* Rows of the result: one per (outer, place along the axis), or per outer where dy is one piece
     * of them. */
    const bool whole = attr->step == 1;
    const int64_t k = whole ? 1 : attr->extent;
    const int64_t length = whole ? attr->extent * view.inner : view.inner;
    const int64_t shift = whole ? attr->begin * view.inner : 0;
    const int64_t dy_length = whole ? attr->count * view.inner : view.inner;
    const tutti_extent rows = tutti_extent_times(view.outer, k);
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, "spread"), "slice_grad.cl",
                               is_cpu ? "slice_grad_rows" : "slice_grad_items", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, rows);
    const int64_t values[] = {
        length, k,        whole ? 0 : attr->begin, whole ? 1 : attr->step, whole ? 1 : attr->count,
        shift,  dy_length};
    for (int32_t i = 0; i < TUTTI_COUNT(values); i++)
        tutti_launch_i32(out, launch, tutti_extent_const(values[i]));
    if (!is_cpu) {
        tutti_launch_range(launch, tutti_extent_times(rows, length), 1, 64);
        return tutti_lowering_status(out);
    }
    const int64_t block = length < TUTTI_CPU_CHUNK ? TUTTI_CPU_CHUNK / length : 1;
    tutti_launch_i32(out, launch, tutti_extent_const(block));
    tutti_launch_range(launch, rows, block, 1);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_slice_attr *attr = call->node->attr;
    const tutti_axis_view view =
        tutti_axis_view_of(&call->node->in_type[0].shape, (int32_t)attr->axis);
    const int64_t outer = tutti_extent_value(view.outer, call->run->n);
    const float *dy = call->in[0];
    float *dx = call->out[0];
    memset(dx, 0, (size_t)(outer * attr->extent * view.inner) * sizeof *dx);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < attr->count; k++)
            for (int64_t i = 0; i < view.inner; i++)
                dx[(o * attr->extent + attr->begin + k * attr->step) * view.inner + i] = *dy++;
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] =
            tutti_op_apply1(graph, &tutti_op_slice, dout, 1, node->attr, sizeof(tutti_slice_attr));
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
#define CASE(text, tag, dims, ...)                                                                 \
    { .label = text, .n_in = 1, .in = {{.rank = dims, .dim = {__VA_ARGS__}}}, .attr = &(tag) }
static const tutti_op_example examples[] = {
    CASE("vector", vector, 1, 20),
    CASE("vector by 3", vector_step, 1, 12),
    CASE("middle", middle, 3, TUTTI_BATCH, 4, 3),
    CASE("middle by 2", middle_step, 3, TUTTI_BATCH, 4, 5),
    CASE("last", last, 3, 3, 4, 1),
    CASE("last by 3", last_step, 2, TUTTI_BATCH, 3),
    {.label = "beyond",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 3}}},
     .attr = &beyond,
     .refused = "slice_grad: dy is 3x3: 3 elements to 2 by 1 of 4 do not fit axis 1"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {3, 4}, .hi = 9}},
     .attr = &middle,
     .refused = "slice_grad: dy is i32, expected f32"},
};

const tutti_op tutti_op_slice_grad = {
    .name = "slice_grad",
    .summary = "dy where a slice took it from, 0 elsewhere",
    .shapes = "dy (… count …) -> (… A …)",
    .options = "axis, not the batch; begin, count, step >= 1, extent A",
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
