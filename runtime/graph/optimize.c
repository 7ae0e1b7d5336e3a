/* Appends the optimizer: gradient clipping and one update node per parameter. */
#include <inttypes.h>
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

static tutti_status check_options(const tutti_optimizer *o) {
    if (o->kind != TUTTI_SGD && o->kind != TUTTI_ADAM && o->kind != TUTTI_ADAMW)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: %d is no optimizer", (int)o->kind);
    TUTTI_TRY(check("lr", o->lr, 0, INFINITY));
    TUTTI_TRY(check("momentum", o->momentum, 0, 1));
    TUTTI_TRY(check("weight_decay", o->weight_decay, 0, INFINITY));
    TUTTI_TRY(check("beta1", o->beta1, 0, 1));
    TUTTI_TRY(check("beta2", o->beta2, 0, 1));
    TUTTI_TRY(check("eps", o->eps, 0, INFINITY));
    TUTTI_TRY(check("clip_norm", o->clip_norm, 0, INFINITY));
    if (o->nesterov && o->momentum == 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "optimize: nesterov needs a momentum");
    if (o->kind != TUTTI_SGD && (o->momentum != 0 || o->nesterov))
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "optimize: momentum and nesterov are of SGD only");
    return TUTTI_OK;
}

/* The factor by which every gradient is scaled, as PyTorch's clip_grad_norm_. */
static tutti_tensor clip_factor(tutti_graph *graph, int32_t n_tensors, float max_norm) {
    tutti_tensor total = {0};
    for (int32_t i = 1; i < n_tensors; i++) {
        const tutti_tensor_record *record = &graph->tensors[i];
        const tutti_tensor grad = record->grad;
        if (record->kind != TUTTI_TENSOR_PARAM || grad.id == 0)
            continue;
        const tutti_tensor squares = tutti_sum(graph, tutti_mul(graph, grad, grad), 0, NULL, false);
        total = total.id == 0 ? squares : tutti_add(graph, total, squares);
    }
    return tutti_clip_factor(graph, tutti_sqrt(graph, total), max_norm);
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

static tutti_status update(tutti_graph *graph, const tutti_optimizer *o, tutti_tensor param,
                           tutti_tensor grad, uint32_t lr) {
    if (o->kind == TUTTI_SGD) {
        const tutti_sgd_attr attr = {.momentum = tutti_decimal(o->momentum),
                                     .weight_decay = tutti_decimal(o->weight_decay),
                                     .lr = lr,
                                     .nesterov = o->nesterov};
        tutti_tensor momentum = {0};
        if (o->momentum > 0 && (momentum = state_like(graph, param, "momentum")).id == 0)
            return graph->status;
        return tutti_sgd(graph, param, grad, momentum, &attr);
    }
    const tutti_adam_attr attr = {.beta1 = tutti_decimal(or_default(o->beta1, 0.9F)),
                                  .beta2 = tutti_decimal(or_default(o->beta2, 0.999F)),
                                  .eps = tutti_decimal(or_default(o->eps, 1e-8F)),
                                  .weight_decay = tutti_decimal(o->weight_decay),
                                  .lr = lr};
    const tutti_tensor m = state_like(graph, param, "m"), v = state_like(graph, param, "v");
    if (v.id == 0)
        return graph->status;
    return o->kind == TUTTI_ADAM ? tutti_adam(graph, param, grad, m, v, &attr)
                                 : tutti_adamw(graph, param, grad, m, v, &attr);
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
    const uint32_t lr =
        tutti_graph_scalar(graph, "lr", or_default(o->lr, o->kind == TUTTI_SGD ? 0.01F : 0.001F));
    tutti_tensor factor = {0};
    if (o->clip_norm > 0)
        factor = clip_factor(graph, n_tensors, o->clip_norm);
    for (int32_t i = 1; i < n_tensors && graph->status == TUTTI_OK; i++) {
        tutti_tensor grad = graph->tensors[i].grad;
        if (graph->tensors[i].kind != TUTTI_TENSOR_PARAM || grad.id == 0)
            continue;
        if (o->clip_norm > 0)
            grad = tutti_mul(graph, grad, factor);
        TUTTI_TRY(update(graph, o, (tutti_tensor){(uint32_t)i}, grad, lr));
    }
    for (int32_t i = n_nodes; i < graph->n_nodes; i++)
        graph->nodes[i].backward = true;
    graph->has_optimizer = true;
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
