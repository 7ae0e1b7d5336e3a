/* Initial values. Only operations that IEEE 754 rounds exactly, in an order that is fixed, so that
 * the bits are the same on every machine. */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/status.h"
#include "exec/run.h"

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF /* gcc does so by itself in ISO C */
#endif

static double dot(const double *a, const double *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Draws vector `index` until it has a part orthogonal to those before it; keeps that, with length
 * 1. Twice, since once leaves what rounding brought in. */
static void draw_orthogonal(double *vectors, int64_t index, int64_t length, tutti_rng *rng) {
    double *v = vectors + index * length;
    double norm = 0;
    while (!(norm > 1e-6)) {
        for (int64_t i = 0; i < length; i++)
            v[i] = (double)tutti_rng_normal(rng);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t k = 0; k < index; k++) {
                const double *other = vectors + k * length, part = dot(other, v, length);
                for (int64_t i = 0; i < length; i++)
                    v[i] -= part * other[i];
            }
        norm = sqrt(dot(v, v, length));
    }
    for (int64_t i = 0; i < length; i++)
        v[i] /= norm;
}

/* Gram-Schmidt on normal vectors: uniform over the orthogonal matrices. */
static tutti_status fill_orthogonal(const tutti_shape *shape, double gain, tutti_rng *rng,
                                    float *out) {
    const int64_t rows = shape->dim[0], columns = tutti_shape_count(shape, 1) / rows;
    const int64_t count = rows < columns ? rows : columns, length = rows < columns ? columns : rows;
    double *vectors = malloc((size_t)(count * length) * sizeof *vectors);
    if (vectors == NULL)
        return tutti_fail_memory((size_t)(count * length) * sizeof *vectors, "an orthogonal start");
    for (int64_t k = 0; k < count; k++)
        draw_orthogonal(vectors, k, length, rng);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            out[r * columns + c] = (float)(gain * (rows < columns ? vectors[r * length + c]
                                                                  : vectors[c * length + r]));
    free(vectors);
    return TUTTI_OK;
}

static void fill_uniform(tutti_rng *rng, float low, float high, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = low + (high - low) * tutti_rng_uniform(rng);
}

static void fill_normal(tutti_rng *rng, float mean, float deviation, bool truncated, int64_t count,
                        float *out) {
    for (int64_t i = 0; i < count; i++) {
        float value = tutti_rng_normal(rng);
        while (truncated && fabsf(value) > 2)
            value = tutti_rng_normal(rng);
        out[i] = mean + deviation * value;
    }
}

static double fan_of(const tutti_tensor_record *record) {
    const float b = record->init.b;
    return b > 0                ? (double)b
           : b == TUTTI_FAN_OUT ? tutti_fan_out(&record->type.shape)
                                : tutti_fan_in(&record->type.shape);
}

static double gain_of(const tutti_tensor_record *record, double otherwise) {
    return record->init.a == 0 ? otherwise : (double)record->init.a;
}

tutti_status tutti_init_fill(const tutti_tensor_record *record, uint64_t seed, float *out) {
    const int64_t count = tutti_shape_count(&record->type.shape, 1);
    const tutti_init init = record->init;
    const tutti_shape *shape = &record->type.shape;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, tutti_rng_stream(record->name));
    switch (init.kind) {
    case TUTTI_INIT_ZEROS:
    case TUTTI_INIT_CONSTANT:
        for (int64_t i = 0; i < count; i++)
            out[i] = init.kind == TUTTI_INIT_ZEROS ? 0.0F : init.a;
        break;
    case TUTTI_INIT_UNIFORM:
        fill_uniform(&rng, init.a, init.b, count, out);
        break;
    case TUTTI_INIT_NORMAL:
    case TUTTI_INIT_TRUNCATED_NORMAL:
        fill_normal(&rng, init.a, init.b, init.kind == TUTTI_INIT_TRUNCATED_NORMAL, count, out);
        break;
    case TUTTI_INIT_KAIMING_UNIFORM: {
        const float bound = (float)(gain_of(record, sqrt(6)) / sqrt(fan_of(record)));
        fill_uniform(&rng, -bound, bound, count, out);
        break;
    }
    case TUTTI_INIT_KAIMING_NORMAL:
        fill_normal(&rng, 0, (float)(gain_of(record, sqrt(2)) / sqrt(fan_of(record))), false, count,
                    out);
        break;
    case TUTTI_INIT_XAVIER_UNIFORM: {
        const double fans = tutti_fan_in(shape) + tutti_fan_out(shape);
        const float bound = (float)(gain_of(record, 1) * sqrt(6 / fans));
        fill_uniform(&rng, -bound, bound, count, out);
        break;
    }
    case TUTTI_INIT_XAVIER_NORMAL: {
        const double fans = tutti_fan_in(shape) + tutti_fan_out(shape);
        fill_normal(&rng, 0, (float)(gain_of(record, 1) * sqrt(2 / fans)), false, count, out);
        break;
    }
    case TUTTI_INIT_ORTHOGONAL:
        return fill_orthogonal(shape, gain_of(record, 1), &rng, out);
    }
    return TUTTI_OK;
}
