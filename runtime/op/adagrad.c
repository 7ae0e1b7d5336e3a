/* Adagrad: Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic
 * optimization, 2011. Order of operations as in PyTorch. */
#include "op/optimizer.h"

#include <math.h>

tutti_tensor tutti_adagrad(tutti_graph *graph, tutti_tensor param, tutti_tensor grad,
                           tutti_tensor sum, const tutti_adagrad_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_adagrad, (tutti_tensor[]){param, grad, sum}, 3, attr,
                           sizeof *attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_adagrad_attr *attr = node->attr;
    if (!(attr->eps > 0 && attr->weight_decay >= 0))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "eps is %g, weight_decay is %g, must be above 0 and at least 0",
                             attr->eps, attr->weight_decay);
    return tutti_optimizer_infer(node, out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    return tutti_update_cost(node, 12.0);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    const tutti_adagrad_attr *attr = node->attr;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    tutti_launch *launch = tutti_update_launch(node, out, candidate, "adagrad.cl", "adagrad", "");
    tutti_launch_host_f32(out, launch, tutti_update_lr_f32);
    tutti_launch_f32(out, launch, (float)attr->eps);
    tutti_launch_f32(out, launch, (float)attr->weight_decay);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_adagrad_attr *attr = call->node->attr;
    const double lr = tutti_update_lr(call->run, attr);
    float *param = call->in[0], *sum = call->in[2];
    const float *grad = call->in[1];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    for (int64_t i = 0; i < count; i++) {
        const double g = (double)grad[i] + attr->weight_decay * (double)param[i];
        const double s = (double)sum[i] + g * g;
        sum[i] = (float)s;
        param[i] = (float)((double)param[i] - lr * g / (sqrt(s) + attr->eps));
    }
}

#define STATES(...)                                                                                \
    .n_in = 3, .in = {{__VA_ARGS__}, {__VA_ARGS__}, {__VA_ARGS__, .lo = 0.01F, .hi = 4}}
static const tutti_adagrad_attr plain = {{1, 0, 1}, 1e-10, 0};
static const tutti_adagrad_attr decayed = {{2, 3, 1}, 1e-3, 0.1};
static const tutti_adagrad_attr bad = {{1, 0, 1}, 0, 0};
static const tutti_op_example examples[] = {
    {.label = "matrix", STATES(.rank = 2, .dim = {33, 7}), .attr = &plain},
    {.label = "decay", STATES(.rank = 1, .dim = {50}), .attr = &decayed},
    {.label = "scalar", STATES(.rank = 0), .attr = &plain},
    {.label = "eps",
     STATES(.rank = 1, .dim = {3}),
     .attr = &bad,
     .refused = "adagrad: eps is 0, weight_decay is 0, must be above 0 and at least 0"},
};

const tutti_op tutti_op_adagrad = {
    .name = "adagrad",
    .summary = "Adagrad's update of a parameter and its sum of squares",
    .shapes = "param, grad, sum of one shape -> the new param",
    .options = "lr_factor; eps: above 0; weight_decay: at least 0",
    .source = "Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and "
              "stochastic optimization, 2011",
    .n_in_min = 3,
    .n_in_max = 3,
    .n_out = 1,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD | TUTTI_OP_GROUP | TUTTI_OP_GRADIENT,
    .mutates = 1U << 0 | 1U << 2,
    .attr_size = sizeof(tutti_adagrad_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
