#include <math.h>

#include "tutti/train.h"

#define PI 3.141592653589793

static double along_cosine(double from, double to, double part) {
    return to + (from - to) * 0.5 * (1 + cos(PI * part));
}

static double or_default(float value, double otherwise) {
    return value != 0 ? (double)value : otherwise;
}

/* The rate peaks at step rise * count - 1, as in OneCycleLR. */
static double one_cycle(const tutti_lr_schedule *s, double step, double count) {
    const double peak = fmax(or_default(s->rise, 0.3) * count - 1, 0), last = count - 1;
    if (step <= peak)
        return along_cosine(or_default(s->first_factor, 0.04), 1, peak > 0 ? step / peak : 1);
    const double part = last > peak ? (step - peak) / (last - peak) : 1;
    return along_cosine(1, or_default(s->final_factor, 4e-6), part > 1 ? 1 : part);
}

double tutti_lr_factor(const tutti_lr_schedule *s, int64_t step, int64_t steps_per_epoch,
                       int64_t steps) {
    if (step < s->warmup_steps)
        return (double)(step + 1) / (double)s->warmup_steps;
    /* 0 in the first step behind the warm-up, 1 in the last. */
    const int64_t span = steps - 1 - s->warmup_steps;
    double part = span > 0 ? (double)(step - s->warmup_steps) / (double)span : 0;
    part = part > 1 ? 1 : part;
    const double last = (double)s->final_factor;
    switch (s->kind) {
    case TUTTI_LR_STEP: {
        const double gamma = s->gamma != 0 ? (double)s->gamma : 0.1;
        const int64_t every = s->every_epochs > 0 ? s->every_epochs : 30;
        return pow(gamma, (double)(step / (steps_per_epoch > 0 ? steps_per_epoch : 1) / every));
    }
    case TUTTI_LR_COSINE:
        return along_cosine(1, last, part);
    case TUTTI_LR_LINEAR:
        return 1 + (last - 1) * part;
    case TUTTI_LR_ONE_CYCLE:
        return one_cycle(s, (double)step, (double)steps);
    case TUTTI_LR_CONSTANT:
        break;
    }
    return 1;
}
