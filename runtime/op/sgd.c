/* Stochastic gradient descent with momentum, Nesterov's momentum (Sutskever et al.: On the
 * importance of initialization and momentum in deep learning, 2013) and weight decay, as PyTorch
 * has it: the velocity starts at the first gradient. */
#include "op/optimizer.h"

#include "base/status.h"

tutti_tensor tutti_sgd(tutti_graph *graph, tutti_tensor param, tutti_tensor grad,
                       tutti_tensor momentum, const tutti_sgd_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_sgd, (tutti_tensor[]){param, grad, momentum},
                           attr->momentum != 0 ? 3 : 2, attr, sizeof *attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_sgd_attr *attr = node->attr;
    if (!(attr->momentum >= 0 && attr->momentum < 1 && attr->weight_decay >= 0))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "momentum is %g, weight_decay is %g, must be in [0, 1) and at least 0",
                             attr->momentum, attr->weight_decay);
    if (attr->nesterov != 0 && attr->momentum == 0)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "nesterov needs a momentum above 0");
    if ((attr->momentum != 0) != (node->n_in == 3))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "momentum is %g with %d inputs",
                             attr->momentum, (int)node->n_in);
    return tutti_optimizer_infer(node, out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    return tutti_update_cost(node, 6.0);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    const tutti_sgd_attr *attr = node->attr;
    const char *options = attr->nesterov != 0 ? "-DMOMENTUM -DNESTEROV"
                          : node->n_in == 3   ? "-DMOMENTUM"
                                              : "";
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    tutti_launch *launch = tutti_update_launch(node, out, candidate, "sgd.cl", "sgd", options);
    tutti_launch_host_f32(out, launch, tutti_update_lr_f32);
    tutti_launch_f32(out, launch, (float)attr->momentum);
    tutti_launch_f32(out, launch, (float)attr->weight_decay);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_sgd_attr *attr = call->node->attr;
    const double lr = tutti_update_lr(call->run, attr);
    float *param = call->in[0], *velocity = call->node->n_in == 3 ? call->in[2] : NULL;
    const float *grad = call->in[1];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    for (int64_t i = 0; i < count; i++) {
        double step = (double)grad[i] + attr->weight_decay * (double)param[i];
        if (velocity != NULL) {
            const double speed = attr->momentum * (double)velocity[i] + step;
            velocity[i] = (float)speed;
            step = attr->nesterov != 0 ? step + attr->momentum * speed : speed;
        }
        param[i] = (float)((double)param[i] - lr * step);
    }
}

#define SAME2(...)                                                                                 \
    {                                                                                              \
        {__VA_ARGS__}, {                                                                           \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define SAME3(...)                                                                                 \
    {                                                                                              \
        {__VA_ARGS__}, {__VA_ARGS__}, {                                                            \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
static const tutti_sgd_attr plain = {{1, 0, 1}, 0, 0, 0};
static const tutti_sgd_attr decayed = {{0.25, 2, 1}, 0, 0.1, 0};
static const tutti_sgd_attr momentum = {{1, 1, 1}, 0.9, 0.01, 0};
static const tutti_sgd_attr nesterov = {{1, 1, 4}, 0.9, 0.01, 1};
static const tutti_sgd_attr bad = {{1, 0, 1}, 0, 0, 1};
static const tutti_sgd_attr backwards = {{-1, 0, 1}, 0, 0, 0};
static const tutti_op_example examples[] = {
    {.label = "plain", .n_in = 2, .in = SAME2(.rank = 2, .dim = {33, 7}), .attr = &plain},
    {.label = "decay", .n_in = 2, .in = SAME2(.rank = 1, .dim = {130}), .attr = &decayed},
    {.label = "momentum", .n_in = 3, .in = SAME3(.rank = 1, .dim = {130}), .attr = &momentum},
    {.label = "nesterov", .n_in = 3, .in = SAME3(.rank = 3, .dim = {3, 4, 5}), .attr = &nesterov},
    {.label = "no velocity",
     .n_in = 2,
     .in = SAME2(.rank = 1, .dim = {3}),
     .attr = &momentum,
     .refused = "sgd: momentum is 0.9 with 2 inputs"},
    {.label = "nesterov alone",
     .n_in = 2,
     .in = SAME2(.rank = 1, .dim = {3}),
     .attr = &bad,
     .refused = "sgd: nesterov needs a momentum above 0"},
    {.label = "lr_factor",
     .n_in = 2,
     .in = SAME2(.rank = 1, .dim = {3}),
     .attr = &backwards,
     .refused = "sgd: lr_factor is -1, an update every 1 steps: must be at least 0 and 1"},
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {3}}, {.rank = 2, .dim = {TUTTI_BATCH, 3}}},
     .attr = &plain,
     .refused = "sgd: input 1 is Nx3: batched"},
};

const tutti_op tutti_op_sgd = {
    .name = "sgd",
    .summary = "a step of gradient descent with momentum and weight decay",
    .shapes = "param, grad, momentum (may be missing) of one shape -> the new param",
    .options = "lr_factor; momentum: 0 to less than 1; nesterov; weight_decay: at least 0",
    .source =
        "Sutskever et al.: On the importance of initialization and momentum in deep learning, 2013",
    .n_in_min = 2,
    .n_in_max = 3,
    .n_out = 1,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD | TUTTI_OP_GROUP | TUTTI_OP_GRADIENT,
    .mutates = 1U << 0 | 1U << 2,
    .attr_size = sizeof(tutti_sgd_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
