/* A value in every element of a shape. No inputs: a batched constant is filled for each sample. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "op/elementwise.h"

typedef struct constant_attr {
    tutti_shape shape;
    float value;
} constant_attr;

tutti_tensor tutti_constant(tutti_graph *graph, const tutti_shape *shape, float value) {
    constant_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.shape = *shape;
    attr.value = value;
    return tutti_op_apply1(graph, &tutti_op_constant, NULL, 0, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const constant_attr *attr = node->attr;
    out[0].type = (tutti_type){TUTTI_F32, attr->shape};
    return TUTTI_OK;
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)in;
    const constant_attr *attr = node->attr;
    char number[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "%s", tutti_f32_text(attr->value, number));
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)x;
    (void)index;
    return (double)((const constant_attr *)call->node->attr)->value;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static const constant_attr matrix = {{2, false, {3, 4}}, -0.1F};
static const constant_attr batched = {{2, true, {1, 4}}, 1e-30F};
static const constant_attr scalar = {{0, false, {0}}, 1};
static const constant_attr infinite = {{1, false, {3}}, -INFINITY};
static const constant_attr none = {{1, true, {1}}, NAN};
static const constant_attr tiny = {{1, false, {3}}, FLT_MIN};
static const constant_attr huge = {{1, false, {3}}, -FLT_MAX};
static const tutti_op_example examples[] = {
    {.label = "matrix", .attr = &matrix},  {.label = "batched", .attr = &batched},
    {.label = "scalar", .attr = &scalar},  {.label = "infinite", .attr = &infinite},
    {.label = "no number", .attr = &none}, {.label = "tiny", .attr = &tiny},
    {.label = "huge", .attr = &huge},
};

const tutti_op tutti_op_constant = {
    .name = "constant",
    .summary = "a value in every element",
    .options = "the shape, value",
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(constant_attr),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
