/* A tensor expanded to a shape. Elementwise: the generated kernel's index map does the work. */
#include "base/status.h"
#include "op/elementwise.h"

tutti_tensor tutti_broadcast_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape) {
    const tutti_shape from = tutti_tensor_type(graph, x).shape;
    if (x.id != 0 && tutti_shape_equal(&from, shape))
        return x;
    return tutti_op_apply1(graph, &tutti_op_broadcast_like, &x, 1, shape, sizeof *shape);
}

tutti_tensor tutti_broadcast_like(tutti_graph *g, tutti_tensor x, tutti_tensor like) {
    if (like.id == 0)
        return like;
    const tutti_shape shape = tutti_tensor_type(g, like).shape;
    return tutti_broadcast_to(g, x, &shape);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_shape *shape = node->attr;
    tutti_shape both;
    char a[TUTTI_SHAPE_TEXT], b[TUTTI_SHAPE_TEXT];
    TUTTI_TRY(tutti_elementwise_infer(node, out));
    if (!tutti_shape_broadcast(&node->in_type[0].shape, shape, &both) ||
        !tutti_shape_equal(&both, shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "%s does not broadcast to %s",
                             tutti_shape_text(&node->in_type[0].shape, a),
                             tutti_shape_text(shape, b));
    out[0].type.shape = *shape;
    return TUTTI_OK;
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "%s", in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return x[0];
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] = tutti_reduce_to(graph, dout[0], &node->in_type[0].shape);
    return tutti_graph_status(graph);
}

static const tutti_shape matrix = {2, false, {3, 4}};
static const tutti_shape batched = {3, true, {1, 3, 4}};
static const tutti_shape merged = {2, true, {3, 4}};
static const tutti_op_example examples[] = {
    {.label = "row", .n_in = 1, .in = {{.rank = 1, .dim = {4}}}, .attr = &matrix},
    {.label = "column", .n_in = 1, .in = {{.rank = 2, .dim = {3, 1}}}, .attr = &batched},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0}}, .attr = &batched},
    {.label = "in samples",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 1, 4}}},
     .attr = &batched},
    {.label = "merged", .n_in = 1, .in = {{.rank = 2, .dim = {1, 4}}}, .attr = &merged},
    {.label = "no fit",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {3}}},
     .attr = &matrix,
     .refused = "broadcast_like: 3 does not broadcast to 3x4"},
    {.label = "batch lost",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &matrix,
     .refused = "broadcast_like: Nx4 does not broadcast to 3x4"},
};

const tutti_op tutti_op_broadcast_like = {
    .name = "broadcast_like",
    .summary = "x expanded to a shape",
    .options = "the shape",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_LINEAR,
    .attr_size = sizeof(tutti_shape),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
