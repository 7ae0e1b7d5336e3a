/* Appends the optimizer: gradient clipping and one update node per parameter. */
#include <fnmatch.h>
#include <math.h>

#include "base/log.h"
#include "base/status.h"
#include "graph/graph.h"
#include "op/ops.h"

/* At least `low` and below `high`. */
static tutti_status check(const char *name, float value, float low, float high) {
    if (!(value >= low) || !(value < high))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: %s is %g, must be in [%g, %g)", name,
                          (double)value, (double)low, (double)high);
    return TUTTI_OK;
}

static float or_default(float value, float otherwise) {
    return value == 0 ? otherwise : value;
}

static float default_lr(tutti_optimizer_kind kind) {
    return kind == TUTTI_SGD || kind == TUTTI_RMSPROP || kind == TUTTI_ADAGRAD ? 0.01F : 0.001F;
}

static tutti_status check_groups(const tutti_optimizer *o) {
    if (o->n_groups < 0 || (o->groups == NULL && o->n_groups > 0))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: %d groups at %p", (int)o->n_groups,
                          (const void *)o->groups);
    for (int32_t i = 0; i < o->n_groups; i++) {
        TUTTI_TRY(check("lr_factor of a group", o->groups[i].lr_factor, 0, INFINITY));
        TUTTI_TRY(check("weight_decay of a group", o->groups[i].weight_decay, 0, INFINITY));
        if (o->groups[i].no_decay && o->groups[i].weight_decay != 0)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "optimize: group %d has weight_decay %g and no_decay", (int)i,
                              (double)o->groups[i].weight_decay);
    }
    return TUTTI_OK;
}

static tutti_status check_options(const tutti_optimizer *o) {
    if ((unsigned)o->kind > TUTTI_LAMB)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: %d is no optimizer", (int)o->kind);
    TUTTI_TRY(check("lr", o->lr, 0, INFINITY));
    TUTTI_TRY(check("momentum", o->momentum, 0, 1));
    TUTTI_TRY(check("weight_decay", o->weight_decay, 0, INFINITY));
    TUTTI_TRY(check("beta1", o->beta1, 0, 1));
    TUTTI_TRY(check("beta2", o->beta2, 0, 1));
    TUTTI_TRY(check("eps", o->eps, 0, INFINITY));
    TUTTI_TRY(check("clip_norm", o->clip_norm, 0, INFINITY));
    TUTTI_TRY(check("alpha", o->alpha, 0, 1));
    TUTTI_TRY(check("average_decay", o->average_decay, 0, 1));
    int exponent;
    if (o->loss_scale != 0 && (!(o->loss_scale >= 1) || !(o->loss_scale <= TUTTI_LOSS_SCALE_MAX) ||
                               frexpf(o->loss_scale, &exponent) != 0.5F))
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "optimize: loss_scale is %g, must be a power of two from 1 to 2^24",
                          (double)o->loss_scale);
    if (o->accumulate < 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: accumulate over %d steps",
                          (int)o->accumulate);
    if (o->nesterov && o->momentum == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: nesterov needs a momentum");
    if (o->nesterov && o->kind != TUTTI_SGD)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: nesterov is of SGD only");
    if (o->momentum != 0 && o->kind != TUTTI_SGD && o->kind != TUTTI_RMSPROP)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: momentum is of SGD and RMSprop only");
    if ((o->alpha != 0 || o->centered) && o->kind != TUTTI_RMSPROP)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "optimize: alpha and centered are of RMSprop only");
    return check_groups(o);
}

static bool is_trained(const tutti_graph *graph, int32_t tensor) {
    const tutti_tensor_record *record = &graph->tensors[tensor];
    return record->kind == TUTTI_TENSOR_PARAM && record->grad.id != 0;
}

static bool matches(const tutti_param_group *group, const char *name) {
    return group->pattern == NULL || fnmatch(group->pattern, name, 0) == 0;
}

/* The group of a parameter, which is the first that matches; n_groups: none. */
static int32_t group_of(const tutti_optimizer *o, const char *name) {
    int32_t g = 0;
    while (g < o->n_groups && !matches(&o->groups[g], name))
        g++;
    return g;
}

