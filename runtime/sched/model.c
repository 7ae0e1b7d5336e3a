#include "sched/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEDIAN_OF   3    /* measurements before a median counts */
#define OLD_STEPS   1000 /* a point not measured for so long says nothing about now */
#define SLOPE_RANGE 1.2  /* two points must differ by this factor in n to give a slope */
#define DRIFT       0.2  /* a median that moved so much at equal n: the device changed */

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double tutti_median(const double *values, int32_t count) {
    double sorted[TUTTI_SHARE_WINDOW];
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

void tutti_model_begin(tutti_model *model, double fixed_s, double per_sample_s) {
    *model = (tutti_model){.fixed_s = fixed_s, .per_sample_s = per_sample_s};
}

/* The point for n, in the place of the one not used for longest. */
static tutti_model_point *point_at(tutti_model *model, int64_t n) {
    tutti_model_point *oldest = &model->points[0];
    for (int32_t i = 0; i < TUTTI_MODEL_POINTS; i++) {
        tutti_model_point *point = &model->points[i];
        if (point->n == n)
            return point;
        if (oldest->n != 0 && (point->n == 0 || point->last_step < oldest->last_step))
            oldest = point;
    }
    *oldest = (tutti_model_point){.n = n};
    return oldest;
}

void tutti_model_add(tutti_model *model, int64_t step, int64_t n, double time_s) {
    if (n < 1 || !isfinite(time_s) || time_s <= 0)
        return;
    tutti_model_point *point = point_at(model, n);
    if (point->last_step < step - OLD_STEPS)
        *point = (tutti_model_point){.n = n};
    point->time_s[point->next] = time_s;
    point->next = (point->next + 1) % TUTTI_SHARE_WINDOW;
    point->count += point->count < TUTTI_SHARE_WINDOW;
    point->last_step = step;
    if (point->count < MEDIAN_OF)
        return;

    const double median = tutti_median(point->time_s, point->count);
    if (point->count == TUTTI_SHARE_WINDOW) {
        if (point->settled_s > 0 && fabs(median - point->settled_s) > DRIFT * point->settled_s) {
            /* What was measured elsewhere belongs to the device as it was. */
            for (int32_t i = 0; i < TUTTI_MODEL_POINTS; i++)
                if (&model->points[i] != point)
                    model->points[i] = (tutti_model_point){0};
            point->settled_s = median;
        } else if (!(point->settled_s > 0)) {
            point->settled_s = median;
        }
    }

    const tutti_model_point *far = NULL;
    double far_ratio = SLOPE_RANGE;
    for (int32_t i = 0; i < TUTTI_MODEL_POINTS; i++) {
        const tutti_model_point *other = &model->points[i];
        if (other->n == 0 || other == point || other->count < MEDIAN_OF ||
            other->last_step < step - OLD_STEPS)
            continue;
        const double ratio =
            other->n > n ? (double)other->n / (double)n : (double)n / (double)other->n;
        if (ratio >= far_ratio) {
            far = other;
            far_ratio = ratio;
        }
    }
    if (far != NULL) {
        const double other = tutti_median(far->time_s, far->count);
        const double slope = (other - median) / (double)(far->n - n);
        const double fixed = median - slope * (double)n;
        if (slope > 0 && fixed >= -0.05 * median) {
            model->fixed_s = fixed > 0 ? fixed : 0;
            model->per_sample_s = (median - model->fixed_s) / (double)n;
            return;
        }
    }
    const double predicted = model->fixed_s + model->per_sample_s * (double)n;
    if (predicted > 0) {
        model->fixed_s *= median / predicted;
        model->per_sample_s *= median / predicted;
    } else {
        model->per_sample_s = median / (double)n;
    }
}
