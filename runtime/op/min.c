/* Minimum over axes. */
#include <math.h>

#include "op/reduce.h"

tutti_tensor tutti_min(tutti_graph *g, tutti_tensor x, int32_t n_axes, const int32_t *axes,
                       bool keep_dims) {
    return tutti_reduce(g, &tutti_op_min, x, n_axes, axes, keep_dims);
}

static double smaller(double a, double b) {
    return a < b || isnan(a) ? a : b;
}

static void ref(const tutti_ref_call *call) {
    tutti_reduce_ref(call, INFINITY, smaller);
}

static const tutti_reduce_attr none = {0, 0}, first = {1, 0}, second = {2, 0}, second_keep = {2, 1},
                               both = {3, 0}, outer_inner = {5, 0}, alternate = {0x2A, 0};
/* Wide apart, so that no step of differences makes another element the smallest of a long row. */
#define CASE(text, count, tag, dims, ...)                                                          \
    {                                                                                              \
        .label = text, .n = count, .n_in = 1,                                                      \
        .in = {{.rank = dims, .dim = {__VA_ARGS__}, .lo = -30, .hi = 30}}, .attr = &(tag)          \
    }
static const tutti_op_example examples[] = {
    CASE("no axes", 0, none, 2, 5, 7),
    CASE("one element", 0, first, 1, 1),
    CASE("vector", 0, first, 1, 37),
    CASE("matrix", 0, both, 2, 13, 17),
    CASE("rows", 0, second, 2, 33, 19),
    /* Among so many, the two smallest are often too close for differences. */
    {.label = "long rows",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 701}, .no_grad = true}},
     .attr = &second_keep},
    CASE("columns", 0, first, 2, 19, 33),
    CASE("middle", 0, second_keep, 3, 5, 7, 11),
    CASE("outer and inner", 0, outer_inner, 3, 5, 7, 11),
    CASE("every second", 0, alternate, 6, 2, 3, 4, 5, 3, 2),
    CASE("within samples", 9, second, 2, TUTTI_BATCH, 64),
    /* Its two smallest are closer than any step of differences. */
    {.label = "two launches",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {70001}, .no_grad = true}},
     .attr = &first},
    {.label = "negative",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {5, 19}, .lo = -3, .hi = -2}},
     .attr = &second},
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &first,
     .refused = "min: x is Nx4: the batch cannot be reduced"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3}},
     .attr = &first,
     .refused = "min: x is i32, expected f32"},
};

const tutti_op tutti_op_min = {
    .name = "min",
    .summary = "minimum over axes",
    .shapes = "x (any) -> x without the axes",
    .options = "axes, not the batch; keep_dims",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .attr_size = sizeof(tutti_reduce_attr),
    .infer = tutti_extremum_infer,
    .cost = tutti_reduce_cost,
    .lower = tutti_reduce_lower,
    .grad = tutti_extremum_grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
