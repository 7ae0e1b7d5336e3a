/* Cross-entropy of softmax(x[r]) with a smoothed label, per row r, classes weighted:
 *
 *   w[y] ((1 - s) (L - x[y])) + s / C * (sum over c of w[c] (L - x[c])),   L = log(sum of exp(x))
 *
 * and the row's weight w[y]; both are 0 where the label y is to be ignored. The mean is the sum of
 * the first over the sum of the second, over the whole batch, as in PyTorch. Label smoothing:
 * Szegedy et al.: Rethinking the Inception architecture, 2016. */
#include "op/cross_entropy.h"

#include <math.h>

tutti_tensor tutti_cross_entropy(tutti_graph *g, tutti_tensor logits, tutti_tensor labels,
                                 const tutti_cross_entropy_options *options) {
    static const tutti_cross_entropy_options none = {0};
    const tutti_cross_entropy_options *o = options != NULL ? options : &none;
    const tutti_cross_entropy_attr attr = {o->label_smoothing, o->ignore, o->ignore_index};
    const tutti_tensor in[3] = {logits, labels, o->class_weights};
    const int32_t n_in = o->class_weights.id != 0 ? 3 : 2;
    tutti_tensor out[2];
    if (tutti_op_apply(g, &tutti_op_cross_entropy, in, n_in, &attr, sizeof attr, out) != TUTTI_OK)
        return (tutti_tensor){0};
    /* All weights are 1: then the devices need not meet before the gradient. */
    if (n_in == 2 && !o->ignore)
        return tutti_mean(g, out[0], 0, NULL, false);
    return tutti_div(g, tutti_sum(g, out[0], 0, NULL, false), tutti_sum(g, out[1], 0, NULL, false));
}

tutti_status tutti_cross_entropy_check(const tutti_node_info *node, int32_t weights) {
    const tutti_cross_entropy_attr *attr = node->attr;
    tutti_status status = tutti_rows_check_labels(node);
    if (status != TUTTI_OK)
        return status;
    if (!(attr->smoothing >= 0 && attr->smoothing <= 1))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "label_smoothing is %g, must be from 0 to 1", (double)attr->smoothing);
    if (weights >= node->n_in)
        return TUTTI_OK;
    const tutti_type *x = &node->in_type[0], *w = &node->in_type[weights];
    char text_x[TUTTI_SHAPE_TEXT], text_w[TUTTI_SHAPE_TEXT];
    if (w->dtype != TUTTI_F32 || w->shape.rank != 1 || w->shape.batched ||
        w->shape.dim[0] != tutti_rows_columns(node))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "logits are %s, class_weights are %s %s: expected an f32 per class",
                             tutti_shape_text(&x->shape, text_x), tutti_dtype_name(w->dtype),
                             tutti_shape_text(&w->shape, text_w));
    return TUTTI_OK;
}

void tutti_cross_entropy_args(const tutti_node_info *node, tutti_lowering *out,
                              tutti_launch *launch) {
    const tutti_cross_entropy_attr *attr = node->attr;
    tutti_launch_f32(out, launch, attr->smoothing);
    tutti_launch_i32(out, launch, tutti_extent_const(attr->ignore));
    tutti_launch_i32(out, launch, tutti_extent_const(attr->ignore_index));
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    tutti_status status = tutti_cross_entropy_check(node, 2);
    if (status == TUTTI_OK)
        out[0].type = out[1].type = (tutti_type){TUTTI_F32, node->in_type[1].shape};
    return status;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_rows_cost(node, n, 24);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    tutti_launch *launch =
        tutti_rows_launch(node, device, out, node->n_in == 3 ? "-DWEIGHTED" : "");
    tutti_launch_tensor(out, launch, node->out[1]);
    tutti_cross_entropy_args(node, out, launch);
    return tutti_lowering_status(out);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0] && dout[0].id != 0)
        din[0] = tutti_op_apply1(graph, &tutti_op_cross_entropy_grad,
                                 (tutti_tensor[]){node->in[0], node->in[1], dout[0], node->in[2]},
                                 node->n_in + 1, node->attr, sizeof(tutti_cross_entropy_attr));
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const tutti_cross_entropy_attr *attr = call->node->attr;
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    const float *weights = call->node->n_in == 3 ? call->in[2] : NULL;
    const double s = (double)attr->smoothing;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0] + r * columns;
        const int32_t label = ((const int32_t *)call->in[1])[r];
        const double log_sum = tutti_rows_log_sum(x, columns);
        double loss = 0, weight = 0;
        if (attr->ignore == 0 || label != attr->ignore_index) {
            const bool known = label >= 0 && label < columns;
            weight = !known ? (double)NAN : weights != NULL ? (double)weights[label] : 1;
            loss = !known ? (double)NAN : (1 - s) * weight * (log_sum - (double)x[label]);
            for (int64_t c = 0; c < columns; c++)
                loss += s / (double)columns * (weights != NULL ? (double)weights[c] : 1) *
                        (log_sum - (double)x[c]);
        }
        ((float *)call->out[0])[r] = (float)loss;
        ((float *)call->out[1])[r] = (float)weight;
    }
}

