/* The factor that clips gradients of norm x to max_norm, as PyTorch computes it. A norm that is not
 * a number gives 1: the gradients then show it. */
#include <math.h>

#include "op/elementwise.h"

tutti_tensor tutti_clip_factor(tutti_graph *graph, tutti_tensor norm, float max_norm) {
    return tutti_op_apply1(graph, &tutti_op_clip_factor, &norm, 1, &max_norm, sizeof max_norm);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    const float *max_norm = node->attr;
    char number[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "fmin(%s / (%s + 1e-6f), 1.0f)",
                      tutti_f32_text(*max_norm, number), in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    return fmin((double)*(const float *)call->node->attr / (x[0] + 1e-6), 1.0);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static const float example_value = 0.5F;
static const tutti_op_example examples[] = {
    {.label = "vector",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {37}, .lo = 0, .hi = 2}},
     .attr = &example_value},
    {.label = "batched",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}, .lo = 0, .hi = 2}},
     .attr = &example_value},
    {.label = "scalar", .n_in = 1, .in = {{.rank = 0, .lo = 0, .hi = 2}}, .attr = &example_value},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &example_value,
     .refused = "clip_factor: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_clip_factor = {
    .name = "clip_factor",
    .summary = "min(1, max_norm / (x + 1e-6))",
    .options = "max_norm",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(float),
    .infer = tutti_elementwise_infer,
    .cost = tutti_elementwise_cost,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
