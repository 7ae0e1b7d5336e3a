#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "kernel/runtime.h"
#include "plan/make.h"

/* An own op may name a scalar that the graph does not have. */
static tutti_status check_scalars(const tutti_graph *graph, const tutti_node_info *node,
                                  const tutti_lowering *lowering) {
    for (int32_t c = 0; c < lowering->n_candidates; c++)
        for (int32_t l = 0; l < lowering->candidates[c].n_launches; l++) {
            const tutti_launch *launch = &lowering->candidates[c].launches[l];
            for (int32_t i = 0; i < launch->n_args; i++)
                if (launch->args[i].kind == TUTTI_ARG_SCALAR &&
                    launch->args[i].u.scalar >= (uint32_t)graph->n_scalars)
                    return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                                         "uses scalar %" PRIu32 ", the graph has %" PRId32,
                                         launch->args[i].u.scalar, graph->n_scalars);
        }
    return TUTTI_OK;
}

/* The items that the device runs, lowered to candidates. */
static tutti_status draft_mode(tutti_plan *plan, tutti_plan_device *device, int mode,
                               const tutti_program *program, tutti_draft_device *draft) {
    const tutti_device_info *info = &plan->runtime->devices[device->device].info;
    tutti_plan_mode *m = &device->modes[mode];
    m->program = *program;
    tutti_plan_step *steps =
        tutti_arena_array(&plan->arena, (size_t)program->n_items + 1, sizeof *steps);
    draft->steps[mode] =
        tutti_arena_array(&plan->arena, (size_t)program->n_items + 1, sizeof *draft->steps[mode]);
    if (steps == NULL || draft->steps[mode] == NULL)
        return TUTTI_OUT_OF_MEMORY;
    m->steps = steps;
    for (int32_t k = 0; k < program->n_items; k++) {
        const tutti_item *item = &program->items[k];
        if (!tutti_item_runs(item, device->owner))
            continue;
        tutti_draft_step *d = &draft->steps[mode][m->n_steps];
        steps[m->n_steps++].item = k;
        if (item->kind != TUTTI_ITEM_NODE || item->alias)
            continue;
        tutti_lowering lowering;
        tutti_status status = tutti_node_lower_rounding(
            &item->node, info, plan->batch, plan->matmul_precision, &plan->arena, &lowering);
        if (status == TUTTI_OK)
            status = check_scalars(plan->graph, &item->node, &lowering);
        if (status != TUTTI_OK)
            return tutti_fail_context(status, "%s (%s)", info->id, info->name);
        d->n_candidates = lowering.n_candidates;
        d->candidates = tutti_arena_copy(&plan->arena, lowering.candidates,
                                         (size_t)lowering.n_candidates * sizeof *d->candidates);
        if (d->candidates == NULL)
            return TUTTI_OUT_OF_MEMORY;
    }
    return TUTTI_OK;
}

static void take_choices(tutti_plan_device *device, const tutti_draft_device *draft) {
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t s = 0; s < device->modes[mode].n_steps; s++) {
            tutti_plan_step *step = (tutti_plan_step *)&device->modes[mode].steps[s];
            const tutti_draft_step *d = &draft->steps[mode][s];
            step->candidate = d->n_candidates > 0 ? &d->candidates[d->chosen] : NULL;
            step->reason = d->reason;
        }
}

/* The owner keeps the optimizer's state and runs the updates: the device that moves the most bytes
 * by its description, the first of equals; never one that the profile gives no share while others
 * have one. It is chosen before anything is measured, so that it does not change between starts. */
static int32_t choose_owner(const tutti_runtime *runtime) {
    int32_t owner = 0;
    double best = -1;
    for (int32_t i = 0; i < runtime->n_devices; i++) {
        const tutti_device *device = &runtime->devices[i];
        const double speed = device->share == 0 ? 0 : tutti_cost_model_guess(device).bytes_per_s;
        if (speed > best) {
            owner = i;
            best = speed;
        }
    }
    return owner;
}

/* One that is larger than all devices together hold is refused, not cut: that would be another
 * training. */
static tutti_status check_capacity(const tutti_plan *plan) {
    char each[512];
    size_t length = 0;
    int64_t sum = 0;
    for (int32_t i = 0; i < plan->n_devices; i++) {
        const tutti_device *device = &plan->runtime->devices[plan->devices[i].device];
        const int64_t capacity = plan->devices[i].capacity;
        sum += capacity;
        if (sum >= plan->batch)
            return TUTTI_OK;
        if (length < sizeof each)
            length += (size_t)snprintf(each + length, sizeof each - length, "%s%s %" PRId64 "%s",
                                       i > 0 ? ", " : "", device->info.id, capacity,
                                       device->memory_limited ? " (memory_limit)" : "");
    }
    return tutti_fail(TUTTI_OUT_OF_MEMORY,
                      "a batch of %" PRId64 " samples does not fit, the devices hold at most "
                      "%" PRId64 ": %s",
                      plan->batch, sum, each);
}

tutti_dtype tutti_precision_dtype(tutti_precision precision) {
    return precision == TUTTI_PRECISION_BF16  ? TUTTI_BF16
           : precision == TUTTI_PRECISION_F16 ? TUTTI_F16
                                              : TUTTI_F32;
}

static bool is_cpu(const tutti_plan *plan, int32_t i) {
    return (plan->runtime->devices[plan->devices[i].device].info.type & TUTTI_DEVICE_CPU) != 0;
}

