/* Rotary position embedding (Su et al. 2021), the form of GPT-NeoX and LLaMA: element i is turned
 * together with element i + d/2. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "op/elementwise.h"

typedef struct rotary_attr {
    double base;
    uint64_t inverse; /* 0 or 1 */
} rotary_attr;

tutti_tensor tutti_rotary(tutti_graph *g, tutti_tensor x, float base) {
    const rotary_attr attr = {base == 0 ? 10000 : (double)base, 0};
    return tutti_op_apply1(g, &tutti_op_rotary, &x, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const rotary_attr *attr = node->attr;
    const tutti_type *x = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT];
    tutti_shape_text(&x->shape, text);
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    if (x->shape.rank != 4 || x->shape.dim[3] % 2 != 0)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s, expected (N, T, heads, width) of even width", text);
    if (!(attr->base > 1) || isinf(attr->base))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "base is %g, expected more than 1",
                             attr->base);
    out->type = *x;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double elements = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){.flops = 3 * elements, .bytes = 8 * elements};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const rotary_attr *attr = node->attr;
    const tutti_shape *shape = &node->in_type[0].shape;
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const tutti_extent batch = tutti_extent_dim(shape, 0), half = {shape->dim[3] / 2, 0};
    /* base^(-2/width) as a fraction of 2^64, at most 1 - 2^-53. */
    const double ratio = pow(attr->base, -2.0 / (double)shape->dim[3]);
    const uint64_t bits = (uint64_t)ldexp(fmin(ratio, 1 - 0x1p-53), 64);
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, is_cpu ? "rows" : "items"),
                               "rotary.cl", is_cpu ? "rotary_rows" : "rotary_items", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, batch);
    tutti_launch_i32(out, launch, tutti_extent_const(shape->dim[1]));
    tutti_launch_i32(out, launch, tutti_extent_const(shape->dim[2]));
    tutti_launch_i32(out, launch, half);
    tutti_launch_i32(out, launch, tutti_extent_const((int32_t)(uint32_t)(bits >> 32)));
    tutti_launch_i32(out, launch, tutti_extent_const((int32_t)(uint32_t)bits));
    tutti_launch_i32(out, launch, tutti_extent_const(attr->inverse != 0));
    tutti_launch_range(launch, half, is_cpu ? 16 : 1, is_cpu ? 1 : 16);
    tutti_launch_range(launch, tutti_extent_const(shape->dim[1]), 1, is_cpu ? 1 : 4);
    if (!is_cpu)
        tutti_launch_range(launch, batch, 1, 1);
    return tutti_lowering_status(out);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    rotary_attr attr = *(const rotary_attr *)node->attr;
    attr.inverse = attr.inverse == 0;
    if (want[0])
        din[0] = tutti_op_apply1(graph, &tutti_op_rotary, dout, 1, &attr, sizeof attr);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const rotary_attr *attr = call->node->attr;
    const tutti_shape *shape = &call->node->in_type[0].shape;
    const int64_t steps = shape->dim[1], heads = shape->dim[2], half = shape->dim[3] / 2;
    const int64_t rows = tutti_shape_count(shape, call->run->n) / (2 * half);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < half; i++) {
            const int64_t t = r / heads % steps, at = r * 2 * half + i;
            const double angle = (double)t * pow(attr->base, -(double)i / (double)half);
            const double c = cos(angle), s = attr->inverse != 0 ? -sin(angle) : sin(angle);
            const float *x = call->in[0];
            const double u = (double)x[at], v = (double)x[at + half];
            ((float *)call->out[0])[at] = (float)(u * c - v * s);
            ((float *)call->out[0])[at + half] = (float)(v * c + u * s);
        }
}

static const rotary_attr usual = {10000, 0}, inverse = {10000, 1}, slow = {500000, 0},
                         fast = {1.0625, 0}, none = {1, 0};
#define CASE(text, tag, b, t, heads, width)                                                        \
    { .label = text, .n_in = 1, .in = {{.rank = 4, .dim = {b, t, heads, width}}}, .attr = &(tag) }
static const tutti_op_example examples[] = {
    CASE("usual", usual, TUTTI_BATCH, 5, 2, 8),
    CASE("inverse", inverse, TUTTI_BATCH, 3, 1, 6),
    CASE("wide", slow, 2, 3, 3, 70),
    CASE("far positions", slow, 1, 4001, 1, 4),
    CASE("small base", fast, 1, 129, 2, 32),
    CASE("one pair", usual, TUTTI_BATCH, 9, 1, 2),
    {.label = "odd width",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {2, 3, 1, 5}}},
     .attr = &usual,
     .refused = "rotary: x is 2x3x1x5, expected (N, T, heads, width) of even width"},
    {.label = "no base",
     .n_in = 1,
     .in = {{.rank = 4, .dim = {2, 3, 1, 4}}},
     .attr = &none,
     .refused = "rotary: base is 1, expected more than 1"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 4, .dim = {2, 3, 1, 4}, .hi = 3}},
     .attr = &usual,
     .refused = "rotary: x is i32, expected f32"},
};

const tutti_op tutti_op_rotary = {
    .name = "rotary",
    .summary = "elements i and i + d/2 turned by t base^(-2i/d)",
    .shapes = "x (N, T, heads, d) -> (N, T, heads, d), d even",
    .options = "base (above 1), inverse",
    .source = "Su et al. 2021, in the form of GPT-NeoX and LLaMA",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(rotary_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