static const char *pattern_of(const tutti_param_group *group) {
    return group->pattern != NULL ? group->pattern : "*";
}

/* A group without parameters is misspelt, or behind one that takes them all. */
static tutti_status check_group(const tutti_graph *graph, const tutti_optimizer *o, int32_t g) {
    const char *taken = NULL;
    int32_t by = 0;
    for (int32_t i = 1; i < graph->n_tensors; i++) {
        const char *name = graph->tensors[i].name;
        if (!is_trained(graph, i) || !matches(&o->groups[g], name))
            continue;
        by = group_of(o, name);
        if (by == g)
            return TUTTI_OK;
        taken = name;
    }
    if (taken == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "optimize: group %d, \"%s\", matches no parameter that is trained",
                          (int)g, pattern_of(&o->groups[g]));
    return tutti_fail(TUTTI_INVALID_ARGUMENT,
                      "optimize: group %d, \"%s\", is left without a parameter: \"%s\" falls into "
                      "group %d, \"%s\", which comes first",
                      (int)g, pattern_of(&o->groups[g]), taken, (int)by,
                      pattern_of(&o->groups[by]));
}

static tutti_status check_matches(const tutti_graph *graph, const tutti_optimizer *o) {
    for (int32_t g = 0; g < o->n_groups; g++)
        TUTTI_TRY(check_group(graph, o, g));
    return TUTTI_OK;
}

/* What the groups say of a parameter. */
typedef struct choice {
    double lr_factor, weight_decay;
} choice;

static choice choose(const tutti_graph *graph, const tutti_optimizer *o, tutti_tensor param) {
    const bool flat = graph->tensors[param.id].type.shape.rank < 2;
    choice c = {1, o->no_decay_on_1d && flat ? 0 : tutti_decimal(o->weight_decay)};
    const int32_t index = group_of(o, graph->tensors[param.id].name);
    if (index == o->n_groups)
        return c;
    const tutti_param_group *group = &o->groups[index];
    if (group->lr_factor != 0)
        c.lr_factor = tutti_decimal(group->lr_factor);
    if (group->weight_decay != 0 || group->no_decay)
        c.weight_decay = tutti_decimal(group->weight_decay);
    return c;
}

static uint32_t steps_per_update(const tutti_optimizer *o) {
    return o->accumulate > 1 ? (uint32_t)o->accumulate : 1;
}

/* The factor by which every gradient is scaled, as PyTorch's clip_grad_norm_. */
static tutti_tensor clip_factor(tutti_graph *graph, const tutti_tensor *grads, int32_t n_tensors,
                                float max_norm) {
    tutti_tensor total = {0};
    for (int32_t i = 1; i < n_tensors; i++) {
        if (grads[i].id == 0)
            continue;
        const tutti_tensor squares =
            tutti_sum(graph, tutti_mul(graph, grads[i], grads[i]), 0, NULL, false);
        total = total.id == 0 ? squares : tutti_add(graph, total, squares);
    }
    return tutti_clip_factor(graph, tutti_sqrt(graph, total), max_norm);
}

/* Lets the backward pass start from the scale, and divides what it leaves by it. The inverse is a scalar
 * of its own, since a device's division may be off in the last bit. */
static tutti_status scale_loss(tutti_graph *graph, float scale) {
    graph->loss_scale = tutti_graph_scalar(graph, "loss_scale", scale);
    graph->loss_unscale = tutti_graph_scalar(graph, "loss_scale.inverse", 1 / scale);
    const uint32_t *attr =
        tutti_arena_copy(&graph->arena, &graph->loss_scale, sizeof graph->loss_scale);
    if (attr == NULL)
        return TUTTI_OUT_OF_MEMORY;
    tutti_node *seed = &graph->nodes[graph->tensors[graph->seed.id].node];
    seed->op = &tutti_op_scalar;
    seed->attr = attr;
    return graph->status;
}

/* The gradient without the scale. Not linear, so that sums over devices come before: what is judged
 * is what the update reads. */
