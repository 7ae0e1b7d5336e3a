/* Sums of all elements up to each one along an axis, or from each one on. */
#include <math.h>
#include <stdio.h>

#include "op/axis.h"

#define LONG_ROW 64

typedef struct cumsum_attr {
    int32_t axis;     /* negative counts from the end */
    uint32_t reverse; /* from each one on */
} cumsum_attr;

tutti_tensor tutti_cumsum(tutti_graph *g, tutti_tensor x, int32_t axis) {
    const cumsum_attr attr = {axis, 0};
    return tutti_op_apply1(g, &tutti_op_cumsum, &x, 1, &attr, sizeof attr);
}

static tutti_axis_view view_of(const tutti_node_info *node) {
    return tutti_axis_view_of(&node->in_type[0].shape, ((const cumsum_attr *)node->attr)->axis);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *x = &node->in_type[0];
    tutti_status status =
        tutti_axis_check(node, "x", &x->shape, ((const cumsum_attr *)node->attr)->axis);
    if (status != TUTTI_OK)
        return status;
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    out->type = *x;
    return TUTTI_OK;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_axis_view view = view_of(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int local = device->max_work_group < 128 ? (int)device->max_work_group : 128;
    const bool columns = is_cpu && view.inner >= 4;
    const bool group =
        !is_cpu && view.inner == 1 && view.extent.base >= LONG_ROW && (local & (local - 1)) == 0;
    const bool row = is_cpu && view.inner == 1;
    char options[32] = "", entry[32];
    if (group)
        snprintf(options, sizeof options, "-DLOCAL=%d", local);
    const char *name = group ? "group" : columns ? "columns" : row ? "row" : "items";
    snprintf(entry, sizeof entry, "cumsum_%s", name);
    tutti_launch *launch = tutti_candidate_launch(out, tutti_lowering_candidate(out, name),
                                                  "cumsum.cl", entry, "%s", options);
    const tutti_extent items = tutti_extent_times(view.outer, view.inner);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, columns ? view.outer : items);
    tutti_launch_i32(out, launch, view.extent);
    tutti_launch_i32(out, launch, tutti_extent_const(view.inner));
    tutti_launch_i32(out, launch, tutti_extent_const(((const cumsum_attr *)node->attr)->reverse));
    if (group) {
        tutti_launch_range(launch, tutti_extent_times(items, local), 1, local);
    } else if (columns) {
        tutti_launch_range(launch, tutti_extent_const(view.inner), 16, 1);
        tutti_launch_range(launch, view.outer, 1, 1);
    } else {
        tutti_launch_range(launch, items, 1, is_cpu ? 1 : 64);
    }
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_axis_view view = view_of(call->node);
    const bool reverse = ((const cumsum_attr *)call->node->attr)->reverse != 0;
    const int64_t outer = tutti_extent_value(view.outer, call->run->n);
    const int64_t extent = view.extent.base;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < view.inner; i++) {
            double sum = 0;
            for (int64_t k = 0; k < extent; k++) {
                const int64_t r = reverse ? extent - 1 - k : k;
                const int64_t at = (o * extent + r) * view.inner + i;
                sum += (double)((const float *)call->in[0])[at];
                ((float *)call->out[0])[at] = (float)sum;
            }
        }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    cumsum_attr attr = *(const cumsum_attr *)node->attr;
    attr.reverse = !attr.reverse;
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_cumsum, dout, 1, &attr, sizeof attr);
    return tutti_graph_status(graph);
}

static const cumsum_attr first = {0, 0}, second = {1, 0}, second_reverse = {1, 1}, last = {-1, 0},
                         last_reverse = {-1, 1}, no_axis = {2, 0};
#define CASE(text, tag, dims, ...)                                                                 \
    { .label = text, .n_in = 1, .in = {{.rank = dims, .dim = {__VA_ARGS__}}}, .attr = &(tag) }
#define INFINITE(text, tag, dims, ...)                                                             \
    {                                                                                              \
        .label = text, .n_in = 1,                                                                  \
        .in = {{.rank = dims,                                                                      \
                .dim = {__VA_ARGS__},                                                              \
                .lo = INFINITY,                                                                    \
                .hi = INFINITY,                                                                    \
                .no_grad = true}},                                                                 \
        .attr = &(tag)                                                                             \
    }
static const tutti_op_example examples[] = {
    CASE("vector", first, 1, 37),
    CASE("rows", last, 2, TUTTI_BATCH, 9),
    CASE("rows reversed", last_reverse, 2, TUTTI_BATCH, 9),
    CASE("long rows", last, 2, 3, 300),
    CASE("long rows reversed", last_reverse, 2, 2, 130),
    CASE("channels", second, 3, TUTTI_BATCH, 5, 19),
    CASE("channels reversed", second_reverse, 3, TUTTI_BATCH, 5, 6),
    CASE("columns", first, 2, 19, 33),
    INFINITE("infinite rows", last, 2, TUTTI_BATCH, 9),
    INFINITE("infinite long rows", last, 2, 3, 300),
    INFINITE("infinite columns", first, 2, 19, 33),
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &first,
     .refused = "cumsum: x is Nx4: axis 0 is the batch"},
    {.label = "no axis",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 4}}},
     .attr = &no_axis,
     .refused = "cumsum: x is 3x4: there is no axis 2"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &first,
     .refused = "cumsum: x is i32, expected f32"},
};

const tutti_op tutti_op_cumsum = {
    .name = "cumsum",
    .summary = "sums of the elements up to each one along an axis, or from each one on",
    .shapes = "x (… R …) -> (… R …)",
    .options = "axis, not the batch; reverse",
    .source = "summation: Knuth, The Art of Computer Programming 2, 4.2.2; Neumaier 1974",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(cumsum_attr),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
