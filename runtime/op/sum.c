/* Sum over axes */
#include "op/reduce.h"

tutti_tensor tutti_sum(tutti_graph *g, tutti_tensor x, int32_t n_axes, const int32_t *axes,
                       bool keep_dims) {
    return tutti_reduce(g, &tutti_op_sum, x, n_axes, axes, keep_dims);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_reduce_attr *attr = node->attr;
    const tutti_shape *shape = &node->in_type[0].shape;
    if (want[0]) {
        const tutti_shape kept = tutti_reduce_shape(shape, attr->axes, true);
        din[0] = tutti_broadcast_to(graph, tutti_reshape_to(graph, dout[0], &kept), shape);
    }
    return tutti_graph_status(graph);
}

static double add(double a, double b) {
    return a + b;
}

static void ref(const tutti_ref_call *call) {
    tutti_reduce_ref(call, 0, add);
}

#define AXES(name, bits, keep) static const tutti_reduce_attr name = {bits, keep}
AXES(none, 0, 0);
AXES(all1, 1, 0);
AXES(all2, 3, 0);
AXES(all3_keep, 7, 1);
AXES(first, 1, 0);
AXES(first_keep, 1, 1);
AXES(second, 2, 0);
AXES(second_keep, 2, 1);
AXES(outer_inner, 5, 0);
AXES(alternate, 0x2A, 0);
AXES(alternate_keep, 0x15, 1);
/* Mostly positive, so that a single sum does not cancel to nothing, where only noise is left to
 * compare.
 */
#define CASE(text, count, tag, dims, ...)                                                          \
    {                                                                                              \
        .label = text, .n = count, .n_in = 1,                                                      \
        .in = {{.rank = dims, .dim = {__VA_ARGS__}, .lo = -0.25F, .hi = 1}}, .attr = &(tag)        \
    }
static const tutti_op_example examples[] = {
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}, .attr = &none},
    CASE("no axes", 0, none, 2, 5, 7),
    CASE("one element", 0, all1, 1, 1),
    CASE("vector", 0, all1, 1, 37),
    CASE("matrix", 0, all2, 2, 13, 17),
    CASE("rows", 0, second, 2, 33, 19),
    CASE("long rows", 0, second_keep, 2, 3, 701),
    CASE("columns", 0, first, 2, 19, 33),
    CASE("many columns", 0, first, 2, 9, 1100),
    CASE("long columns", 0, first_keep, 2, 701, 3),
    CASE("middle", 0, second, 3, 5, 7, 11),
    CASE("extents of 1", 0, second, 3, 1, 7, 1),
    CASE("outer and inner", 0, outer_inner, 3, 5, 7, 11),
    CASE("every second", 0, alternate, 6, 2, 3, 4, 5, 3, 2),
    CASE("every second batched", 3, alternate_keep, 5, TUTTI_BATCH, 3, 4, 2, 5),
    CASE("the batch", 37, first, 2, TUTTI_BATCH, 10),
    CASE("the batch and all", 37, all2, 2, TUTTI_BATCH, 64),
    CASE("the batch kept", 9, all3_keep, 3, TUTTI_BATCH, 3, 5),
    CASE("within samples", 9, second, 2, TUTTI_BATCH, 64),
    CASE("two launches", 0, all1, 1, 70001),
    CASE("two launches of columns", 0, first, 2, 4500, 5),
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3}},
     .attr = &all1,
     .refused = "sum: x is i32, expected f32"},
    {.label = "axis beyond",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {5}}},
     .attr = &second,
     .refused = "sum: x is 5: an axis beyond 0 is reduced"},
};

const tutti_op tutti_op_sum = {
    .name = "sum",
    .summary = "sum over axes",
    .shapes = "x (any) -> x without the axes",
    .options = "axes; keep_dims",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR | TUTTI_OP_PROLOGUE,
    .attr_size = sizeof(tutti_reduce_attr),
    .infer = tutti_reduce_infer,
    .cost = tutti_reduce_cost,
    .lower = tutti_reduce_lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
