/* LAMB: You et al.: Large batch optimization for deep learning: training BERT in 76 minutes, 2020,
 * algorithm 2: Adam's direction plus decay, scaled per parameter by |param| / |direction| (by 1 when
 * either is 0). The norms are summed in a fixed order. */
#include "op/optimizer.h"

#include <math.h>

tutti_tensor tutti_lamb(tutti_graph *graph, tutti_tensor param, tutti_tensor grad, tutti_tensor m,
                        tutti_tensor v, const tutti_adam_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_lamb, (tutti_tensor[]){param, grad, m, v}, 4, attr,
                           sizeof *attr);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    tutti_cost c = tutti_update_cost(node, 24.0);
    c.bytes += 12.0 * (double)tutti_shape_count(&node->in_type[0].shape, 0); /* the direction */
    return c;
}

/* 1 / (1 - beta1^t) */
static float unbias(const tutti_run_values *run, const void *attr) {
    const tutti_adam_attr *adam = attr;
    return (float)(1.0 / (1.0 - pow(adam->beta1, tutti_update_number(run, attr))));
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_adam_attr *attr = node->attr;
    const int64_t count = tutti_shape_count(&node->in_type[0].shape, 0);
    const tutti_extent all = tutti_extent_const(count);
    const bool group = (device->type & TUTTI_DEVICE_CPU) == 0 && device->max_work_group >= 64;
    const int64_t wanted = count / (group ? 512 : 4096);
    const int64_t parts = wanted < 1 ? 1 : wanted > 128 ? 128 : wanted;
    tutti_candidate *candidate = tutti_lowering_candidate(out, group ? "group" : "row");
    const uint32_t direction =
        tutti_candidate_scratch(out, candidate, tutti_extent_const(count * 4));
    const uint32_t norms =
        tutti_candidate_scratch(out, candidate, tutti_extent_const((2 * parts + 1) * 4));
    tutti_launch *launch = tutti_candidate_launch(out, candidate, "lamb.cl",
                                                  group ? "lamb_group" : "lamb_row", "%s", "");
    for (int32_t i = 0; i < 4; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_scratch(out, launch, direction);
    tutti_launch_scratch(out, launch, norms);
    tutti_launch_i32(out, launch, all);
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_f32(out, launch, (float)attr->beta1);
    tutti_launch_f32(out, launch, (float)(1.0 - attr->beta1));
    tutti_launch_f32(out, launch, (float)attr->beta2);
    tutti_launch_f32(out, launch, (float)(1.0 - attr->beta2));
    tutti_launch_f32(out, launch, (float)attr->eps);
    tutti_launch_f32(out, launch, (float)attr->weight_decay);
    tutti_launch_host_f32(out, launch, unbias);
    tutti_launch_host_f32(out, launch, tutti_adam_root2);
    tutti_launch_range(launch, tutti_extent_const(parts * (group ? 64 : 1)), 1, group ? 64 : 1);

    launch = tutti_candidate_launch(out, candidate, "lamb.cl", "lamb_trust", "%s", "");
    tutti_launch_scratch(out, launch, norms);
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_host_f32(out, launch, tutti_update_lr_f32);
    tutti_launch_range(launch, tutti_extent_const(1), 1, 1);

    launch = tutti_candidate_launch(out, candidate, "lamb.cl", "lamb_apply", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_scratch(out, launch, direction);
    tutti_launch_scratch(out, launch, norms);
    tutti_launch_i32(out, launch, all);
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_range(launch, all, 1, 64);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_adam_attr *attr = call->node->attr;
    const double lr = tutti_update_lr(call->run, attr), t = tutti_update_number(call->run, attr);
    float *param = call->in[0], *m = call->in[2], *v = call->in[3];
    const float *grad = call->in[1];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    double weights = 0, directions = 0, trust = 1;
    /* Twice the same: first the norms, then, with the trust known, the step. */
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < count; i++) {
            const double w = (double)param[i], g = (double)grad[i];
            const double mi = attr->beta1 * (double)m[i] + (1 - attr->beta1) * g;
            const double vi = attr->beta2 * (double)v[i] + (1 - attr->beta2) * g * g;
            const double mean = mi / (1 - pow(attr->beta1, t));
            const double variance = vi / (1 - pow(attr->beta2, t));
            const double u = mean / (sqrt(variance) + attr->eps) + attr->weight_decay * w;
            if (pass == 0) {
                weights += w * w;
                directions += u * u;
                continue;
            }
            param[i] = (float)(w - lr * trust * u);
            m[i] = (float)mi;
            v[i] = (float)vi;
        }
        if (weights > 0 && directions > 0)
            trust = sqrt(weights) / sqrt(directions);
    }
}

#define STATES(...)                                                                                \
    .n_in = 4,                                                                                     \
    .in = {{__VA_ARGS__}, {__VA_ARGS__}, {__VA_ARGS__}, {__VA_ARGS__, .lo = 0.01F, .hi = 1}}
static const tutti_adam_attr usual = {{1, 0, 1}, 0.9, 0.999, 1e-6, 0.01};
static const tutti_adam_attr plain = {{0.5, 3, 2}, 0.8, 0.9, 1e-3, 0};
static const tutti_adam_attr bad = {{1, 0, 1}, 0.9, 1, 1e-6, 0};
static const tutti_op_example examples[] = {
    {.label = "matrix", STATES(.rank = 2, .dim = {33, 7}), .attr = &usual},
    {.label = "no decay", STATES(.rank = 1, .dim = {30}), .attr = &plain},
    {.label = "several parts", STATES(.rank = 1, .dim = {9001}), .attr = &usual},
    {.label = "scalar", STATES(.rank = 0), .attr = &usual},
    {.label = "beta2",
     STATES(.rank = 1, .dim = {3}),
     .attr = &bad,
     .refused = "lamb: beta1 is 0.9, beta2 is 1, must be at least 0 and less than 1"},
};

const tutti_op tutti_op_lamb = {
    .name = "lamb",
    .summary = "LAMB's update of a parameter and its two moments",
    .shapes = "param, grad, m, v of one shape -> the new param",
    .options = "lr_factor; beta1, beta2: 0 to less than 1; eps: above 0; weight_decay: at least 0",
    .source =
        "You et al.: Large batch optimization for deep learning: training BERT in 76 minutes, 2020",
    .n_in_min = 4,
    .n_in_max = 4,
    .n_out = 1,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD,
    .mutates = 1U << 0 | 1U << 2 | 1U << 3,
    .attr_size = sizeof(tutti_adam_attr),
    .infer = tutti_adam_infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
