/* sum = grad / K in the first of K steps, sum + grad / K in the others: after the last, the mean. */
#include "op/optimizer.h"

tutti_tensor tutti_accumulate(tutti_graph *graph, tutti_tensor sum, tutti_tensor grad,
                              uint32_t steps) {
    return tutti_op_apply1(graph, &tutti_op_accumulate, (tutti_tensor[]){sum, grad}, 2, &steps,
                           sizeof steps);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    if (*(const uint32_t *)node->attr == 0)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "the mean of no steps");
    return tutti_update_infer(node, out);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    return tutti_update_cost(node, 2);
}

static uint32_t is_first(const tutti_run_values *run, const void *attr) {
    return run->step % *(const uint32_t *)attr == 0;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    tutti_launch *launch =
        tutti_update_launch(node, out, candidate, "accumulate.cl", "accumulate", "");
    tutti_launch_f32(out, launch, (float)(1.0 / *(const uint32_t *)node->attr));
    tutti_launch_host_u32(out, launch, is_first);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const double steps = *(const uint32_t *)call->node->attr;
    const bool first = is_first(call->run, call->node->attr) != 0;
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    float *sum = call->in[0];
    const float *grad = call->in[1];
    for (int64_t i = 0; i < count; i++)
        sum[i] = (float)((first ? 0 : (double)sum[i]) + (double)grad[i] / steps);
}

/* The tests' step is 4, counting from 0. */
static const uint32_t two = 2, three = 3, none = 0;
static const tutti_op_example examples[] = {
    {.label = "first",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {33, 7}}, {.rank = 2, .dim = {33, 7}}},
     .attr = &two},
    {.label = "second",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {130}}, {.rank = 1, .dim = {130}}},
     .attr = &three},
    {.label = "scalar", .n_in = 2, .in = {{.rank = 0}, {.rank = 0}}, .attr = &three},
    {.label = "no steps",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {3}}, {.rank = 1, .dim = {3}}},
     .attr = &none,
     .refused = "accumulate: the mean of no steps"},
};

const tutti_op tutti_op_accumulate = {
    .name = "accumulate",
    .summary = "the mean of a gradient over several training steps, added up step by step",
    .shapes = "sum, grad of one shape -> the new sum",
    .options = "steps: at least 1",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD | TUTTI_OP_GROUP,
    .mutates = 1U << 0,
    .attr_size = sizeof(uint32_t),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
