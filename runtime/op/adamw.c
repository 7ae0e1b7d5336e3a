/* AdamW: Loshchilov, Hutter: Decoupled weight decay regularization, 2019. Order of operations as in
 * PyTorch. */
#include "op/optimizer.h"

tutti_tensor tutti_adamw(tutti_graph *graph, tutti_tensor param, tutti_tensor grad, tutti_tensor m,
                         tutti_tensor v, const tutti_adam_attr *attr) {
    return tutti_op_apply1(graph, &tutti_op_adamw, (tutti_tensor[]){param, grad, m, v}, 4, attr,
                           sizeof *attr);
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    (void)n;
    return tutti_update_cost(node, 16.0);
}

/* What the weight is multiplied with before the step. */
static float decay(const tutti_run_values *run, const void *attr) {
    const tutti_adam_attr *adam = attr;
    return (float)(1.0 - tutti_update_lr(run, attr) * adam->weight_decay);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    return tutti_adam_lower(node, out, "adamw.cl", decay);
}

static void ref(const tutti_ref_call *call) {
    tutti_adam_ref(call, true);
}

#define STATES(...)                                                                                \
    {                                                                                              \
        {__VA_ARGS__}, {__VA_ARGS__}, {__VA_ARGS__}, {                                             \
            __VA_ARGS__, .lo = 0.01F, .hi = 1                                                      \
        }                                                                                          \
    }
static const tutti_adam_attr usual = {{1, 0, 1}, 0.9, 0.999, 1e-8, 0};
static const tutti_adam_attr decayed = {{0.5, 3, 2}, 0.8, 0.9, 1e-3, 0.1};
static const tutti_adam_attr bad = {{1, 0, 1}, 1, 0.999, 1e-8, 0};
static const tutti_op_example examples[] = {
    {.label = "matrix", .n_in = 4, .in = STATES(.rank = 2, .dim = {33, 7}), .attr = &usual},
    {.label = "decay", .n_in = 4, .in = STATES(.rank = 1, .dim = {130}), .attr = &decayed},
    {.label = "scalar", .n_in = 4, .in = STATES(.rank = 0), .attr = &usual},
    {.label = "beta1",
     .n_in = 4,
     .in = STATES(.rank = 1, .dim = {3}),
     .attr = &bad,
     .refused = "adamw: beta1 is 1, beta2 is 0.999, must be at least 0 and less than 1"},
    {.label = "shapes",
     .n_in = 4,
     .in = {{.rank = 1, .dim = {3}},
            {.rank = 1, .dim = {4}},
            {.rank = 1, .dim = {3}},
            {.rank = 1, .dim = {3}}},
     .attr = &usual,
     .refused = "adamw: the parameter is 3, input 1 is 4"},
};

const tutti_op tutti_op_adamw = {
    .name = "adamw",
    .summary = "AdamW's update of a parameter and its two moments",
    .shapes = "param, grad, m, v of one shape -> the new param",
    .options = "lr_factor; beta1, beta2: 0 to less than 1; eps: above 0; weight_decay: at least 0",
    .source = "Loshchilov, Hutter: Decoupled weight decay regularization, 2019",
    .n_in_min = 4,
    .n_in_max = 4,
    .n_out = 1,
    .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD | TUTTI_OP_GROUP | TUTTI_OP_GRADIENT,
    .mutates = 1U << 0 | 1U << 2 | 1U << 3,
    .attr_size = sizeof(tutti_adam_attr),
    .infer = tutti_adam_infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
