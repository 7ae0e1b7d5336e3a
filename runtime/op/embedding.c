/* Rows of a table by their index; NaN where there is no such row. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "op/embedding.h"

#define ROWS_PER_ITEM 16 /* ROWS of embedding.cl */

tutti_tensor tutti_embedding(tutti_graph *g, tutti_tensor table, tutti_tensor indices) {
    return tutti_op_apply1(g, &tutti_op_embedding, (tutti_tensor[]){table, indices}, 2, NULL, 0);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *table = &node->in_type[0], *indices = &node->in_type[1];
    char text_table[TUTTI_SHAPE_TEXT], text_indices[TUTTI_SHAPE_TEXT];
    tutti_shape_text(&table->shape, text_table);
    tutti_shape_text(&indices->shape, text_indices);
    if (table->dtype != TUTTI_F32 || indices->dtype != TUTTI_I32)
        return tutti_op_fail(node, TUTTI_SHAPE, "table is %s, indices are %s: expected f32 and i32",
                             tutti_dtype_name(table->dtype), tutti_dtype_name(indices->dtype));
    if (table->shape.rank != 2 || table->shape.batched)
        return tutti_op_fail(node, TUTTI_SHAPE, "table is %s: expected a matrix without batch",
                             text_table);
    if (indices->shape.rank == TUTTI_MAX_RANK)
        return tutti_op_fail(node, TUTTI_SHAPE, "indices are %s: expected at most %d axes",
                             text_indices, TUTTI_MAX_RANK - 1);
    out->type = (tutti_type){TUTTI_F32, indices->shape};
    out->type.shape.dim[out->type.shape.rank++] = table->shape.dim[1];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double elements = (double)tutti_shape_count(&node->out_type[0].shape, n);
    const double rows = (double)tutti_shape_count(&node->in_type[1].shape, n);
    return (tutti_cost){.bytes = 8 * elements + 4 * rows};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const tutti_extent rows = tutti_extent_count(&node->in_type[1].shape);
    const int64_t *table = node->in_type[0].shape.dim;
    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_lowering_candidate(out, is_cpu ? "rows" : "items"), "embedding.cl",
        is_cpu ? "embedding_rows" : "embedding_items", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, tutti_extent_const(table[1]));
    tutti_launch_i32(out, launch, tutti_extent_const(table[0]));
    if (is_cpu) {
        tutti_launch_range(launch, rows, ROWS_PER_ITEM, 1);
    } else {
        tutti_launch_range(launch, tutti_extent_const(table[1]), 1, 32);
        tutti_launch_range(launch, rows, 1, 2);
    }
    return tutti_lowering_status(out);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_embedding_grad_attr attr = {node->in_type[0].shape.dim[0]};
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_embedding_grad,
                                 (tutti_tensor[]){node->in[1], dout[0]}, 2, &attr, sizeof attr);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const int64_t *table = call->node->in_type[0].shape.dim, width = table[1];
    const int64_t rows = tutti_shape_count(&call->node->in_type[1].shape, call->run->n);
    const int32_t *indices = call->in[1];
    float *y = call->out[0];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t d = 0; d < width; d++)
            y[r * width + d] = indices[r] < 0 || indices[r] >= table[0]
                                   ? NAN
                                   : ((const float *)call->in[0])[indices[r] * width + d];
}

#define CASE(text, v, d, low, high, axes, ...)                                                     \
    {                                                                                              \
        .label = text, .n_in = 2, .in = {                                                          \
            {.rank = 2, .dim = {v, d}, .no_grad = (low) < 0},                                      \
            {.dtype = TUTTI_I32, .rank = axes, .dim = {__VA_ARGS__}, .lo = low, .hi = high}        \
        }                                                                                          \
    }
static const tutti_op_example examples[] = {
    CASE("tokens", 11, 32, 0, 11, 2, TUTTI_BATCH, 7),
    CASE("one index", 3, 5, 0, 3, 0, 0),
    CASE("more than a work-item's rows", 5, 19, 0, 5, 1, 37),
    CASE("wide", 4, 131, 0, 4, 3, TUTTI_BATCH, 2, 2),
    CASE("outside", 4, 20, -2, 7, 1, 24),
    CASE("one row", 1, 1, 0, 1, 1, TUTTI_BATCH),
    {.label = "float indices",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {5, 3}}, {.rank = 1, .dim = {4}}},
     .refused = "embedding: table is f32, indices are f32: expected f32 and i32"},
    {.label = "batched table",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "embedding: table is Nx3: expected a matrix without batch"},
    {.label = "six axes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {5, 3}},
            {.dtype = TUTTI_I32, .rank = 6, .dim = {1, 1, 1, 1, 1, 2}, .hi = 3}},
     .refused = "embedding: indices are 1x1x1x1x1x2: expected at most 5 axes"},
};

const tutti_op tutti_op_embedding = {
    .name = "embedding",
    .summary = "rows of a table by their index, NaN where there is no such row",
    .shapes = "table (VxD), i32 indices (any, up to five axes) -> (indices, then D)",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
