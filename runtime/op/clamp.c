/* x kept within [low, high]; NaN stays NaN. The gradient passes where x is within, the bounds
 * included. */
#include <math.h>

#include "op/elementwise.h"

typedef struct clamp_attr {
    float low, high;
} clamp_attr;

tutti_tensor tutti_clamp(tutti_graph *g, tutti_tensor x, float low, float high) {
    const clamp_attr attr = {low, high};
    return tutti_op_apply1(g, &tutti_op_clamp, &x, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const clamp_attr *attr = node->attr;
    if (!(attr->low <= attr->high) || attr->low == INFINITY || attr->high == -INFINITY)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "the bounds are %g and %g, expected low <= high", (double)attr->low,
                             (double)attr->high);
    return tutti_elementwise_infer(node, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    const clamp_attr *attr = node->attr;
    char low[TUTTI_F32_TEXT], high[TUTTI_F32_TEXT];
    const bool has_low = isfinite(attr->low), has_high = isfinite(attr->high);
    if (has_low)
        tutti_f32_text(attr->low, low);
    if (has_high)
        tutti_f32_text(attr->high, high);
    /* Comparisons, since fmin and fmax would hide a NaN. */
    if (has_low && has_high)
        return tutti_expr(text, text_size, "(%s < %s ? %s : %s > %s ? %s : %s)", in[0], low, low,
                          in[0], high, high, in[0]);
    if (has_low)
        return tutti_expr(text, text_size, "(%s < %s ? %s : %s)", in[0], low, low, in[0]);
    if (has_high)
        return tutti_expr(text, text_size, "(%s > %s ? %s : %s)", in[0], high, high, in[0]);
    return tutti_expr(text, text_size, "%s", in[0]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    const clamp_attr *attr = call->node->attr;
    (void)index;
    return isnan(x[0]) ? NAN : fmin(fmax(x[0], (double)attr->low), (double)attr->high);
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0]) {
        const tutti_tensor within = tutti_equal(graph, node->in[0], node->out[0]);
        din[0] = tutti_mul(graph, dout[0], within);
    }
    return tutti_graph_status(graph);
}

static const clamp_attr unit = {-1, 1}, from_zero = {0, INFINITY}, up_to = {-INFINITY, 0.5F},
                        open = {-INFINITY, INFINITY}, point = {0.25F, 0.25F}, swapped = {1, -1},
                        not_a_number = {NAN, 1};
static const tutti_op_example examples[] = {
    {.label = "within",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {37}, .lo = -0.9F, .hi = 0.9F}},
     .attr = &unit},
    {.label = "below",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 5}, .lo = -3, .hi = -1.1F}},
     .attr = &unit},
    {.label = "above", .n_in = 1, .in = {{.rank = 0, .lo = 1.1F, .hi = 3}}, .attr = &unit},
    {.label = "mixed",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 40}, .lo = -3, .hi = 3, .no_grad = true}},
     .attr = &unit},
    {.label = "only low",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 40}, .no_grad = true}},
     .attr = &from_zero},
    {.label = "only high",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 40}, .no_grad = true}},
     .attr = &up_to},
    {.label = "NaN",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {7}, .lo = NAN, .hi = NAN, .no_grad = true}},
     .attr = &unit},
    {.label = "open", .n_in = 1, .in = {{.rank = 1, .dim = {7}}}, .attr = &open},
    {.label = "a point",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {7}, .no_grad = true}},
     .attr = &point},
    {.label = "swapped",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {7}}},
     .attr = &swapped,
     .refused = "clamp: the bounds are 1 and -1, expected low <= high"},
    {.label = "a NaN as a bound",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {7}}},
     .attr = &not_a_number,
     .refused = "clamp: the bounds are nan and 1, expected low <= high"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &unit,
     .refused = "clamp: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_clamp = {
    .name = "clamp",
    .summary = "x kept within [low, high]",
    .options = "low <= high; either may be infinite",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .attr_size = sizeof(clamp_attr),
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
