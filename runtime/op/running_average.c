/* state = (1 - momentum) state + momentum * value, of one state or of a mean and a variance: the
 * running statistics of batch normalisation
 * (Ioffe, Szegedy: Batch normalization, 2015; the momentum is PyTorch's, one minus theirs). The
 * variance of a batch, the last value, is turned into the unbiased estimate by count / (count - 1),
 * count being the elements per channel of the whole batch. */
#include "op/optimizer.h"

tutti_status tutti_running_average(tutti_graph *graph, tutti_tensor state, tutti_tensor value,
                                   const tutti_running_average_attr *attr) {
    return tutti_op_apply(graph, &tutti_op_running_average, (tutti_tensor[]){state, value}, 2, attr,
                          sizeof *attr, NULL);
}

tutti_status tutti_running_statistics(tutti_graph *graph, tutti_tensor mean_state,
                                      tutti_tensor mean, tutti_tensor variance_state,
                                      tutti_tensor variance,
                                      const tutti_running_average_attr *attr) {
    return tutti_op_apply(graph, &tutti_op_running_average,
                          (tutti_tensor[]){mean_state, mean, variance_state, variance}, 4, attr,
                          sizeof *attr, NULL);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_running_average_attr *attr = node->attr;
    if (!(attr->momentum >= 0 && attr->momentum <= 1))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "momentum is %g, must be in [0, 1]",
                             attr->momentum);
    if (node->n_in == 3)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "3 inputs: expected a value per state");
    char state[TUTTI_SHAPE_TEXT], value[TUTTI_SHAPE_TEXT];
    if (!tutti_shape_equal(&node->in_type[0].shape, &node->in_type[1].shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "the state is %s, the value is %s",
                             tutti_shape_text(&node->in_type[0].shape, state),
                             tutti_shape_text(&node->in_type[1].shape, value));
    return tutti_update_infer(node, out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    return tutti_update_cost(node, 3);
}

/* What the value counts. One element has no variance: 0 stays 0. */
static double gain(const tutti_run_values *run, const tutti_running_average_attr *attr) {
    const double count = (double)tutti_extent_value(attr->count, run->n_global);
    return attr->momentum * (count > 1 ? count / (count - 1) : 1);
}

static float host_gain(const tutti_run_values *run, const void *attr) {
    return (float)gain(run, attr);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    const tutti_running_average_attr *attr = node->attr;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    const bool pair = node->n_in == 4;
    tutti_launch *launch = tutti_update_launch(node, out, candidate, "running_average.cl",
                                               "running_average", pair ? "-DPAIR" : "");
    tutti_launch_f32(out, launch, (float)(1 - attr->momentum));
    if (pair)
        tutti_launch_f32(out, launch, (float)attr->momentum);
    tutti_launch_host_f32(out, launch, host_gain);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const tutti_running_average_attr *attr = call->node->attr;
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    for (int32_t k = 0; k < call->node->n_in; k += 2) {
        float *state = call->in[k];
        const float *value = call->in[k + 1];
        const double share = k + 2 < call->node->n_in ? attr->momentum : gain(call->run, attr);
        for (int64_t i = 0; i < count; i++)
            state[i] = (float)((1 - attr->momentum) * (double)state[i] + share * (double)value[i]);
    }
}

static const tutti_running_average_attr plain = {0.1, {0, 0}}, unbiased = {0.25, {0, 3}},
                                        whole = {1, {2, 0}}, bad = {1.5, {0, 0}};
static const tutti_op_example examples[] = {
    {.label = "mean",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {130}}, {.rank = 1, .dim = {130}}},
     .attr = &plain},
    {.label = "variance",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {7}}, {.rank = 1, .dim = {7}, .hi = 2}},
     .attr = &unbiased},
    {.label = "mean and variance",
     .n_in = 4,
     .in = {{.rank = 1, .dim = {70}},
            {.rank = 1, .dim = {70}},
            {.rank = 1, .dim = {70}},
            {.rank = 1, .dim = {70}, .hi = 2}},
     .attr = &unbiased},
    {.label = "no second value",
     .n_in = 3,
     .in = {{.rank = 0}, {.rank = 0}, {.rank = 0}},
     .attr = &unbiased,
     .refused = "running_average: 3 inputs: expected a value per state"},
    {.label = "two elements", .n_in = 2, .in = {{.rank = 0}, {.rank = 0}}, .attr = &whole},
    {.label = "momentum",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {3}}, {.rank = 1, .dim = {3}}},
     .attr = &bad,
     .refused = "running_average: momentum is 1.5, must be in [0, 1]"},
    {.label = "shapes",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {3}}, {.rank = 1, .dim = {4}}},
     .attr = &plain,
     .refused = "running_average: the state is 3, the value is 4"},
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}}, {.rank = 2, .dim = {TUTTI_BATCH, 3}}},
     .attr = &plain,
     .refused = "running_average: input 0 is Nx3: batched"},
};

const tutti_op tutti_op_running_average = {
    .name = "running_average",
    .summary = "states follow values, as the running statistics of batch normalisation",
    .shapes = "state, value[, state, value] of one shape",
    .options = "momentum in [0, 1]; elements behind the last value, for the unbiased variance",
    .source = "Ioffe, Szegedy: Batch normalization, 2015; the momentum is PyTorch's",
    .n_in_min = 2,
    .n_in_max = 4,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD | TUTTI_OP_GROUP,
    .mutates = 1U << 0 | 1U << 2,
    .attr_size = sizeof(tutti_running_average_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
