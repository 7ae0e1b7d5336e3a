/* Where the largest element along an axis is: the first of equals; the first NaN where there is one. */
#include <math.h>
#include <stdio.h>

#include "op/axis.h"

#define LONG_ROW 64
/* Neighbours that a work-item of argmax_columns takes; the most is COLUMNS_MOST of argmax.cl, too. */
#define COLUMNS_MOST  256
#define COLUMNS_LEAST 16

typedef struct argmax_attr {
    int32_t axis; /* negative counts from the end */
} argmax_attr;

tutti_tensor tutti_argmax(tutti_graph *g, tutti_tensor x, int32_t axis) {
    const argmax_attr attr = {axis};
    return tutti_op_apply1(g, &tutti_op_argmax, &x, 1, &attr, sizeof attr);
}

static tutti_axis_view view_of(const tutti_node_info *node) {
    return tutti_axis_view_of(&node->in_type[0].shape, ((const argmax_attr *)node->attr)->axis);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const argmax_attr *attr = node->attr;
    const tutti_type *x = &node->in_type[0];
    tutti_status status = tutti_axis_check(node, "x", &x->shape, attr->axis);
    if (status != TUTTI_OK)
        return status;
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    const int32_t axis = view_of(node).axis;
    tutti_shape shape = {.batched = x->shape.batched};
    for (int32_t d = 0; d < x->shape.rank; d++)
        if (d != axis)
            shape.dim[shape.rank++] = x->shape.dim[d];
    out->type = (tutti_type){TUTTI_I32, shape};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double in = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){in, 4 * (in + (double)tutti_shape_count(&node->out_type[0].shape, n))};
}

/* Of a work-item of argmax_columns: what leaves each compute unit two, where that is at least a vector. */
static int64_t column_width(const tutti_device_info *device, const tutti_axis_view *view) {
    const int64_t units = 2 * (int64_t)device->compute_units;
    const int64_t outer = tutti_extent_value(view->outer, TUTTI_TYPICAL_BATCH);
    int64_t width = COLUMNS_MOST;
    while (width > COLUMNS_LEAST && outer * ((view->inner + width - 1) / width) < units)
        width /= 2;
    return width;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_axis_view view = view_of(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const bool rows = view.inner == 1 && view.extent.base >= LONG_ROW;
    const int local = device->max_work_group < 128 ? (int)device->max_work_group : 128;
    const bool group = rows && !is_cpu && (local & (local - 1)) == 0;
    const bool row = rows && is_cpu;
    const tutti_extent items = tutti_extent_times(view.outer, view.inner);
    const int64_t width = is_cpu && view.inner >= 4 ? column_width(device, &view) : 0;
    const bool columns = width > 0;
    char options[32] = "", entry[32];
    if (group)
        snprintf(options, sizeof options, "-DLOCAL=%d", local);
    const char *name = group ? "group" : row ? "row" : columns ? "columns" : "items";
    snprintf(entry, sizeof entry, "argmax_%s", name);
    tutti_launch *launch = tutti_candidate_launch(out, tutti_lowering_candidate(out, name),
                                                  "argmax.cl", entry, "%s", options);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, items);
    tutti_launch_i32(out, launch, view.extent);
    tutti_launch_i32(out, launch, tutti_extent_const(view.inner));
    if (columns) {
        tutti_launch_range(launch, tutti_extent_const(view.inner), width, 1);
        tutti_launch_range(launch, view.outer, 1, 1);
    } else if (group)
        tutti_launch_range(launch, tutti_extent_times(items, local), 1, local);
    else
        tutti_launch_range(launch, items, 1, row ? 1 : 64);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_axis_view view = view_of(call->node);
    const int64_t outer = tutti_extent_value(view.outer, call->run->n);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < view.inner; i++) {
            const float *x = (const float *)call->in[0] + o * view.extent.base * view.inner + i;
            int64_t at = 0;
            for (int64_t r = 1; r < view.extent.base && !isnan(x[at * view.inner]); r++)
                if (isnan(x[r * view.inner]) || x[r * view.inner] > x[at * view.inner])
                    at = r;
            ((int32_t *)call->out[0])[o * view.inner + i] = (int32_t)at;
        }
}

static const argmax_attr first = {0}, second = {1}, last = {-1}, no_axis = {-3};
#define CASE(text, tag, low, high, dims, ...)                                                      \
    {                                                                                              \
        .label = text, .n_in = 1,                                                                  \
        .in = {{.rank = dims, .dim = {__VA_ARGS__}, .lo = low, .hi = high}}, .attr = &(tag)        \
    }
static const tutti_op_example examples[] = {
    CASE("vector", first, -1, 1, 1, 37),
    CASE("classes", last, -1, 1, 2, TUTTI_BATCH, 10),
    CASE("long rows", last, -1, 1, 2, 3, 777),
    CASE("rows", last, -1, 1, 2, TUTTI_BATCH, 70),
    CASE("channels", second, -1, 1, 3, TUTTI_BATCH, 7, 6),
    CASE("columns", first, -1, 1, 2, 19, 33),
    CASE("many columns", first, -1, 1, 2, 3, 600),
    CASE("columns with NaN", first, NAN, 1, 2, 5, 70),
    CASE("equal", last, 1, 1, 2, 3, 100),
    CASE("NaN", last, NAN, NAN, 2, 2, 100),
    CASE("equal, short", last, 1, 1, 2, 3, 9),
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &first,
     .refused = "argmax: x is Nx4: axis 0 is the batch"},
    {.label = "no axis",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 4}}},
     .attr = &no_axis,
     .refused = "argmax: x is 3x4: there is no axis -3"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &first,
     .refused = "argmax: x is i32, expected f32"},
};

const tutti_op tutti_op_argmax = {
    .name = "argmax",
    .summary = "index of the first of the largest elements along an axis",
    .shapes = "x (… R …) -> i32 (… …)",
    .options = "axis",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(argmax_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
