/* A device's time model t(n) = fixed + per_sample * n, kept current from measured steps. */
#ifndef TUTTI_SCHED_MODEL_H
#define TUTTI_SCHED_MODEL_H

#include "sched/shares.h"

#define TUTTI_MODEL_POINTS 4

/* Times measured at one n. */
typedef struct tutti_model_point {
    int64_t n; /* 0: unused */
    double time_s[TUTTI_SHARE_WINDOW];
    int32_t count, next; /* of the ring */
    int64_t last_step;   /* when it was last measured */
} tutti_model_point;

typedef struct tutti_model {
    double fixed_s, per_sample_s;
    tutti_model_point points[TUTTI_MODEL_POINTS];
} tutti_model;

/* Median of count values (1 to TUTTI_SHARE_WINDOW). */
double tutti_median(const double *values, int32_t count);
void tutti_model_begin(tutti_model *model, double fixed_s, double per_sample_s);
/* Takes in a measurement. The model goes through the median at this n; its slope comes from the
 * last times at the n farthest from it that is known, else it keeps its proportions. */
void tutti_model_add(tutti_model *model, int64_t step, int64_t n, double time_s);

#endif