#define CASE(text, rows, classes, low, high, options)                                              \
    {                                                                                              \
        .label = text, .n_in = 2,                                                                  \
        .in = {{.rank = 2, .dim = {rows, classes}, .lo = -4, .hi = 4},                             \
               {.dtype = TUTTI_I32, .rank = 1, .dim = {rows}, .lo = low, .hi = high}},             \
        .attr = &(options)                                                                         \
    }
#define WEIGHTED(text, rows, classes, low, high, options)                                          \
    {                                                                                              \
        .label = text, .n_in = 3,                                                                  \
        .in = {{.rank = 2, .dim = {rows, classes}, .lo = -4, .hi = 4},                             \
               {.dtype = TUTTI_I32, .rank = 1, .dim = {rows}, .lo = low, .hi = high},              \
               {.rank = 1, .dim = {classes}, .lo = 0.25F, .hi = 2, .no_grad = true}},              \
        .attr = &(options)                                                                         \
    }
static const tutti_cross_entropy_attr plain = {0, 0, 0}, smooth = {0.1F, 0, 0};
static const tutti_cross_entropy_attr second = {0, 1, 1}, outside = {0.25F, 1, -1};
static const tutti_cross_entropy_attr bad = {1.5F, 0, 0};
static const tutti_op_example examples[] = {
    CASE("smooth", TUTTI_BATCH, 7, 0, 7, smooth),
    /* Near each other: when one row is left, its loss must not vanish beside the logits' rounding. */
    {.label = "ignored",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {TUTTI_BATCH}, .hi = 3}},
     .attr = &second},
    WEIGHTED("weights", TUTTI_BATCH, 49, 0, 49, plain),
    /* The sum of distances, which only smoothing needs, is infinite. */
    {.label = "far apart",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 60}, .lo = -3e38F, .no_grad = true},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {TUTTI_BATCH}, .hi = 60}},
     .attr = &plain},
    WEIGHTED("all options", 9, 37, -1, 2, outside),
    CASE("one class", 3, 1, -1, 1, outside),
    {.label = "labels outside",
     .n_in = 3,
     .in = {{.rank = 2, .dim = {8, 4}, .no_grad = true},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {8}, .lo = -3, .hi = 7},
            {.rank = 1, .dim = {4}, .no_grad = true}},
     .attr = &outside},
    {.label = "too few labels",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {5, 3}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .attr = &plain,
     .refused = "cross_entropy: logits are 5x3, labels are 4: expected one label per row"},
    {.label = "too few weights",
     .n_in = 3,
     .in = {{.rank = 2, .dim = {5, 3}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3},
            {.rank = 1, .dim = {2}}},
     .attr = &plain,
     .refused =
         "cross_entropy: logits are 5x3, class_weights are f32 2: expected an f32 per class"},
    {.label = "smoothing beyond 1",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {5, 3}}, {.dtype = TUTTI_I32, .rank = 1, .dim = {5}, .hi = 3}},
     .attr = &bad,
     .refused = "cross_entropy: label_smoothing is 1.5, must be from 0 to 1"},
};

const tutti_op tutti_op_cross_entropy = {
    .name = "cross_entropy",
    .summary = "per row: cross-entropy with class weights, label smoothing and labels to ignore; "
               "and the row's weight",
    .shapes = "logits (NxC), labels (N, i32), class weights (C, may be missing) -> losses (N), "
              "weights (N)",
    .options = "label_smoothing: 0 to 1, default 0; ignore, ignore_index: rows with that label "
               "count nothing; class_weights",
    .source = "Szegedy et al.: Rethinking the Inception architecture, 2016; the mean as in PyTorch",
    .n_in_min = 2,
    .n_in_max = 3,
    .n_out = 2,
    .attr_size = sizeof(tutti_cross_entropy_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
