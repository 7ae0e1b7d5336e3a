/* For each row of the table, the sum of the gradients of the results that are this row. A sum over
 * the batch; in a fixed order, without atomics. */
#include <inttypes.h>
#include <string.h>

#include "op/embedding.h"

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_embedding_grad_attr *attr = node->attr;
    const tutti_type *indices = &node->in_type[0], *dy = &node->in_type[1];
    char text_indices[TUTTI_SHAPE_TEXT], text_dy[TUTTI_SHAPE_TEXT];
    tutti_shape rows = dy->shape;
    if (rows.rank > 0)
        rows.dim[--rows.rank] = 0;
    if (indices->dtype != TUTTI_I32 || dy->dtype != TUTTI_F32 || dy->shape.rank == 0 ||
        (dy->shape.batched && rows.rank == 0) || !tutti_shape_equal(&rows, &indices->shape))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "indices are %s %s, dy is %s %s: expected i32, and f32 with one axis "
                             "more",
                             tutti_dtype_name(indices->dtype),
                             tutti_shape_text(&indices->shape, text_indices),
                             tutti_dtype_name(dy->dtype), tutti_shape_text(&dy->shape, text_dy));
    if (attr->rows < 1)
        return tutti_op_fail(node, TUTTI_SHAPE, "the table has %" PRId64 " rows, expected some",
                             attr->rows);
    out->type.dtype = TUTTI_F32;
    out->type.shape =
        (tutti_shape){.rank = 2, .dim = {attr->rows, dy->shape.dim[dy->shape.rank - 1]}};
    out->batch_sum = indices->shape.batched;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double table = (double)tutti_shape_count(&node->out_type[0].shape, n);
    const double elements = (double)tutti_shape_count(&node->in_type[1].shape, n);
    const double rows = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){.flops = elements, .bytes = 4 * (table + elements + rows)};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_extent rows = tutti_extent_count(&node->in_type[0].shape);
    const tutti_extent table_rows = tutti_extent_const(node->out_type[0].shape.dim[0]);
    const tutti_extent width = tutti_extent_const(node->out_type[0].shape.dim[1]);
    if ((device->type & TUTTI_DEVICE_CPU) == 0 && device->max_work_group >= 64) {
        tutti_launch *scan =
            tutti_candidate_launch(out, tutti_lowering_candidate(out, "scan"), "embedding_grad.cl",
                                   "embedding_grad_scan", "%s", "");
        tutti_launch_tensor(out, scan, node->in[0]);
        tutti_launch_tensor(out, scan, node->in[1]);
        tutti_launch_tensor(out, scan, node->out[0]);
        tutti_launch_i32(out, scan, rows);
        tutti_launch_i32(out, scan, width);
        tutti_launch_range(scan, width, 1, 64);
        tutti_launch_range(scan, table_rows, 1, 1);
        return tutti_lowering_status(out);
    }
    tutti_candidate *candidate = tutti_lowering_candidate(out, "sort");
    const uint32_t first =
        tutti_candidate_scratch(out, candidate, tutti_extent_const(4 * (table_rows.base + 1)));
    const uint32_t order =
        tutti_candidate_scratch(out, candidate, (tutti_extent){4 * rows.base, 4 * rows.per_sample});
    tutti_launch *launch = tutti_candidate_launch(out, candidate, "embedding_grad.cl",
                                                  "embedding_grad_sort", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_scratch(out, launch, first);
    tutti_launch_scratch(out, launch, order);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, table_rows);
    tutti_launch_range(launch, tutti_extent_const(1), 1, 1);
    launch =
        tutti_candidate_launch(out, candidate, "embedding_grad.cl", "embedding_grad_sum", "%s", "");
    tutti_launch_scratch(out, launch, first);
    tutti_launch_scratch(out, launch, order);
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, table_rows);
    tutti_launch_i32(out, launch, width);
    tutti_launch_range(launch, table_rows, 8, 1); /* ROWS of the kernel */
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const int64_t *table = call->node->out_type[0].shape.dim;
    const int64_t rows = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    const int32_t *indices = call->in[0];
    const float *dy = call->in[1];
    for (int64_t v = 0; v < table[0]; v++)
        for (int64_t d = 0; d < table[1]; d++) {
            double sum = 0;
            for (int64_t r = 0; r < rows; r++)
                if (indices[r] == v)
                    sum += (double)dy[r * table[1] + d];
            ((float *)call->out[0])[v * table[1] + d] = (float)sum;
        }
}

static const tutti_embedding_grad_attr one = {1}, four = {4}, eleven = {11}, many = {300},
                                       none = {0};
#define CASE(text, count, table, low, high, d, axes, ...)                                          \
    {                                                                                              \
        .label = text, .n = count, .n_in = 2,                                                      \
        .in = {{.dtype = TUTTI_I32, .rank = axes, .dim = {__VA_ARGS__}, .lo = low, .hi = high},    \
               {.rank = (axes) + 1, .dim = {__VA_ARGS__, d}}},                                     \
        .attr = &(table)                                                                           \
    }
static const tutti_op_example examples[] = {
    CASE("tokens", 5, eleven, 0, 11, 32, 2, TUTTI_BATCH, 7),
    {.label = "one index",
     .n_in = 2,
     .in = {{.dtype = TUTTI_I32, .hi = 4}, {.rank = 1, .dim = {5}}},
     .attr = &four},
    CASE("wide", 3, four, 0, 4, 131, 3, TUTTI_BATCH, 2, 2),
    CASE("long", 1, eleven, 0, 11, 3, 1, 601),
    CASE("outside", 1, four, -2, 7, 20, 1, 24),
    CASE("most rows unused", 1, many, 0, 300, 17, 1, 12),
    CASE("one row", 5, one, 0, 1, 1, 1, TUTTI_BATCH),
    {.label = "shapes",
     .n_in = 2,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}, {.rank = 2, .dim = {5, 3}}},
     .attr = &four,
     .refused = "embedding_grad: indices are i32 4, dy is f32 5x3: expected i32, and f32 with one "
                "axis more"},
    {.label = "no table",
     .n_in = 2,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}, {.rank = 2, .dim = {4, 3}}},
     .attr = &none,
     .refused = "embedding_grad: the table has 0 rows, expected some"},
};

const tutti_op tutti_op_embedding_grad = {
    .name = "embedding_grad",
    .summary = "gradient of embedding by the table, a sum over the batch",
    .shapes = "i32 indices (any), dy (indices, then D) -> (VxD)",
    .options = "V, the rows of the table, from 1",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_embedding_grad_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
