/* The sums of the source's elements at each place of an axis. As torch.scatter_add, and an index that
 * has only extents of 1 before or behind the axis serves all elements there. No atomics: each place
 * has one owner, which adds in the source's order. An index outside makes all places that it could
 * have meant NaN. */
#include <inttypes.h>
#include <math.h>

#include "op/axis.h"
#include "op/gather.h"

tutti_tensor tutti_scatter_add(tutti_graph *g, tutti_tensor x, int32_t axis, tutti_tensor index,
                               tutti_tensor src) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    const int32_t at = axis < 0 ? axis + shape.rank : axis;
    /* The op refuses an axis that is not there. */
    const tutti_gather_attr attr = {axis, at >= 0 && at < shape.rank ? shape.dim[at] : 1};
    if (x.id == 0)
        return x;
    const tutti_tensor sums = tutti_op_apply1(g, &tutti_op_scatter_add,
                                              (tutti_tensor[]){index, src}, 2, &attr, sizeof attr);
    return tutti_add(g, x, sums);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_gather_attr *attr = node->attr;
    const int32_t axis = (int32_t)attr->axis;
    const tutti_type *index = &node->in_type[0], *src = &node->in_type[1];
    char text[TUTTI_SHAPE_TEXT], text_index[TUTTI_SHAPE_TEXT];
    tutti_status status = tutti_index_check(node, "the source", &src->shape, index, axis);
    if (status != TUTTI_OK)
        return status;
    if (src->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "the source is %s, expected f32",
                             tutti_dtype_name(src->dtype));
    if (attr->extent < 1)
        return tutti_op_fail(node, TUTTI_SHAPE, "an extent of %" PRId64 ", expected at least 1",
                             attr->extent);
    const int32_t at = tutti_axis_view_of(&src->shape, axis).axis;
    const bool over_batch = at == 0 && src->shape.batched;
    if (src->shape.dim[at] != index->shape.dim[at] ||
        (at == 0 && src->shape.batched != index->shape.batched))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "the source is %s, the index is %s: expected equal extents along "
                             "axis %" PRId32,
                             tutti_shape_text(&src->shape, text),
                             tutti_shape_text(&index->shape, text_index), at);
    out->type = (tutti_type){TUTTI_F32, tutti_axis_with(&src->shape, axis, attr->extent)};
    out->batch_sum = over_batch;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double in = (double)tutti_shape_count(&node->in_type[1].shape, n);
    return (tutti_cost){.flops = in,
                        .bytes = 8.0 * in +
                                 4.0 * (double)tutti_shape_count(&node->out_type[0].shape, n)};
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const int32_t axis = (int32_t)((const tutti_gather_attr *)node->attr)->axis;
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const tutti_shape *index = &node->in_type[0].shape, *src = &node->in_type[1].shape;
    const tutti_axis_view from = tutti_axis_view_of(src, axis);
    const tutti_axis_view to = tutti_axis_view_of(&node->out_type[0].shape, axis);
    const tutti_index_steps steps = tutti_index_steps_of(src, index, axis);
    /* A work-item owns `width` neighbouring elements at a part of the places. Parts, each of which
     * reads the whole index, only keep the device busy where there are few columns. */
    const int64_t width = is_cpu ? 256 : 1, columns = ceil_div(to.inner, width);
    const int64_t work = tutti_extent_value(to.outer, TUTTI_TYPICAL_BATCH) * columns;
    const int64_t wanted = (is_cpu ? 2 : 128) * (int64_t)device->compute_units;
    int64_t parts = ceil_div(wanted, work);
    parts = parts > to.extent.base ? to.extent.base : parts;
    const tutti_extent items = tutti_extent_times(to.outer, parts * columns);
    tutti_launch *launch = tutti_candidate_launch(out, tutti_lowering_candidate(out, "owners"),
                                                  "scatter_add.cl", "scatter_add", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, items);
    tutti_launch_i32(out, launch, from.extent);
    tutti_launch_i32(out, launch, to.extent);
    tutti_launch_i32(out, launch, tutti_extent_const(to.inner));
    tutti_launch_i32(out, launch, steps.outer);
    tutti_launch_i32(out, launch, tutti_extent_const(steps.extent));
    tutti_launch_i32(out, launch, tutti_extent_const(steps.inner));
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_i32(out, launch, tutti_extent_const(width));
    tutti_launch_range(launch, items, 1, is_cpu ? 1 : 64);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_node_info *node = call->node;
    const int32_t axis = (int32_t)((const tutti_gather_attr *)node->attr)->axis;
    const tutti_axis_view by = tutti_axis_view_of(&node->in_type[0].shape, axis);
    const tutti_axis_view from = tutti_axis_view_of(&node->in_type[1].shape, axis);
    const int64_t n = call->run->n,
                  places = tutti_axis_view_of(&node->out_type[0].shape, axis).extent.base;
    const int64_t outer = tutti_extent_value(from.outer, n), inner = from.inner;
    const int64_t index_outer = tutti_extent_value(by.outer, n);
    const int64_t chosen = tutti_extent_value(from.extent, n);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t a = 0; a < places; a++)
            for (int64_t i = 0; i < inner; i++) {
                double sum = 0;
                for (int64_t j = 0; j < chosen; j++) {
                    const int32_t at =
                        ((const int32_t *)
                             call->in[0])[(o % index_outer * chosen + j) * by.inner + i % by.inner];
                    if (at < 0 || at >= places)
                        sum = NAN;
                    else if (at == a)
                        sum += (double)((const float *)call->in[1])[(o * chosen + j) * inner + i];
                }
                ((float *)call->out[0])[(o * places + a) * inner + i] = (float)sum;
            }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_gather_attr *attr = node->attr;
    if (want[1])
        din[1] = tutti_gather(graph, dout[0], (int32_t)attr->axis, node->in[0]);
    return tutti_graph_status(graph);
}

