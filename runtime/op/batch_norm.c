/* Batch normalisation (Ioffe, Szegedy: Batch normalization, 2015): per channel, the mean over the
 * whole batch is taken off and the result divided by the standard deviation; then a scale and a
 * shift. The statistics of all devices' samples are summed in two steps, the mean before the
 * deviations from it, so that a large mean costs no digits.
 *
 * The op is the last step, elementwise: (x - mean) rstd gamma + beta. Its gradient by x is the whole
 * one, also through mean and rstd:
 *   rstd gamma (dy - [sum dy + (x - mean) rstd sum dy (x - mean) rstd] / count)
 * with the sums over the batch that are the gradients of beta and gamma. Outside training, when mean
 * and rstd are running statistics, what is in brackets is left out. */
#include <inttypes.h>

#include "base/status.h"
#include "op/norm.h"

/* 1 / sqrt(variance + eps) */
static tutti_tensor inverse_deviation(tutti_graph *g, tutti_tensor variance, float eps) {
    return tutti_pow_scalar(g, tutti_sqrt(g, tutti_add_scalar(g, variance, eps)), -1);
}

static tutti_status check(const tutti_graph *g, tutti_tensor x, const tutti_tensor *channels,
                          float momentum, float eps) {
    static const char *const names[] = {"gamma", "beta", "running_mean", "running_var"};
    const tutti_type type = tutti_tensor_type(g, x);
    char text[TUTTI_SHAPE_TEXT], other[TUTTI_SHAPE_TEXT];
    tutti_shape_text(&type.shape, text);
    if (type.dtype != TUTTI_F32 || type.shape.rank < 2)
        return tutti_fail(TUTTI_SHAPE, "batch_norm: x is %s %s, expected f32 (N,C) or (N,C,...)",
                          tutti_dtype_name(type.dtype), text);
    for (int32_t i = 0; i < 4; i++) {
        const tutti_tensor_record *record = tutti_graph_record(g, channels[i]);
        const tutti_shape *shape = &record->type.shape;
        if (record->type.dtype != TUTTI_F32 || shape->rank != 1 || shape->batched ||
            shape->dim[0] != type.shape.dim[1])
            return tutti_fail(TUTTI_SHAPE,
                              "batch_norm: x is %s, %s is %s %s: expected f32 %" PRId64, text,
                              names[i], tutti_dtype_name(record->type.dtype),
                              tutti_shape_text(shape, other), type.shape.dim[1]);
        if (i >= 2 && record->kind != TUTTI_TENSOR_STATE)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "batch_norm: %s (%s) is no state of the graph, so training cannot "
                              "change it",
                              names[i], record->name);
    }
    if (!(momentum >= 0 && momentum <= 1) || !(eps > 0))
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "batch_norm: momentum is %g, eps is %g: must be in [0, 1] and above 0",
                          (double)momentum, (double)eps);
    return TUTTI_OK;
}

/* Mean and variance over the batch and all axes behind the channels, in the shape of `kept`. */
static tutti_tensor statistics(tutti_graph *g, tutti_tensor x, tutti_tensor *out_mean) {
    const tutti_shape shape = tutti_graph_tensor_shape(g, x);
    const tutti_norm_view view = tutti_norm_view_of(&shape, 1, 2);
    tutti_tensor m = x, m2 = {0};
    if (view.inner > 1)
        (void)tutti_moments(g, x, shape.rank - 2, &m, &m2);
    *out_mean = tutti_pool_mean(g, m, view.rows);
    return tutti_pool_variance(g, m, m2, *out_mean,
                               &(tutti_pool_rows_attr){(double)view.inner, view.rows});
}

tutti_tensor tutti_batch_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma, tutti_tensor beta,
                              tutti_tensor running_mean, tutti_tensor running_var, float momentum,
                              float eps) {
    const tutti_tensor channels[] = {gamma, beta, running_mean, running_var};
    bool known = tutti_graph_owns(g, x);
    for (int32_t i = 0; i < 4; i++)
        known = known && tutti_graph_owns(g, channels[i]);
    if (!known) /* says which one is not of this graph */
        return tutti_op_apply1(g, &tutti_op_batch_norm,
                               (tutti_tensor[]){x, gamma, beta, running_mean, running_var}, 5, NULL,
                               0);
    const tutti_status status = check(g, x, channels, momentum, eps);
    if (status != TUTTI_OK)
        return tutti_graph_reject(g, status);
    tutti_tensor mean;
    const tutti_tensor variance = statistics(g, x, &mean);
    const tutti_shape shape = tutti_graph_tensor_shape(g, x);
    const tutti_shape kept = tutti_graph_tensor_shape(g, mean), flat = {1, false, {shape.dim[1]}};
    tutti_running_average_attr attr = {.momentum = tutti_decimal(momentum)};
    attr.count = tutti_extent_count(&shape);
    attr.count.base /= shape.dim[1];
    attr.count.per_sample /= shape.dim[1];
    (void)tutti_running_statistics(g, running_mean, tutti_reshape_to(g, mean, &flat), running_var,
                                   tutti_reshape_to(g, variance, &flat), &attr);

    const tutti_tensor used_variance =
        tutti_by_mode(g, variance, tutti_reshape_to(g, running_var, &kept));
    const tutti_tensor in[] = {x, tutti_by_mode(g, mean, tutti_reshape_to(g, running_mean, &kept)),
                               inverse_deviation(g, used_variance, eps),
                               tutti_reshape_to(g, gamma, &kept), tutti_reshape_to(g, beta, &kept)};
    return tutti_op_apply1(g, &tutti_op_batch_norm, in, 5, NULL, 0);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    static const char *const names[] = {"x", "mean", "rstd", "gamma", "beta"};
    const tutti_shape *x = &node->in_type[0].shape;
    char text[TUTTI_SHAPE_TEXT], other[TUTTI_SHAPE_TEXT];
    TUTTI_TRY(tutti_elementwise_infer(node, out));
    for (int32_t i = 1; i < 5; i++) {
        const tutti_shape *shape = &node->in_type[i].shape;
        bool fits = x->rank > 1 && shape->rank == x->rank - 1 && shape->dim[0] == x->dim[1];
        for (int32_t d = 1; d < shape->rank; d++)
            fits = fits && shape->dim[d] == 1;
        if (!fits)
            return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, %s is %s: expected one per channel",
                                 tutti_shape_text(x, text), names[i],
                                 tutti_shape_text(shape, other));
    }
    return TUTTI_OK;
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "(%s - %s) * (%s * %s) + %s", in[0], in[1], in[2], in[3],
                      in[4]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return (x[0] - x[1]) * x[2] * x[3] + x[4];
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

