#include <math.h>

#include "base/status.h"
#include "data/data.h"

/* Features are seen as (n, channels, inner): statistics are over the samples and inner. */
typedef struct layout {
    int64_t channels, inner;
} layout;

static void rescale(tutti_dataset *set, layout l, int64_t channel, double mean, double factor) {
    for (int64_t i = 0; i < set->n; i++) {
        float *values = set->x + (i * l.channels + channel) * l.inner;
        for (int64_t k = 0; k < l.inner; k++)
            values[k] = (float)(((double)values[k] - mean) * factor);
    }
}

static void learn(const tutti_dataset *set, layout l, int64_t channel, double *out_mean,
                  double *out_deviation) {
    const double count = (double)set->n * (double)l.inner;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < set->n; i++) {
        const float *values = set->x + (i * l.channels + channel) * l.inner;
        for (int64_t k = 0; k < l.inner; k++)
            sum += (double)values[k];
    }
    const double mean = sum / count;
    for (int64_t i = 0; i < set->n; i++) {
        const float *values = set->x + (i * l.channels + channel) * l.inner;
        for (int64_t k = 0; k < l.inner; k++) {
            const double d = (double)values[k] - mean;
            squares += d * d;
        }
    }
    *out_mean = mean;
    *out_deviation = sqrt(squares / count);
}

static tutti_status check(const tutti_dataset *fit, tutti_dataset *const *others,
                          int32_t n_others) {
    char a[TUTTI_SHAPE_TEXT], b[TUTTI_SHAPE_TEXT];
    TUTTI_TRY(tutti_dataset_check_f32(fit, "standardize"));
    for (int32_t i = 0; i < n_others; i++) {
        TUTTI_TRY(tutti_dataset_check_f32(others[i], "standardize"));
        if (!tutti_shape_equal(&fit->x_shape, &others[i]->x_shape))
            return tutti_fail(TUTTI_SHAPE, "standardize: features are %s and %s",
                              tutti_shape_text(&fit->x_shape, a),
                              tutti_shape_text(&others[i]->x_shape, b));
    }
    return TUTTI_OK;
}

static void standardize(tutti_dataset *fit, layout l, tutti_dataset *const *others,
                        int32_t n_others) {
    for (int64_t c = 0; c < l.channels; c++) {
        double mean, deviation;
        learn(fit, l, c, &mean, &deviation);
        /* Floats that differ at all deviate by far more than this part of their mean. */
        const double factor = deviation > 1e-12 * fabs(mean) ? 1 / deviation : 0;
        rescale(fit, l, c, mean, factor);
        for (int32_t i = 0; i < n_others; i++)
            rescale(others[i], l, c, mean, factor);
    }
}

tutti_status tutti_dataset_standardize(tutti_dataset *fit, tutti_dataset *const *others,
                                       int32_t n_others) {
    TUTTI_TRY(check(fit, others, n_others));
    standardize(fit, (layout){tutti_shape_sample_count(&fit->x_shape), 1}, others, n_others);
    return TUTTI_OK;
}

tutti_status tutti_dataset_standardize_channels(tutti_dataset *fit, tutti_dataset *const *others,
                                                int32_t n_others) {
    char text[TUTTI_SHAPE_TEXT];
    const tutti_shape *shape = &fit->x_shape;
    if (shape->rank != 3 && shape->rank != 4)
        return tutti_fail(TUTTI_SHAPE,
                          "standardize: features are %s, expected images (N x C x H x W or "
                          "N x H x W)",
                          tutti_shape_text(shape, text));
    TUTTI_TRY(check(fit, others, n_others));
    const int64_t channels = shape->rank == 4 ? shape->dim[1] : 1;
    standardize(fit, (layout){channels, tutti_shape_sample_count(shape) / channels}, others,
                n_others);
    return TUTTI_OK;
}
