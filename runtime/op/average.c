/* average = decay average + (1 - decay) value, and the value itself in the first update: the moving
 * average of weights (Polyak, Juditsky: Acceleration of stochastic approximation by averaging, 1992,
 * with exponential weights). */
#include "op/optimizer.h"

tutti_tensor tutti_average(tutti_graph *graph, tutti_tensor average, tutti_tensor value,
                           const tutti_average_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_average, (tutti_tensor[]){average, value}, 2, attr,
                           sizeof *attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_average_attr *attr = node->attr;
    if (!(attr->decay >= 0 && attr->decay < 1))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "decay is %g, must be at least 0 and less than 1", attr->decay);
    return tutti_optimizer_infer(node, out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    return tutti_update_cost(node, 3);
}

static double decay(const tutti_run_values *run, const void *attr) {
    return tutti_update_number(run, attr) == 1 ? 0 : ((const tutti_average_attr *)attr)->decay;
}

static float keep(const tutti_run_values *run, const void *attr) {
    return (float)decay(run, attr);
}

static float rest(const tutti_run_values *run, const void *attr) {
    return (float)(1 - decay(run, attr));
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    tutti_launch *launch = tutti_update_launch(node, out, candidate, "average.cl", "average", "");
    tutti_launch_host_f32(out, launch, keep);
    tutti_launch_host_f32(out, launch, rest);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const double d = decay(call->run, call->node->attr);
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    float *average = call->in[0];
    const float *value = call->in[1];
    for (int64_t i = 0; i < count; i++)
        average[i] = (float)(d * (double)average[i] + (1 - d) * (double)value[i]);
}

/* The tests' step is 4, counting from 0. */
static const tutti_average_attr usual = {{1, 0, 1}, 0.9}, first = {{1, 0, 5}, 0.9};
static const tutti_average_attr bad = {{1, 0, 1}, 1};
static const tutti_op_example examples[] = {
    {.label = "matrix",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {33, 7}}, {.rank = 2, .dim = {33, 7}}},
     .attr = &usual},
    {.label = "first update",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {130}}, {.rank = 1, .dim = {130}}},
     .attr = &first},
    {.label = "scalar", .n_in = 2, .in = {{.rank = 0}, {.rank = 0}}, .attr = &usual},
    {.label = "decay",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {3}}, {.rank = 1, .dim = {3}}},
     .attr = &bad,
     .refused = "average: decay is 1, must be at least 0 and less than 1"},
};

const tutti_op tutti_op_average = {
    .name = "average",
    .summary = "the exponential moving average of a parameter",
    .shapes = "average, value of one shape -> the new average",
    .options = "decay: 0 to less than 1",
    .source = "Polyak, Juditsky: Acceleration of stochastic approximation by averaging, 1992",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD | TUTTI_OP_GROUP,
    .mutates = 1U << 0,
    .attr_size = sizeof(tutti_average_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
