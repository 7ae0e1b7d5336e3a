/* Predicted times: a roofline from what the driver says of the device, corrected by measurement
 * where there is any. Good enough to rank devices; real steps replace it (sched/balancer.c). */
#include <math.h>

#include "kernel/runtime.h"
#include "plan/make.h"

/* Of the peak, by a decent kernel. CPUs mostly have two units for vectors where one is counted. */
#define REACHED     0.3
#define REACHED_CPU 0.9

tutti_cost_model tutti_cost_model_guess(const tutti_device *device) {
    const tutti_device_info *info = &device->info;
    const double units = info->compute_units > 0 ? info->compute_units : 1;
    const double clock = info->clock_mhz > 0 ? info->clock_mhz * 1e6 : 1e9;
    tutti_cost_model model = {0};
    if ((device->quirks & TUTTI_QUIRK_INTERPRETER) != 0) {
        model.flops_per_s = 2e6;
        model.bytes_per_s = 1e7;
        model.launch_s = 1e-3;
    } else if ((info->type & TUTTI_DEVICE_CPU) != 0) {
        const double width = info->simd_floats > 0 ? info->simd_floats : 4;
        model.flops_per_s = REACHED_CPU * units * clock * width * 2;
        model.bytes_per_s = 1e10 * (1 + fmin(units, 4)) + 2e9 * fmax(fmin(units, 64) - 4, 0);
        model.launch_s = 5e-6;
    } else {
        /* Lanes per compute unit: 64 to 128 on discrete GPUs, 8 on small integrated ones. */
        model.flops_per_s = REACHED * units * clock * (info->unified_memory ? 16 : 64) * 2;
        model.bytes_per_s = info->unified_memory ? 6e10 : 2e11;
        model.launch_s = 8e-6;
    }
    return model;
}

static double time_of(const tutti_cost_model *model, const tutti_cost *cost) {
    return fmax(cost->flops / model->flops_per_s, cost->bytes / model->bytes_per_s);
}

static tutti_cost cost_of(const tutti_node_info *node, const tutti_candidate *candidate,
                          int64_t n) {
    tutti_cost cost = {0};
    if (node->op->cost != NULL)
        cost = node->op->cost(node, n);
    if (candidate->work > 0)
        cost.flops *= candidate->work;
    return cost;
}

typedef struct total {
    double measured_s, predicted_s;
} total;

static void add(total *to, double measured_s, double predicted_s) {
    to->measured_s += measured_s;
    to->predicted_s += predicted_s;
}

/* Corrects the rates by what was measured on this device: of arithmetic by steps that it bounds, of
 * memory by the others. Large steps count most; those that are mostly launch say nothing. */
static void correct(tutti_cost_model *model, const tutti_plan_device *device,
                    const tutti_draft_device *draft) {
    total arithmetic = {0}, memory = {0};
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t s = 0; s < device->modes[mode].n_steps; s++) {
            const tutti_draft_step *step = &draft->steps[mode][s];
            if (step->candidates == NULL || !(step->measured_s > 0))
                continue;
            const tutti_candidate *candidate = &step->candidates[step->chosen];
            const tutti_node_info *node =
                &device->modes[mode].program.items[device->modes[mode].steps[s].item].node;
            const tutti_cost cost = cost_of(node, candidate, step->measured_n);
            const double predicted_s = time_of(model, &cost);
            const double measured_s = step->measured_s - model->launch_s * candidate->n_launches;
            if (measured_s > model->launch_s && predicted_s > model->launch_s)
                add(cost.flops / model->flops_per_s > cost.bytes / model->bytes_per_s ? &arithmetic
                                                                                      : &memory,
                    measured_s, predicted_s);
        }
    if (arithmetic.predicted_s > 0)
        model->flops_per_s *= arithmetic.predicted_s / arithmetic.measured_s;
    if (memory.predicted_s > 0)
        model->bytes_per_s *= memory.predicted_s / memory.measured_s;
}

void tutti_plan_costs(tutti_plan *plan, tutti_plan_device *device,
                      const tutti_draft_device *draft) {
    tutti_cost_model model = tutti_cost_model_guess(&plan->runtime->devices[device->device]);
    correct(&model, device, draft);
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t s = 0; s < device->modes[mode].n_steps; s++) {
            tutti_plan_step *step = (tutti_plan_step *)&device->modes[mode].steps[s];
            const tutti_draft_step *d = &draft->steps[mode][s];
            const tutti_node_info *node = &device->modes[mode].program.items[step->item].node;
            if (step->candidate == NULL)
                continue;
            const tutti_cost none = cost_of(node, step->candidate, 0);
            const tutti_cost all = cost_of(node, step->candidate, device->capacity);
            const double fixed = time_of(&model, &none);
            const double slope = fmax(time_of(&model, &all) - fixed, 0) / (double)device->capacity;
            step->cost_fixed_s = model.launch_s * step->candidate->n_launches + fixed;
            step->cost_per_sample_s = slope;
            step->measured = d->measured_s > 0;
            if (step->measured) {
                const double guess = step->cost_fixed_s + slope * (double)d->measured_n;
                step->cost_fixed_s *= d->measured_s / guess;
                step->cost_per_sample_s *= d->measured_s / guess;
            }
            step->predicted_s =
                step->cost_fixed_s + step->cost_per_sample_s * (double)device->capacity;
        }
}

double tutti_plan_predicted_s(const tutti_plan *plan, tutti_mode mode, int32_t device, int64_t n) {
    if (device < 0 || device >= plan->n_devices || (unsigned)mode >= TUTTI_MODE_COUNT || n < 1)
        return 0;
    const tutti_plan_mode *m = &plan->devices[device].modes[mode];
    double sum = 0;
    for (int32_t s = 0; s < m->n_steps; s++)
        sum += m->steps[s].cost_fixed_s + m->steps[s].cost_per_sample_s * (double)n;
    return sum;
}
