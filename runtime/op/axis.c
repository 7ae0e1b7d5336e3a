#include "op/axis.h"

#include <inttypes.h>

tutti_extent tutti_extent_multiply(tutti_extent a, tutti_extent b) {
    return (tutti_extent){a.base * b.base, a.per_sample * b.base + a.base * b.per_sample};
}

tutti_extent tutti_extent_times(tutti_extent a, int64_t factor) {
    return (tutti_extent){a.base * factor, a.per_sample * factor};
}

tutti_axis_view tutti_axis_view_of(const tutti_shape *shape, int32_t axis) {
    tutti_axis_view view = {
        .axis = axis < 0 ? axis + shape->rank : axis, .outer = tutti_extent_const(1), .inner = 1};
    for (int32_t d = 0; d < view.axis; d++)
        view.outer = tutti_extent_multiply(view.outer, tutti_extent_dim(shape, d));
    view.extent = tutti_extent_dim(shape, view.axis);
    for (int32_t d = view.axis + 1; d < shape->rank; d++)
        view.inner *= shape->dim[d];
    return view;
}

tutti_shape tutti_axis_with(const tutti_shape *shape, int32_t axis, int64_t extent) {
    tutti_shape out = *shape;
    const int32_t at = axis < 0 ? axis + shape->rank : axis;
    out.dim[at] = extent;
    if (at == 0)
        out.batched = false;
    return out;
}

static tutti_status check_exists(const tutti_node_info *node, const char *what,
                                 const tutti_shape *shape, int32_t axis) {
    char text[TUTTI_SHAPE_TEXT];
    if (axis < -shape->rank || axis >= shape->rank)
        return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s: there is no axis %" PRId32, what,
                             tutti_shape_text(shape, text), axis);
    return TUTTI_OK;
}

tutti_status tutti_axis_check(const tutti_node_info *node, const char *what,
                              const tutti_shape *shape, int32_t axis) {
    char text[TUTTI_SHAPE_TEXT];
    tutti_status status = check_exists(node, what, shape, axis);
    if (status == TUTTI_OK && shape->batched && (axis == 0 || axis == -shape->rank))
        return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                             "%s is %s: axis 0 is the batch, whose samples are on several devices",
                             what, tutti_shape_text(shape, text));
    return status;
}

/* Extents begin to end - 1 of the index: those of x, or all 1. */
static bool fits(const tutti_shape *x, const tutti_shape *index, int32_t begin, int32_t end,
                 bool *same) {
    bool ones = true;
    *same = true;
    for (int32_t d = begin; d < end; d++) {
        const bool x_batch = d == 0 && x->batched, index_batch = d == 0 && index->batched;
        *same = *same && x->dim[d] == index->dim[d] && x_batch == index_batch;
        ones = ones && index->dim[d] == 1 && !index_batch;
    }
    return *same || ones;
}

tutti_status tutti_index_check(const tutti_node_info *node, const char *what, const tutti_shape *x,
                               const tutti_type *index, int32_t axis) {
    char text_x[TUTTI_SHAPE_TEXT], text_index[TUTTI_SHAPE_TEXT];
    bool same;
    tutti_status status = check_exists(node, what, x, axis);
    if (status != TUTTI_OK)
        return status;
    if (index->dtype != TUTTI_I32)
        return tutti_op_fail(node, TUTTI_SHAPE, "the index is %s, expected i32",
                             tutti_dtype_name(index->dtype));
    const int32_t at = axis < 0 ? axis + x->rank : axis;
    if (index->shape.rank != x->rank || !fits(x, &index->shape, 0, at, &same) ||
        !fits(x, &index->shape, at + 1, x->rank, &same))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "%s is %s, the index is %s: beside axis %" PRId32
                             " expected the same extents, or only 1s before or behind it",
                             what, tutti_shape_text(x, text_x),
                             tutti_shape_text(&index->shape, text_index), at);
    return TUTTI_OK;
}

tutti_index_steps tutti_index_steps_of(const tutti_shape *x, const tutti_shape *index,
                                       int32_t axis) {
    const tutti_axis_view view = tutti_axis_view_of(index, axis);
    bool before, behind;
    (void)fits(x, index, 0, view.axis, &before);
    (void)fits(x, index, view.axis + 1, x->rank, &behind);
    return (tutti_index_steps){.outer = before ? tutti_extent_times(view.extent, view.inner)
                                               : tutti_extent_const(0),
                               .extent = view.inner,
                               .inner = behind ? 1 : 0};
}
