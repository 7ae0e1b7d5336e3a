/* A row per index: 1 at the index, 0 elsewhere; NaN everywhere when it is outside. */
#include <inttypes.h>
#include <math.h>

#include "op/copy.h"

typedef struct one_hot_attr {
    int64_t classes;
} one_hot_attr;

tutti_tensor tutti_one_hot(tutti_graph *g, tutti_tensor index, int64_t classes) {
    const one_hot_attr attr = {classes};
    return tutti_op_apply1(g, &tutti_op_one_hot, &index, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const one_hot_attr *attr = node->attr;
    const tutti_type *index = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT];
    if (index->dtype != TUTTI_I32)
        return tutti_op_fail(node, TUTTI_SHAPE, "the index is %s, expected i32",
                             tutti_dtype_name(index->dtype));
    if (attr->classes < 1)
        return tutti_op_fail(node, TUTTI_SHAPE, "%" PRId64 " classes, expected at least 1",
                             attr->classes);
    if (index->shape.rank == TUTTI_MAX_RANK)
        return tutti_op_fail(node, TUTTI_SHAPE, "the index is %s: expected at most %d axes",
                             tutti_shape_text(&index->shape, text), TUTTI_MAX_RANK - 1);
    tutti_shape shape = index->shape;
    shape.dim[shape.rank++] = attr->classes;
    out->type = (tutti_type){TUTTI_F32, shape};
    return TUTTI_OK;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const one_hot_attr *attr = node->attr;
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const tutti_extent rows = tutti_extent_count(&node->in_type[0].shape);
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, "plain"), "one_hot.cl",
                               is_cpu ? "one_hot_rows" : "one_hot_items", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, tutti_extent_const(attr->classes));
    if (is_cpu) {
        const int64_t block = attr->classes < TUTTI_CPU_CHUNK ? TUTTI_CPU_CHUNK / attr->classes : 1;
        tutti_launch_i32(out, launch, tutti_extent_const(block));
        tutti_launch_range(launch, rows, block, 1);
    } else {
        tutti_launch_range(launch, tutti_extent_times(rows, attr->classes), 1, 64);
    }
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const int64_t classes = ((const one_hot_attr *)call->node->attr)->classes;
    const int64_t rows = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    for (int64_t r = 0; r < rows; r++) {
        const int32_t index = ((const int32_t *)call->in[0])[r];
        for (int64_t c = 0; c < classes; c++)
            ((float *)call->out[0])[r * classes + c] = index < 0 || index >= classes ? NAN
                                                       : c == index                  ? 1
                                                                                     : 0;
    }
}

static const one_hot_attr ten = {10}, one = {1}, many = {301}, none = {0};
#define CASE(text, tag, low, high, dims, ...)                                                      \
    {                                                                                              \
        .label = text, .n_in = 1,                                                                  \
        .in = {{.dtype = TUTTI_I32, .rank = dims, .dim = {__VA_ARGS__}, .lo = low, .hi = high}},   \
        .attr = &(tag)                                                                             \
    }
static const tutti_op_example examples[] = {
    CASE("labels", ten, 0, 10, 1, TUTTI_BATCH),
    CASE("matrix", ten, 0, 10, 2, TUTTI_BATCH, 3),
    CASE("one class", one, 0, 1, 1, 7),
    CASE("many classes", many, 0, 301, 1, 3),
    CASE("scalar", ten, 0, 10, 0, 0),
    CASE("outside", ten, -5, 15, 1, 30),
    {.label = "no classes",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &none,
     .refused = "one_hot: 0 classes, expected at least 1"},
    {.label = "f32",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}}},
     .attr = &ten,
     .refused = "one_hot: the index is f32, expected i32"},
    {.label = "axes",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 6, .dim = {1, 1, 1, 1, 1, 1}, .hi = 3}},
     .attr = &ten,
     .refused = "one_hot: the index is 1x1x1x1x1x1: expected at most 5 axes"},
};

const tutti_op tutti_op_one_hot = {
    .name = "one_hot",
    .summary = "a row per index: 1 at the index, 0 elsewhere; NaN when it is outside",
    .shapes = "index i32 (…) -> (…xC)",
    .options = "classes C >= 1",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(one_hot_attr),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
