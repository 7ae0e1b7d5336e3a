#include "sched/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEDIAN_OF   3    /* measurements before a median counts */
#define OLD_STEPS   1000 /* a point not measured for so long says nothing about now */
#define SLOPE_RANGE 1.5  /* two points must differ by this factor in n to give a slope */
#define DRIFT       0.3  /* the last times differ so much from the median: the device changed */

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

/* The place of the i-th last time in the ring. */
static int32_t back(const tutti_model_point *point, int32_t i) {
    return (point->next - i + TUTTI_SHARE_WINDOW) % TUTTI_SHARE_WINDOW;
}

/* Median of the last times only: shares move a few steps after a change, so that the last times at
 * the n that was left behind belong to the device as it is. */
static double latest(const tutti_model_point *point) {
    double last[MEDIAN_OF];
    for (int32_t i = 0; i < MEDIAN_OF; i++)
        last[i] = point->time_s[back(point, i + 1)];
    return tutti_median(last, MEDIAN_OF);
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

    double median = tutti_median(point->time_s, point->count);
    const double recent = latest(point);
    if (fabs(recent - median) > DRIFT * median) {
        /* What was measured before, here and elsewhere, belongs to the device as it was. */
        tutti_model_point now = {.n = n, .last_step = step};
        for (int32_t i = MEDIAN_OF; i > 0; i--)
            now.time_s[now.count++] = point->time_s[back(point, i)];
        now.next = now.count;
        memset(model->points, 0, sizeof model->points);
        *point = now;
        median = recent;
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
        const double other = latest(far);
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
