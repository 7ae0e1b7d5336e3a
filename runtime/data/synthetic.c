#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "data/data.h"

enum { UNITS = 4 };

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A small random network of tanh units decides: smooth, not linear, and within reach of a network
 * with one hidden layer. */
static void score(const tutti_dataset *set, int32_t features, uint64_t seed, double *scores) {
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, tutti_rng_stream("binary.function"));
    double weight[UNITS], bias[UNITS];
    for (int u = 0; u < UNITS; u++) {
        weight[u] = (u % 2 != 0 ? 1 : -1) * (0.75 + 0.5 * (double)tutti_rng_uniform(&rng));
        bias[u] = (double)tutti_rng_normal(&rng);
    }
    for (int64_t i = 0; i < set->n; i++)
        scores[i] = 0;
    for (int u = 0; u < UNITS; u++) {
        /* The direction's stream is read again for every sample: no memory of its own. */
        tutti_rng start;
        tutti_rng_begin(&start, seed, tutti_rng_stream("binary.direction") + (uint64_t)u);
        for (int64_t i = 0; i < set->n; i++) {
            rng = start;
            double sum = bias[u];
            for (int32_t f = 0; f < features; f++)
                sum += (double)tutti_rng_normal(&rng) * (double)set->x[i * features + f];
            scores[i] += weight[u] * tanh(sum);
        }
    }
}

tutti_status tutti_dataset_make_binary(int64_t n, int32_t n_features, float noise, uint64_t seed,
                                       tutti_dataset **out) {
    *out = NULL;
    if (n < 2 || n_features < 1)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "binary data set: %lld samples of %d features, expected at least 2 of 1",
                          (long long)n, n_features);
    if (!(noise >= 0 && noise <= 0.5F))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "binary data set: noise %g, expected 0 to 0.5",
                          (double)noise);
    char source[64];
    snprintf(source, sizeof source, "generated, seed %llu", (unsigned long long)seed);
    const tutti_shape x_shape = tutti_shape_of_rows(1, &(int64_t){n_features});
    const tutti_shape y_shape = tutti_shape_of_rows(1, &(int64_t){1});
    TUTTI_TRY(tutti_dataset_alloc(n, TUTTI_F32, &x_shape, TUTTI_F32, &y_shape, source, out));
    double *scores = malloc((size_t)n * 2 * sizeof *scores);
    if (scores == NULL) {
        tutti_dataset_free(*out);
        *out = NULL;
        return tutti_fail_memory((size_t)n * 2 * sizeof *scores, "a binary data set");
    }
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, tutti_rng_stream("binary.features"));
    for (int64_t i = 0; i < n * n_features; i++)
        (*out)->x[i] = tutti_rng_normal(&rng);
    score(*out, n_features, seed, scores);
    /* The median as threshold makes both classes equally common. */
    double *sorted = scores + n;
    for (int64_t i = 0; i < n; i++)
        sorted[i] = scores[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    const double threshold = sorted[n / 2];
    tutti_rng_begin(&rng, seed, tutti_rng_stream("binary.noise"));
    for (int64_t i = 0; i < n; i++) {
        const bool flip = tutti_rng_uniform(&rng) < noise;
        ((float *)(*out)->y)[i] = (scores[i] >= threshold) != flip ? 1.0F : 0.0F;
    }
    free(scores);
    return TUTTI_OK;
}