static tutti_tensor unscale(tutti_graph *graph, tutti_tensor grad, tutti_tensor inverse) {
    const tutti_tensor result = tutti_mul(graph, grad, inverse);
    const tutti_tensor sum = tutti_sum(graph, result, 0, NULL, false);
    graph->finite = graph->finite.id == 0 ? sum : tutti_add(graph, graph->finite, sum);
    return result;
}

static tutti_tensor state_like(tutti_graph *graph, tutti_tensor param, const char *suffix) {
    const char *name =
        tutti_arena_printf(&graph->arena, "%s.%s", tutti_graph_tensor_name(graph, param), suffix);
    if (name == NULL)
        return tutti_graph_reject(graph, TUTTI_OUT_OF_MEMORY);
    const tutti_shape shape = tutti_graph_tensor_shape(graph, param);
    return tutti_graph_state(graph, name, shape.rank, shape.dim,
                             (tutti_init){.kind = TUTTI_INIT_ZEROS});
}

/* The parameter after the update. */
static tutti_tensor update(tutti_graph *graph, const tutti_optimizer *o, tutti_tensor param,
                           tutti_tensor grad, uint32_t lr) {
    const choice c = choose(graph, o, param);
    const tutti_update_attr common = {
        .lr_factor = c.lr_factor, .lr = lr, .every = steps_per_update(o)};
    const tutti_tensor none = {0};
    const tutti_tensor momentum = o->momentum > 0 ? state_like(graph, param, "momentum") : none;
    switch (o->kind) {
    case TUTTI_SGD:
        return tutti_sgd(graph, param, grad, momentum,
                         &(tutti_sgd_attr){.update = common,
                                           .momentum = tutti_decimal(o->momentum),
                                           .weight_decay = c.weight_decay,
                                           .nesterov = o->nesterov});
    case TUTTI_RMSPROP:
        return tutti_rmsprop(graph, param, grad, state_like(graph, param, "square"),
                             o->centered ? state_like(graph, param, "mean") : none, momentum,
                             &(tutti_rmsprop_attr){
                                 .update = common,
                                 .alpha = tutti_decimal(or_default(o->alpha, 0.99F)),
                                 .eps = tutti_decimal(or_default(o->eps, 1e-8F)),
                                 .momentum = tutti_decimal(o->momentum),
                                 .weight_decay = c.weight_decay,
                                 .centered = o->centered,
                             });
    case TUTTI_ADAGRAD:
        return tutti_adagrad(graph, param, grad, state_like(graph, param, "sum"),
                             &(tutti_adagrad_attr){.update = common,
                                                   .eps = tutti_decimal(or_default(o->eps, 1e-10F)),
                                                   .weight_decay = c.weight_decay});
    case TUTTI_ADAM:
    case TUTTI_ADAMW:
    case TUTTI_LAMB:
        break;
    }
    const float eps = o->kind == TUTTI_LAMB ? 1e-6F : 1e-8F;
    const tutti_adam_attr attr = {.update = common,
                                  .beta1 = tutti_decimal(or_default(o->beta1, 0.9F)),
                                  .beta2 = tutti_decimal(or_default(o->beta2, 0.999F)),
                                  .eps = tutti_decimal(or_default(o->eps, eps)),
                                  .weight_decay = c.weight_decay};
    const tutti_tensor m = state_like(graph, param, "m"), v = state_like(graph, param, "v");
    return o->kind == TUTTI_ADAM    ? tutti_adam(graph, param, grad, m, v, &attr)
           : o->kind == TUTTI_ADAMW ? tutti_adamw(graph, param, grad, m, v, &attr)
                                    : tutti_lamb(graph, param, grad, m, v, &attr);
}

/* Lets the average of a parameter follow its new value. */
static void follow(tutti_graph *graph, const tutti_optimizer *o, tutti_tensor param,
                   tutti_tensor value) {
    const tutti_average_attr attr = {.update = {.lr_factor = 1, .every = steps_per_update(o)},
                                     .decay = tutti_decimal(o->average_decay)};
    const tutti_tensor average = state_like(graph, param, "average");
    (void)tutti_average(graph, average, value, &attr);
    graph->tensors[param.id].average = average;
}

