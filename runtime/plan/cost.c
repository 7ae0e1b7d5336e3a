/* Predicted times: a roofline from what the driver says of the device, corrected by measurement
 * where there is any. Good enough to rank devices; real steps replace it (sched/balancer.c). */
#include <math.h>
#include <stdlib.h>

#include "kernel/runtime.h"
#include "plan/make.h"

#define REACHED 0.3 /* of the peak, by a decent kernel */

tutti_cost_model tutti_cost_model_guess(const tutti_device *device) {
    const tutti_device_info *info = &device->info;
    const double units = info->compute_units > 0 ? info->compute_units : 1;
    const double clock = info->clock_mhz > 0 ? info->clock_mhz * 1e6 : 1e9;
    tutti_cost_model model = {.scale = 1};
    if ((device->quirks & TUTTI_QUIRK_INTERPRETER) != 0) {
        model.flops_per_s = 2e6;
        model.bytes_per_s = 1e7;
        model.launch_s = 1e-3;
    } else if ((info->type & TUTTI_DEVICE_CPU) != 0) {
        const double width = info->simd_floats > 0 ? info->simd_floats : 4;
        model.flops_per_s = REACHED * units * clock * width * 2;
        model.bytes_per_s = 6e9 + 2e9 * (units < 16 ? units : 16);
        model.launch_s = 5e-6;
    } else {
        /* Lanes per compute unit: 64 to 128 on discrete GPUs, 8 on small integrated ones. */
        model.flops_per_s = REACHED * units * clock * (info->unified_memory ? 16 : 64) * 2;
        model.bytes_per_s = info->unified_memory ? 3e10 : 2e11;
        model.launch_s = 8e-6;
    }
    return model;
}

static double time_of(const tutti_cost_model *model, const tutti_cost *cost) {
    return model->scale * fmax(cost->flops / model->flops_per_s, cost->bytes / model->bytes_per_s);
}

static tutti_cost cost_of(const tutti_node_info *node, int64_t n) {
    if (node->op->cost == NULL)
        return (tutti_cost){0};
    return node->op->cost(node, n);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

#define RATIOS_MAX 256

/* The median of measured over predicted: what the guess is wrong by on this device. */
static double scale_from(const tutti_plan_device *device, const tutti_draft_device *draft,
                         const tutti_cost_model *model) {
    double ratios[RATIOS_MAX];
    int32_t n = 0;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t s = 0; s < device->modes[mode].n_steps && n < RATIOS_MAX; s++) {
            const tutti_draft_step *step = &draft->steps[mode][s];
            if (step->candidates == NULL || !(step->measured_s > 0))
                continue;
            const tutti_item *item =
                &device->modes[mode].program.items[device->modes[mode].steps[s].item];
            const tutti_cost cost = cost_of(&item->node, step->measured_n);
            const double launch_s = model->launch_s * step->candidates[step->chosen].n_launches;
            const double predicted = launch_s + time_of(model, &cost);
            if (predicted > 0)
                ratios[n++] = step->measured_s / predicted;
        }
    if (n == 0)
        return 1;
    qsort(ratios, (size_t)n, sizeof *ratios, compare);
    return ratios[n / 2];
}

void tutti_plan_costs(tutti_plan *plan, tutti_plan_device *device,
                      const tutti_draft_device *draft) {
    tutti_cost_model model = tutti_cost_model_guess(&plan->runtime->devices[device->device]);
    model.scale = scale_from(device, draft, &model);
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t s = 0; s < device->modes[mode].n_steps; s++) {
            tutti_plan_step *step = (tutti_plan_step *)&device->modes[mode].steps[s];
            const tutti_draft_step *d = &draft->steps[mode][s];
            const tutti_node_info *node = &device->modes[mode].program.items[step->item].node;
            if (step->candidate == NULL)
                continue;
            const tutti_cost none = cost_of(node, 0), all = cost_of(node, device->capacity);
            const double fixed = time_of(&model, &none);
            const double slope = fmax(time_of(&model, &all) - fixed, 0) / (double)device->capacity;
            step->cost_fixed_s = model.launch_s * step->candidate->n_launches + fixed;
            step->cost_per_sample_s = slope;
            if (d->measured_s > 0) {
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