static const tutti_gather_attr first = {0, 7}, second = {1, 4}, last = {-1, 10}, table = {0, 9},
                               single = {0, 1}, none = {0, 0};
#define INDEX(low, high, dims, ...)                                                                \
    { .dtype = TUTTI_I32, .rank = dims, .dim = {__VA_ARGS__}, .lo = low, .hi = high }
static const tutti_op_example examples[] = {
    {.label = "vector",
     .n_in = 2,
     .in = {INDEX(0, 7, 1, 20), {.rank = 1, .dim = {20}}},
     .attr = &first},
    {.label = "middle",
     .n_in = 2,
     .in = {INDEX(0, 4, 3, TUTTI_BATCH, 6, 3), {.rank = 3, .dim = {TUTTI_BATCH, 6, 3}}},
     .attr = &second},
    {.label = "last",
     .n_in = 2,
     .in = {INDEX(0, 10, 2, TUTTI_BATCH, 3), {.rank = 2, .dim = {TUTTI_BATCH, 3}}},
     .attr = &last},
    {.label = "rows of a table",
     .n_in = 2,
     .in = {INDEX(0, 9, 2, TUTTI_BATCH, 1), {.rank = 2, .dim = {TUTTI_BATCH, 5}}},
     .attr = &table},
    {.label = "the same for all samples",
     .n_in = 2,
     .in = {INDEX(0, 4, 3, 1, 6, 1), {.rank = 3, .dim = {TUTTI_BATCH, 6, 3}}},
     .attr = &second},
    {.label = "one place",
     .n_in = 2,
     .in = {INDEX(0, 1, 1, 30), {.rank = 1, .dim = {30}, .lo = 0.5F, .hi = 1}},
     .attr = &single},
    {.label = "sometimes outside",
     .n_in = 2,
     .in = {INDEX(-1, 8, 2, 3, 4), {.rank = 2, .dim = {3, 4}, .no_grad = true}},
     .attr = &second},
    {.label = "no fit",
     .n_in = 2,
     .in = {INDEX(0, 4, 2, 3, 4), {.rank = 2, .dim = {3, 5}}},
     .attr = &second,
     .refused = "scatter_add: the source is 3x5, the index is 3x4: expected equal extents along"},
    {.label = "beside",
     .n_in = 2,
     .in = {INDEX(0, 4, 2, 2, 4), {.rank = 2, .dim = {3, 4}}},
     .attr = &second,
     .refused = "scatter_add: the source is 3x4, the index is 2x4: beside axis 1 expected"},
    {.label = "one index for all samples",
     .n_in = 2,
     .in = {INDEX(0, 4, 2, 1, 5), {.rank = 2, .dim = {TUTTI_BATCH, 5}}},
     .attr = &table,
     .refused = "scatter_add: the source is Nx5, the index is 1x5: expected equal extents along"},
    {.label = "no places",
     .n_in = 2,
     .in = {INDEX(0, 4, 1, 3), {.rank = 1, .dim = {3}}},
     .attr = &none,
     .refused = "scatter_add: an extent of 0, expected at least 1"},
    {.label = "i32",
     .n_in = 2,
     .in = {INDEX(0, 4, 1, 4), INDEX(0, 4, 1, 4)},
     .attr = &first,
     .refused = "scatter_add: the source is i32, expected f32"},
};

const tutti_op tutti_op_scatter_add = {
    .name = "scatter_add",
    .summary = "sums of a source's elements at each place of an axis, the places given by an index",
    .shapes = "index i32 (… J …), source (… J …) -> (… A …)",
    .options = "axis, extent A",
    .source = "torch.scatter_add",
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
