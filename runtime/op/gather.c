/* Elements of x along an axis, chosen by an index. As torch.gather, and an index that has only extents
 * of 1 before or behind the axis serves all elements there (a row of a table per index). An index
 * outside gives NaN. */
#include <inttypes.h>
#include <math.h>

#include "op/copy.h"
#include "op/gather.h"

tutti_tensor tutti_gather(tutti_graph *g, tutti_tensor x, int32_t axis, tutti_tensor index) {
    const tutti_gather_attr attr = {axis, 0};
    return tutti_op_apply1(g, &tutti_op_gather, (tutti_tensor[]){x, index}, 2, &attr, sizeof attr);
}

static int32_t axis_of(const tutti_node_info *node) {
    return (int32_t)((const tutti_gather_attr *)node->attr)->axis;
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const int32_t axis = axis_of(node);
    const tutti_type *x = &node->in_type[0], *index = &node->in_type[1];
    tutti_status status = tutti_axis_check(node, "x", &x->shape, axis);
    if (status == TUTTI_OK)
        status = tutti_index_check(node, "x", &x->shape, index, axis);
    if (status != TUTTI_OK)
        return status;
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    const int32_t at = tutti_axis_view_of(&x->shape, axis).axis;
    tutti_shape shape = x->shape;
    shape.dim[at] = index->shape.dim[at];
    if (at == 0)
        shape.batched = index->shape.batched;
    out->type = (tutti_type){TUTTI_F32, shape};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return (tutti_cost){.bytes = 8.0 * (double)tutti_shape_count(&node->out_type[0].shape, n) +
                                 4.0 * (double)tutti_shape_count(&node->in_type[1].shape, n)};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const int32_t axis = axis_of(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const tutti_shape *x = &node->in_type[0].shape, *index = &node->in_type[1].shape;
    const tutti_axis_view view = tutti_axis_view_of(x, axis);
    const tutti_index_steps steps = tutti_index_steps_of(x, index, axis);
    const tutti_extent chosen = tutti_axis_view_of(index, axis).extent;
    const tutti_extent rows = tutti_extent_multiply(view.outer, chosen);
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, "plain"), "gather.cl",
                               is_cpu ? "gather_rows" : "gather_items", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, view.extent);
    tutti_launch_i32(out, launch, chosen);
    tutti_launch_i32(out, launch, tutti_extent_const(view.inner));
    tutti_launch_i32(out, launch, steps.outer);
    tutti_launch_i32(out, launch, tutti_extent_const(steps.extent));
    tutti_launch_i32(out, launch, tutti_extent_const(steps.inner));
    if (is_cpu) {
        const int64_t block = view.inner < TUTTI_CPU_CHUNK ? TUTTI_CPU_CHUNK / view.inner : 1;
        tutti_launch_i32(out, launch, tutti_extent_const(block));
        tutti_launch_range(launch, rows, block, 1);
    } else {
        tutti_launch_range(launch, tutti_extent_times(rows, view.inner), 1, 64);
    }
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_node_info *node = call->node;
    const tutti_shape *x = &node->in_type[0].shape, *index = &node->in_type[1].shape;
    const tutti_axis_view view = tutti_axis_view_of(x, axis_of(node));
    const tutti_axis_view by = tutti_axis_view_of(index, axis_of(node));
    const int64_t n = call->run->n;
    const int64_t outer = tutti_extent_value(view.outer, n);
    const int64_t chosen = tutti_extent_value(by.extent, n);
    /* Extents of 1 repeat. */
    const int64_t index_outer = tutti_extent_value(by.outer, n);
    float *y = call->out[0];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t j = 0; j < chosen; j++)
            for (int64_t i = 0; i < view.inner; i++) {
                const int32_t at =
                    ((const int32_t *)
                         call->in[1])[(o % index_outer * chosen + j) * by.inner + i % by.inner];
                *y++ = at < 0 || at >= view.extent.base
                           ? NAN
                           : ((const float *)
                                  call->in[0])[(o * view.extent.base + at) * view.inner + i];
            }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_axis_view view = tutti_axis_view_of(&node->in_type[0].shape, axis_of(node));
    const tutti_gather_attr attr = {view.axis, view.extent.base};
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_scatter_add,
                                 (tutti_tensor[]){node->in[1], dout[0]}, 2, &attr, sizeof attr);
    return tutti_graph_status(graph);
}

static const tutti_gather_attr first = {0, 0}, second = {1, 0}, last = {-1, 0};
#define INDEX(low, high, dims, ...)                                                                \
    { .dtype = TUTTI_I32, .rank = dims, .dim = {__VA_ARGS__}, .lo = low, .hi = high }
static const tutti_op_example examples[] = {
    {.label = "vector",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {7}}, INDEX(0, 7, 1, 20)},
     .attr = &first},
    {.label = "middle",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 4, 3}}, INDEX(0, 4, 3, TUTTI_BATCH, 6, 3)},
     .attr = &second},
    {.label = "one of each row",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 10}}, INDEX(0, 10, 2, TUTTI_BATCH, 1)},
     .attr = &last},
    {.label = "rows of a table",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {9, 5}}, INDEX(0, 9, 2, TUTTI_BATCH, 1)},
     .attr = &first},
    {.label = "the same for all samples",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 4, 3}}, INDEX(0, 4, 3, 1, 2, 1)},
     .attr = &second},
    {.label = "outside",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {3, 4}, .no_grad = true}, INDEX(-4, 9, 2, 3, 11)},
     .attr = &last},
    {.label = "no fit",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {3, 4}}, INDEX(0, 4, 2, 2, 4)},
     .attr = &second,
     .refused = "gather: x is 3x4, the index is 2x4: beside axis 1 expected the same extents"},
    {.label = "f32 index",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {4}}, {.rank = 1, .dim = {4}}},
     .attr = &first,
     .refused = "gather: the index is f32, expected i32"},
    {.label = "i32",
     .n_in = 2,
     .in = {INDEX(0, 4, 1, 4), INDEX(0, 4, 1, 4)},
     .attr = &first,
     .refused = "gather: x is i32, expected f32"},
    {.label = "the batch",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}, INDEX(0, 4, 2, 2, 4)},
     .attr = &first,
     .refused = "gather: x is Nx4: axis 0 is the batch"},
};

const tutti_op tutti_op_gather = {
    .name = "gather",
    .summary = "elements of x along an axis, chosen by an index",
    .shapes = "x (… A …), index i32 (… J …) -> (… J …)",
    .options = "axis, not the batch of x",
    .source = "torch.gather; ONNX GatherElements",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .attr_size = sizeof(tutti_gather_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
