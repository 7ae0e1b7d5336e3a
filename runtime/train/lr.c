#include <math.h>

#include "tutti/train.h"

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
        return last + (1 - last) * 0.5 * (1 + cos(3.141592653589793 * part));
    case TUTTI_LR_LINEAR:
        return 1 + (last - 1) * part;
    case TUTTI_LR_CONSTANT:
        break;
    }
    return 1;
}