/* x over the elements of a channel in the whole batch, negative. */
static tutti_tensor negative_mean(tutti_graph *g, tutti_tensor x, const tutti_shape *of) {
    const tutti_norm_view view = tutti_norm_view_of(of, 1, 2);
    const float factor = (float)(-1 / (double)(of->dim[0] * view.inner));
    return of->batched ? tutti_scale_over_batch(g, x, factor) : tutti_scale(g, x, factor);
}

/* What has the shape of the channels comes first, so that it becomes one kernel and the rest
 * another. */
static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_tensor x = node->in[0], mean = node->in[1], rstd = node->in[2], gamma = node->in[3];
    const tutti_shape *kept = &node->in_type[1].shape, *shape = &node->in_type[0].shape;
    const tutti_norm_sums_attr attr = {.first = 1, .last = 2};
    tutti_tensor scale, shift;
    (void)tutti_norm_sums(graph, dout[0], x, mean, rstd, &attr, &scale, &shift);
    scale = tutti_reshape_to(graph, scale, kept);
    shift = tutti_reshape_to(graph, shift, kept);
    if (want[3])
        din[3] = scale;
    if (want[4])
        din[4] = shift;
    if (!want[0])
        return tutti_graph_status(graph);
    const tutti_tensor slope = tutti_mul(graph, rstd, gamma);
    const tutti_tensor tilt =
        negative_mean(graph, tutti_mul(graph, tutti_mul(graph, slope, rstd), scale), shape);
    const tutti_tensor level = negative_mean(graph, tutti_mul(graph, slope, shift), shape);
    const tutti_tensor none = tutti_constant(graph, kept, 0);
    const tutti_tensor used_tilt = tutti_by_mode(graph, tilt, none);
    const tutti_tensor used_level = tutti_by_mode(graph, level, none);
    din[0] = tutti_add(
        graph, tutti_mul(graph, dout[0], slope),
        tutti_add(graph, tutti_mul(graph, tutti_sub(graph, x, mean), used_tilt), used_level));
    return tutti_graph_status(graph);
}

/* The differences of mean and rstd would not be those of x, whose gradient tests/golden and
 * tests/exec/test_batch_norm.c check. */
#define X(axes, ...)                                                                               \
    { .rank = axes, .dim = {__VA_ARGS__}, .no_grad = true }
#define CHANNEL                                                                                    \
    {.rank = 3, .dim = {3, 1, 1}, .no_grad = true},                                                \
        {.rank = 3, .dim = {3, 1, 1}, .lo = 0.5F, .hi = 2, .no_grad = true},                       \
        {.rank = 3, .dim = {3, 1, 1}}, {                                                           \
        .rank = 3, .dim = { 3, 1, 1 }                                                              \
    }
#define FEATURE                                                                                    \
    {.rank = 1, .dim = {19}, .no_grad = true},                                                     \
        {.rank = 1, .dim = {19}, .lo = 0.5F, .hi = 2, .no_grad = true}, {.rank = 1, .dim = {19}},  \
    {                                                                                              \
        .rank = 1, .dim = { 19 }                                                                   \
    }
static const tutti_op_example examples[] = {
    {.label = "planes", .n_in = 5, .in = {X(4, TUTTI_BATCH, 3, 5, 7), CHANNEL}},
    {.label = "features", .n_in = 5, .in = {X(2, TUTTI_BATCH, 19), FEATURE}},
    {.label = "no batch", .n_in = 5, .in = {X(4, 2, 3, 2, 1), CHANNEL}},
    {.label = "other channels",
     .n_in = 5,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 1, 5, 7}}, CHANNEL},
     .refused = "batch_norm: x is Nx1x5x7, mean is 3x1x1: expected one per channel"},
    {.label = "vector",
     .n_in = 5,
     .in = {{.rank = 1, .dim = {19}}, FEATURE},
     .refused = "batch_norm: x is 19, mean is 19: expected one per channel"},
};

const tutti_op tutti_op_batch_norm = {
    .name = "batch_norm",
    .summary = "normalises each channel by statistics of the whole batch, then scales and shifts",
    .shapes = "x (N,C) or (N,C,...), mean, rstd, gamma, beta (C) -> x's",
    .source = "Ioffe, Szegedy: Batch normalization, 2015",
    .n_in_min = 5,
    .n_in_max = 5,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE,
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