/* Programs differ in what lies in memory how, not in their items: devices of different precision work
 * together. */
static tutti_status draft_modes(tutti_plan *plan, tutti_draft_device *drafts) {
    tutti_program_options options = {0};
    for (int32_t i = 0; i < plan->n_devices; i++)
        options.loads |= !is_cpu(plan, i);
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t i = 0; i < plan->n_devices; i++) {
            tutti_plan_device *device = &plan->devices[i];
            const tutti_program *same = NULL;
            for (int32_t k = 0; k < i && same == NULL; k++)
                if (plan->devices[k].precision == device->precision)
                    same = &plan->devices[k].modes[mode].program;
            tutti_program program;
            options.narrow = tutti_precision_dtype(device->precision);
            if (same != NULL)
                program = *same;
            else
                TUTTI_TRY(tutti_program_make_for(plan->graph, (tutti_mode)mode, options,
                                                 &plan->arena, &program));
            TUTTI_TRY(draft_mode(plan, device, mode, &program, &drafts[i]));
        }
    return TUTTI_OK;
}

tutti_status tutti_plan_draft(tutti_plan *plan, const tutti_plan_options *options,
                              tutti_draft_device **out_drafts) {
    const tutti_runtime *runtime = plan->runtime;
    plan->n_devices = runtime->n_devices;
    plan->owner = choose_owner(runtime);
    plan->matmul_precision = options->matmul_precision != TUTTI_MATMUL_DEFAULT
                                 ? options->matmul_precision
                                 : runtime->profile->matmul_precision;
    if (plan->matmul_precision == TUTTI_MATMUL_DEFAULT)
        plan->matmul_precision = TUTTI_MATMUL_HIGHEST;
    if ((unsigned)plan->matmul_precision > TUTTI_MATMUL_MEDIUM)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "tutti_plan_make: %d is no precision of products of matrices",
                          (int)plan->matmul_precision);
    plan->devices = tutti_arena_array(&plan->arena, (size_t)plan->n_devices, sizeof *plan->devices);
    tutti_draft_device *drafts =
        tutti_arena_array(&plan->arena, (size_t)plan->n_devices, sizeof *drafts);
    if (plan->devices == NULL || drafts == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t i = 0; i < plan->n_devices; i++) {
        plan->devices[i].device = i;
        plan->devices[i].owner = i == plan->owner;
        plan->devices[i].precision =
            options->device_precision != NULL ? options->device_precision[i] : options->precision;
        if ((unsigned)plan->devices[i].precision > TUTTI_PRECISION_F16)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "tutti_plan_make: %d is no precision%s",
                              (int)plan->devices[i].precision,
                              plan->devices[i].precision == TUTTI_PRECISION_AUTO
                                  ? " of a plan: auto is for tutti_precision_choose"
                                  : "");
        if (plan->devices[i].precision == TUTTI_PRECISION_F16 && plan->graph->has_optimizer &&
            plan->graph->finite.id == 0)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "tutti_plan_make: training in f16 needs the optimizer's loss_scale, "
                              "small gradients vanish without");
    }
    *out_drafts = drafts;
    return draft_modes(plan, drafts);
}

tutti_status tutti_plan_finish(tutti_plan *plan, const tutti_draft_device *drafts) {
    for (int32_t i = 0; i < plan->n_devices; i++)
        take_choices(&plan->devices[i], &drafts[i]);
    TUTTI_TRY(tutti_plan_order(plan, drafts));
    for (int32_t i = 0; i < plan->n_devices; i++) {
        TUTTI_TRY(tutti_plan_layout(plan, &plan->devices[i]));
        tutti_plan_costs(plan, &plan->devices[i], &drafts[i]);
    }
    return check_capacity(plan);
}

static tutti_status make(tutti_plan *plan, const tutti_plan_options *options) {
    tutti_draft_device *drafts;
    TUTTI_TRY(tutti_plan_draft(plan, options, &drafts));
    TUTTI_TRY(tutti_plan_choose(plan, drafts, options));
    return tutti_plan_finish(plan, drafts);
}

tutti_status tutti_plan_make(const tutti_graph *graph, tutti_runtime *runtime,
                             const tutti_plan_options *options, tutti_plan **out) {
    if (out != NULL)
        *out = NULL;
    if (graph == NULL || runtime == NULL || options == NULL || out == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "tutti_plan_make: graph, runtime, options and out must not be NULL");
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, graph->message);
    if (!graph->frozen)
        return tutti_fail(TUTTI_STATE, "tutti_plan_make: freeze the graph first");
    if (options->batch < 1)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "tutti_plan_make: a batch of %" PRId64 " samples, expected at least 1",
                          options->batch);
    tutti_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return tutti_fail_memory(sizeof *plan, "a plan");
    plan->graph = graph;
    plan->runtime = runtime;
    plan->batch = options->batch;
    const tutti_status status = make(plan, options);
    if (status != TUTTI_OK) {
        tutti_plan_free(plan);
        return status;
    }
    *out = plan;
    return TUTTI_OK;
}

void tutti_plan_free(tutti_plan *plan) {
    if (plan == NULL)
        return;
    tutti_arena_free(&plan->arena);
    free(plan);
}

uint64_t tutti_plan_memory_bytes(const tutti_plan *plan, int32_t device) {
    return device < 0 || device >= plan->n_devices ? 0 : plan->devices[device].peak_bytes;
}
