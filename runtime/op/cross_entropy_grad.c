/* Gradient of cross_entropy by the logits. With the row's label y, p = softmax(x), smoothing s and
 * W the sum of the weights w:
 *
 *   (p[c] ((1 - s) w[y] + s / C * W) - s / C * w[c] - (1 - s) w[y] [c == y]) * dloss
 *
 * 0 where the label is ignored. */
#include "op/cross_entropy.h"

#include <math.h>

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    tutti_status status = tutti_cross_entropy_check(node, 3);
    if (status != TUTTI_OK)
        return status;
    const tutti_type *labels = &node->in_type[1], *dloss = &node->in_type[2];
    char text_labels[TUTTI_SHAPE_TEXT], text_dloss[TUTTI_SHAPE_TEXT];
    if (dloss->dtype != TUTTI_F32 || !tutti_shape_equal(&labels->shape, &dloss->shape))
        return tutti_op_fail(
            node, TUTTI_SHAPE, "labels are %s, dloss is %s %s: expected f32 and equal shapes",
            tutti_shape_text(&labels->shape, text_labels), tutti_dtype_name(dloss->dtype),
            tutti_shape_text(&dloss->shape, text_dloss));
    out->type = node->in_type[0];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_rows_cost(node, n, 24);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    tutti_launch *launch =
        tutti_rows_launch(node, device, out, node->n_in == 4 ? "-DWEIGHTED" : "");
    tutti_cross_entropy_args(node, out, launch);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_cross_entropy_attr *attr = call->node->attr;
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    const float *weights = call->node->n_in == 4 ? call->in[3] : NULL;
    const double s = (double)attr->smoothing;
    double all = (double)columns;
    if (weights != NULL) {
        all = 0;
        for (int64_t c = 0; c < columns; c++)
            all += (double)weights[c];
    }
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0] + r * columns;
        const int32_t label = ((const int32_t *)call->in[1])[r];
        const double dloss = (double)((const float *)call->in[2])[r];
        float *dx = (float *)call->out[0] + r * columns;
        const bool known = label >= 0 && label < columns;
        const bool ignored = attr->ignore != 0 && label == attr->ignore_index;
        const double log_sum = tutti_rows_log_sum(x, columns);
        for (int64_t c = 0; c < columns; c++) {
            const double wc = weights != NULL ? (double)weights[c] : 1;
            const double wy = !known ? (double)NAN : weights != NULL ? (double)weights[label] : 1;
            const double p = exp((double)x[c] - log_sum);
            const double sharp = (1 - s) * wy * (p - (c == label ? 1 : 0));
            const double soft = s / (double)columns * (p * all - wc);
            dx[c] = ignored ? 0 : (float)((sharp + soft) * dloss);
        }
    }
}

#define CASE(text, rows, classes, low, high, options)                                              \
    {                                                                                              \
        .label = text, .n_in = 3,                                                                  \
        .in = {{.rank = 2, .dim = {rows, classes}, .lo = -4, .hi = 4},                             \
               {.dtype = TUTTI_I32, .rank = 1, .dim = {rows}, .lo = low, .hi = high},              \
               {.rank = 1, .dim = {rows}}},                                                        \
        .attr = &(options)                                                                         \
    }
#define WEIGHTED(text, rows, classes, low, high, options)                                          \
    {                                                                                              \
        .label = text, .n_in = 4,                                                                  \
        .in = {{.rank = 2, .dim = {rows, classes}, .lo = -4, .hi = 4},                             \
               {.dtype = TUTTI_I32, .rank = 1, .dim = {rows}, .lo = low, .hi = high},              \
               {.rank = 1, .dim = {rows}},                                                         \
               {.rank = 1, .dim = {classes}, .lo = 0.25F, .hi = 2}},                               \
        .attr = &(options)                                                                         \
    }
static const tutti_cross_entropy_attr plain = {0, 0, 0}, smooth = {0.1F, 0, 0};
static const tutti_cross_entropy_attr second = {0, 1, 1}, outside = {0.25F, 1, -1};
static const tutti_op_example examples[] = {
    CASE("smooth", TUTTI_BATCH, 7, 0, 7, smooth),
    CASE("ignored", TUTTI_BATCH, 3, 0, 3, second),
    WEIGHTED("weights", TUTTI_BATCH, 49, 0, 49, plain),
    WEIGHTED("all options", 9, 37, -1, 2, outside),
    CASE("one class", 3, 1, -1, 1, outside),
    WEIGHTED("labels outside", 8, 4, -3, 7, outside),
    {.label = "too few gradients",
     .n_in = 3,
     .in = {{.rank = 2, .dim = {5, 3}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3},
            {.rank = 1, .dim = {4}}},
     .attr = &plain,
     .refused = "cross_entropy_grad: labels are 5, dloss is f32 4: expected f32 and equal shapes"},
};

const tutti_op tutti_op_cross_entropy_grad = {
    .name = "cross_entropy_grad",
    .summary = "gradient of cross_entropy by the logits",
    .shapes =
        "logits (NxC), labels (N, i32), dloss (N), class weights (C, may be missing) -> (NxC)",
    .options = "as cross_entropy",
    .n_in_min = 3,
    .n_in_max = 4,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_cross_entropy_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
