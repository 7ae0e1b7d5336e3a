/* The k largest elements of each row, largest first, and where they were. Of equals the first comes
 * first; a NaN counts as larger than all numbers. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "op/gather.h"
#include "op/rows.h"

typedef struct top_k_attr {
    int64_t k;
} top_k_attr;

tutti_tensor tutti_top_k(tutti_graph *g, tutti_tensor x, int64_t k, tutti_tensor *out_index) {
    const top_k_attr attr = {k};
    tutti_tensor out[2] = {{0}, {0}};
    /* The graph keeps the error. */
    if (tutti_op_apply(g, &tutti_op_top_k, &x, 1, &attr, sizeof attr, out) != TUTTI_OK)
        out[0].id = out[1].id = 0;
    if (out_index != NULL)
        *out_index = out[1];
    return out[0];
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const int64_t k = ((const top_k_attr *)node->attr)->k;
    const tutti_type *x = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT];
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    tutti_shape shape = x->shape;
    const int32_t last = shape.rank - 1;
    if (last < 0 || (last == 0 && shape.batched))
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s: expected rows",
                             tutti_shape_text(&shape, text));
    if (k < 1 || k > shape.dim[last])
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, k is %" PRId64 ": expected 1 to %" PRId64,
                             tutti_shape_text(&shape, text), k, shape.dim[last]);
    shape.dim[last] = k;
    out[0].type = (tutti_type){TUTTI_F32, shape};
    out[1].type = (tutti_type){TUTTI_I32, shape};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double in = (double)tutti_shape_count(&node->in_type[0].shape, n);
    const double out = (double)tutti_shape_count(&node->out_type[0].shape, n);
    return (tutti_cost){in + out * (double)((const top_k_attr *)node->attr)->k, 4 * in + 8 * out};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const int64_t columns = tutti_rows_columns(node);
    const tutti_extent rows = tutti_rows_count(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const bool group = !is_cpu && columns >= 256 && device->max_work_group >= 64;
    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_lowering_candidate(out, group ? "group" : "row"), "top_k.cl",
        group ? "top_k_group" : "top_k_row", "%s", group ? "-DLOCAL=64" : "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_tensor(out, launch, node->out[1]);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, tutti_extent_const(columns));
    tutti_launch_i32(out, launch, tutti_extent_const(((const top_k_attr *)node->attr)->k));
    if (group)
        tutti_launch_range(launch, (tutti_extent){rows.base * 64, rows.per_sample * 64}, 1, 64);
    else
        tutti_launch_range(launch, rows, 1, is_cpu ? 1 : 64);
    return tutti_lowering_status(out);
}

/* Selection: k times the largest that was not taken yet. */
static void ref(const tutti_ref_call *call) {
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    const int64_t k = ((const top_k_attr *)call->node->attr)->k;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0] + r * columns;
        int32_t *index = (int32_t *)call->out[1] + r * k;
        for (int64_t j = 0; j < k; j++) {
            int64_t best = -1;
            for (int64_t c = 0; c < columns; c++) {
                bool taken = false;
                for (int64_t t = 0; t < j && !taken; t++)
                    taken = index[t] == c;
                if (!taken && (best < 0 || x[c] > x[best] || (isnan(x[c]) && !isnan(x[best]))))
                    best = c;
            }
            index[j] = (int32_t)best;
            ((float *)call->out[0])[r * k + j] = x[best];
        }
    }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_gather_attr attr = {-1, tutti_rows_columns(node)};
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_scatter_add,
                                 (tutti_tensor[]){node->out[1], dout[0]}, 2, &attr, sizeof attr);
    return tutti_graph_status(graph);
}

static const top_k_attr one = {1}, three = {3}, seven = {7};
/* Wide apart, so that no step of differences changes the order. */
#define CASE(text, tag, dims, ...)                                                                 \
    {                                                                                              \
        .label = text, .n_in = 1,                                                                  \
        .in = {{.rank = dims, .dim = {__VA_ARGS__}, .lo = -90, .hi = 90}}, .attr = &(tag)          \
    }
static const tutti_op_example examples[] = {
    CASE("largest", one, 2, TUTTI_BATCH, 10),
    CASE("three", three, 2, TUTTI_BATCH, 10),
    CASE("all", seven, 2, 3, 7),
    CASE("vector", three, 1, 37),
    CASE("within samples", three, 3, TUTTI_BATCH, 2, 5),
    CASE("long rows", seven, 2, 3, 300),
    {.label = "equal",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {2, 260}, .lo = 1, .hi = 1, .no_grad = true}},
     .attr = &seven},
    {.label = "NaN",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {1, 260}, .lo = NAN, .hi = NAN, .no_grad = true}},
     .attr = &three},
    {.label = "too many",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &seven,
     .refused = "top_k: x is Nx4, k is 7: expected 1 to 4"},
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {TUTTI_BATCH}}},
     .attr = &one,
     .refused = "top_k: x is N: expected rows"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &one,
     .refused = "top_k: x is i32, expected f32"},
};

const tutti_op tutti_op_top_k = {
    .name = "top_k",
    .summary = "the k largest elements of each row, largest first, and where they were",
    .shapes = "x (…xC) -> values (…xK), index i32 (…xK)",
    .options = "1 <= K <= C",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 2,
    .attr_size = sizeof(top_k_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
