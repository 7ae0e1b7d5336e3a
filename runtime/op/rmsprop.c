/* RMSprop: Hinton: Neural networks for machine learning, lecture 6, 2012; centred and with momentum:
 * Graves: Generating sequences with recurrent neural networks, 2013. Order of operations as in
 * PyTorch. */
#include "op/optimizer.h"

#include <math.h>

tutti_tensor tutti_rmsprop(tutti_graph *graph, tutti_tensor param, tutti_tensor grad,
                           tutti_tensor square, tutti_tensor mean, tutti_tensor momentum,
                           const tutti_rmsprop_attr *attr) {
    tutti_tensor in[5] = {param, grad, square};
    int32_t n_in = 3;
    if (attr->centered != 0)
        in[n_in++] = mean;
    if (attr->momentum != 0)
        in[n_in++] = momentum;
    return tutti_op_apply1(graph, &tutti_op_rmsprop, in, n_in, attr, sizeof *attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_rmsprop_attr *attr = node->attr;
    if (!(attr->alpha >= 0 && attr->alpha < 1 && attr->momentum >= 0 && attr->momentum < 1))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "alpha is %g, momentum is %g, must be at least 0 and less than 1",
                             attr->alpha, attr->momentum);
    if (!(attr->eps > 0 && attr->weight_decay >= 0))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "eps is %g, weight_decay is %g, must be above 0 and at least 0",
                             attr->eps, attr->weight_decay);
    if (node->n_in != 3 + (attr->centered != 0 ? 1 : 0) + (attr->momentum != 0 ? 1 : 0))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "momentum is %g, centered %d with %d inputs", attr->momentum,
                             attr->centered != 0, (int)node->n_in);
    return tutti_optimizer_infer(node, out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    return tutti_update_cost(node, 16.0);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    const tutti_rmsprop_attr *attr = node->attr;
    const char *options = attr->centered != 0 && attr->momentum != 0 ? "-DCENTERED -DMOMENTUM"
                          : attr->centered != 0                      ? "-DCENTERED"
                          : attr->momentum != 0                      ? "-DMOMENTUM"
                                                                     : "";
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    tutti_launch *launch =
        tutti_update_launch(node, out, candidate, "rmsprop.cl", "rmsprop", options);
    tutti_launch_host_f32(out, launch, tutti_update_lr_f32);
    tutti_launch_f32(out, launch, (float)attr->alpha);
    tutti_launch_f32(out, launch, (float)(1.0 - attr->alpha));
    tutti_launch_f32(out, launch, (float)attr->eps);
    tutti_launch_f32(out, launch, (float)attr->momentum);
    tutti_launch_f32(out, launch, (float)attr->weight_decay);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_rmsprop_attr *attr = call->node->attr;
    const double lr = tutti_update_lr(call->run, attr);
    float *param = call->in[0], *square = call->in[2];
    float *mean = attr->centered != 0 ? call->in[3] : NULL;
    float *velocity = attr->momentum != 0 ? call->in[call->node->n_in - 1] : NULL;
    const float *grad = call->in[1];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    for (int64_t i = 0; i < count; i++) {
        const double g = (double)grad[i] + attr->weight_decay * (double)param[i];
        const double s = attr->alpha * (double)square[i] + (1 - attr->alpha) * g * g;
        double variance = s;
        if (mean != NULL) {
            const double m = attr->alpha * (double)mean[i] + (1 - attr->alpha) * g;
            variance = fmax(s - m * m, 0);
            mean[i] = (float)m;
        }
        double step = g / (sqrt(variance) + attr->eps);
        if (velocity != NULL) {
            step += attr->momentum * (double)velocity[i];
            velocity[i] = (float)step;
        }
        square[i] = (float)s;
        param[i] = (float)((double)param[i] - lr * step);
    }
}

/* The mean square is above the square of the mean. */
#define STATES(count, ...)                                                                         \
    .n_in = count, .in = {{__VA_ARGS__},                                                           \
                          {__VA_ARGS__},                                                           \
                          {__VA_ARGS__, .lo = 0.25F, .hi = 1},                                     \
                          {__VA_ARGS__, .lo = -0.5F, .hi = 0.5F},                                  \
                          {__VA_ARGS__}}
static const tutti_rmsprop_attr plain = {{1, 0, 1}, 0.99, 1e-8, 0, 0, 0};
static const tutti_rmsprop_attr momentum = {{0.5, 1, 2}, 0.9, 1e-3, 0.9, 0.1, 0};
static const tutti_rmsprop_attr centered = {{1, 2, 1}, 0.95, 1e-6, 0, 0, 1};
static const tutti_rmsprop_attr both = {{1, 3, 1}, 0.9, 1e-3, 0.5, 0.01, 1};
static const tutti_rmsprop_attr bad = {{1, 0, 1}, 1, 1e-8, 0, 0, 0};
static const tutti_op_example examples[] = {
    {.label = "matrix", STATES(3, .rank = 2, .dim = {33, 7}), .attr = &plain},
    {.label = "momentum", STATES(4, .rank = 1, .dim = {40}), .attr = &momentum},
    {.label = "centered", STATES(4, .rank = 1, .dim = {40}), .attr = &centered},
    {.label = "both", STATES(5, .rank = 0), .attr = &both},
    {.label = "alpha",
     STATES(3, .rank = 1, .dim = {3}),
     .attr = &bad,
     .refused = "rmsprop: alpha is 1, momentum is 0, must be at least 0 and less than 1"},
    {.label = "no velocity",
     STATES(3, .rank = 1, .dim = {3}),
     .attr = &momentum,
     .refused = "rmsprop: momentum is 0.9, centered 0 with 3 inputs"},
};

const tutti_op tutti_op_rmsprop = {
    .name = "rmsprop",
    .summary = "RMSprop's update of a parameter, its mean square, mean and momentum",
    .shapes =
        "param, grad, square, mean and momentum (may be missing) of one shape -> the new param",
    .options = "lr_factor; alpha, momentum: 0 to less than 1; centered; eps: above 0; "
               "weight_decay: at least 0",
    .source = "Hinton: Neural networks for machine learning, lecture 6, 2012; Graves: Generating "
              "sequences with recurrent neural networks, 2013",
    .n_in_min = 3,
    .n_in_max = 5,
    .n_out = 1,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD | TUTTI_OP_GROUP | TUTTI_OP_GRADIENT,
    .mutates = 1U << 0 | 1U << 2 | 1U << 3 | 1U << 4,
    .attr_size = sizeof(tutti_rmsprop_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