/* Accumulation, clipping, updates and averages of the first n_tensors tensors. */
static tutti_status append(tutti_graph *graph, const tutti_optimizer *o, int32_t n_tensors,
                           uint32_t lr) {
    tutti_tensor *grads = tutti_arena_array(&graph->arena, (size_t)n_tensors, sizeof *grads);
    if (grads == NULL)
        return TUTTI_OUT_OF_MEMORY;
    tutti_tensor inverse = {0};
    if (o->loss_scale > 0) {
        TUTTI_TRY(scale_loss(graph, o->loss_scale));
        inverse = tutti_scalar_value(graph, graph->loss_unscale);
    }
    for (int32_t i = 1; i < n_tensors; i++) {
        if (!is_trained(graph, i))
            continue;
        if (o->loss_scale > 0) {
            const tutti_tensor grad = unscale(graph, graph->tensors[i].grad, inverse);
            graph->tensors[i].grad = grad; /* the record may have moved */
        }
        grads[i] = graph->tensors[i].grad;
        if (o->accumulate > 1)
            grads[i] =
                tutti_accumulate(graph, state_like(graph, (tutti_tensor){(uint32_t)i}, "grad_sum"),
                                 grads[i], steps_per_update(o));
    }
    const int32_t n_nodes = graph->n_nodes;
    tutti_tensor factor = {0};
    if (o->clip_norm > 0)
        factor = clip_factor(graph, grads, n_tensors, o->clip_norm);
    for (int32_t i = 1; i < n_tensors && graph->status == TUTTI_OK; i++) {
        const tutti_tensor param = {(uint32_t)i};
        if (grads[i].id == 0)
            continue;
        const tutti_tensor grad = o->clip_norm > 0 ? tutti_mul(graph, grads[i], factor) : grads[i];
        const tutti_tensor value = update(graph, o, param, grad, lr);
        if (o->average_decay > 0)
            follow(graph, o, param, value);
    }
    for (int32_t i = n_nodes; i < graph->n_nodes; i++)
        graph->nodes[i].every = o->accumulate;
    return graph->status;
}

static tutti_status optimize(tutti_graph *graph, const tutti_optimizer *o) {
    TUTTI_TRY(tutti_graph_check_open(graph, "optimize"));
    if (o == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: the options are NULL");
    TUTTI_TRY(check_options(o));
    if (graph->has_optimizer)
        return tutti_fail(TUTTI_STATE, "optimize: an optimizer was already appended");
    if (!graph->has_backward)
        TUTTI_TRY(tutti_graph_backward(graph));
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, tutti_graph_message(graph));
    const int32_t n_tensors = graph->n_tensors, n_nodes = graph->n_nodes;
    int32_t trained = 0;
    for (int32_t i = 1; i < n_tensors; i++) {
        const tutti_tensor_record *record = &graph->tensors[i];
        if (record->kind != TUTTI_TENSOR_PARAM)
            continue;
        trained += record->grad.id != 0;
        if (record->grad.id == 0)
            tutti_log_write(
                TUTTI_LOG_WARNING,
                "optimize: the loss does not depend on parameter \"%s\": it stays as it is",
                record->name);
    }
    if (trained == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: the loss depends on no parameter");
    TUTTI_TRY(check_matches(graph, o));
    const uint32_t lr = tutti_graph_scalar(graph, "lr", or_default(o->lr, default_lr(o->kind)));
    TUTTI_TRY(append(graph, o, n_tensors, lr));
    for (int32_t i = n_nodes; i < graph->n_nodes; i++)
        graph->nodes[i].backward = true;
    graph->has_optimizer = true;
    graph->accumulate = o->accumulate;
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, tutti_graph_message(graph));
    return TUTTI_OK;
}

tutti_status tutti_graph_optimize(tutti_graph *graph, const tutti_optimizer *optimizer) {
    const tutti_status status = optimize(graph, optimizer);
    if (status != TUTTI_OK)
        (void)tutti_graph_reject(graph, status);
    return status;
}
