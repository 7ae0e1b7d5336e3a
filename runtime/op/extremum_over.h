/* Defines the op NAME: over axes, the element that is OPERATOR than all others, NaN when one is.
 * IDENTITY is that of no elements. To be included once, after SUMMARY is defined too. */
#include <math.h>

#include "op/reduce.h"
#include "op/template.h"

tutti_tensor TUTTI_CONSTRUCTOR(tutti_graph *g, tutti_tensor x, int32_t n_axes, const int32_t *axes,
                               bool keep_dims) {
    return tutti_reduce(g, &TUTTI_TABLE, x, n_axes, axes, keep_dims);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_reduce_attr *attr = node->attr;
    const tutti_shape *shape = &node->in_type[0].shape;
    if (tutti_reduce_batch(shape, attr->axes)) {
        char text[TUTTI_SHAPE_TEXT];
        return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                             "x is %s: the batch cannot be reduced, it would take all devices' "
                             "samples",
                             tutti_shape_text(shape, text));
    }
    return tutti_reduce_infer(node, out);
}

/* To all elements that attain the result, in equal parts. */
static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (!want[0])
        return TUTTI_OK;
    const tutti_reduce_attr *attr = node->attr;
    const tutti_shape kept = tutti_reduce_shape(&node->in_type[0].shape, attr->axes, true);
    const tutti_tensor y = tutti_reshape_to(graph, node->out[0], &kept);
    const tutti_tensor dy = tutti_reshape_to(graph, dout[0], &kept);
    const tutti_tensor attains = tutti_equal(graph, node->in[0], y);
    const tutti_reduce_attr keep = {attr->axes, 1};
    const tutti_tensor count =
        tutti_op_apply1(graph, &tutti_op_sum, &attains, 1, &keep, sizeof keep);
    din[0] = tutti_mul(graph, attains, tutti_div(graph, dy, count));
    return tutti_graph_status(graph);
}

static double fold(double a, double b) {
    return a OPERATOR b || isnan(a) ? a : b;
}

static void ref(const tutti_ref_call *call) {
    tutti_reduce_ref(call, IDENTITY, fold);
}

static const tutti_reduce_attr none = {0, 0}, first = {1, 0}, second = {2, 0}, second_keep = {2, 1},
                               both = {3, 0}, outer_inner = {5, 0}, alternate = {0x2A, 0};
/* Wide apart, so that no step of differences makes another element the result of a long row. */
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
    /* Among so many, the two outermost are often too close for differences. */
    {.label = "long rows",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {3, 701}, .no_grad = true}},
     .attr = &second_keep},
    CASE("columns", 0, first, 2, 19, 33),
    CASE("middle", 0, second_keep, 3, 5, 7, 11),
    CASE("outer and inner", 0, outer_inner, 3, 5, 7, 11),
    CASE("every second", 0, alternate, 6, 2, 3, 4, 5, 3, 2),
    CASE("within samples", 9, second, 2, TUTTI_BATCH, 64),
    /* Its two outermost are closer than any step of differences. */
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
     .refused = TUTTI_TEXT(NAME) ": x is Nx4: the batch cannot be reduced"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3}},
     .attr = &first,
     .refused = TUTTI_TEXT(NAME) ": x is i32, expected f32"},
};

const tutti_op TUTTI_TABLE = {
    .name = TUTTI_TEXT(NAME),
    .summary = SUMMARY,
    .shapes = "x (any) -> x without the axes",
    .options = "axes, not the batch; keep_dims",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_PROLOGUE,
    .attr_size = sizeof(tutti_reduce_attr),
    .infer = infer,
    .cost = tutti_reduce_cost,
    .lower = tutti_reduce_lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
