#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

tutti_shape tutti_shape_of_rows(int32_t rank, const int64_t *dims) {
    tutti_shape shape = {.rank = rank + 1, .batched = true, .dim = {1}};
    for (int32_t i = 0; i < rank; i++)
        shape.dim[i + 1] = dims[i];
    return shape;
}

static tutti_status check_rows(const char *what, const tutti_shape *shape, int64_t n) {
    char text[TUTTI_SHAPE_TEXT];
    if (shape->rank < 1 || shape->rank > TUTTI_MAX_RANK || !shape->batched || shape->dim[0] != 1)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "data set: the shape of %s must have one row per sample (batched, first "
                          "extent 1), it is %s",
                          what, tutti_shape_text(shape, text));
    int64_t elements = n;
    for (int32_t i = 1; i < shape->rank; i++) {
        if (shape->dim[i] < 1)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "data set: %s is empty: %s", what,
                              tutti_shape_text(shape, text));
        if (elements > TUTTI_DATASET_MAX_ELEMENTS / shape->dim[i])
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "data set: %lld samples of %s are too large for %s", (long long)n,
                              tutti_shape_text(shape, text), what);
        elements *= shape->dim[i];
    }
    return TUTTI_OK;
}

static size_t x_row_bytes(const tutti_dataset *set) {
    return (size_t)tutti_shape_sample_count(&set->x_shape) * tutti_dtype_size_bytes(set->x_dtype);
}

static size_t y_row_bytes(const tutti_dataset *set) {
    return (size_t)tutti_shape_sample_count(&set->y_shape) * tutti_dtype_size_bytes(set->y_dtype);
}

/* Both dtypes have four bytes per element, and windows are of i32. */
static const void *row(const tutti_dataset *set, const void *first, size_t row_bytes, int64_t i) {
    const size_t step = set->stride != 0 ? (size_t)set->stride * sizeof(int32_t) : row_bytes;
    return (const char *)first + (size_t)i * step;
}

const void *tutti_dataset_x(const tutti_dataset *set, int64_t i) {
    return row(set, set->x, x_row_bytes(set), i);
}

const void *tutti_dataset_y(const tutti_dataset *set, int64_t i) {
    return row(set, set->y, y_row_bytes(set), i);
}

tutti_status tutti_dataset_check_f32(const tutti_dataset *set, const char *what) {
    if (set->x_dtype == TUTTI_F32 && set->stride == 0)
        return TUTTI_OK;
    return tutti_fail(TUTTI_SHAPE, "%s: the features are %s, expected f32 (%s)", what,
                      set->stride != 0 ? "windows of a text" : tutti_dtype_name(set->x_dtype),
                      set->source);
}

tutti_status tutti_dataset_check_labels(const tutti_dataset *set, int32_t n_classes) {
    if (set->y_dtype != TUTTI_I32)
        return tutti_fail(TUTTI_SHAPE, "%s: the targets are %s, expected labels", set->source,
                          tutti_dtype_name(set->y_dtype));
    const int64_t labels = tutti_shape_sample_count(&set->y_shape);
    for (int64_t i = 0; i < set->n; i++) {
        const int32_t *label = tutti_dataset_y(set, i);
        for (int64_t k = 0; k < labels; k++)
            if (label[k] < 0 || label[k] >= n_classes)
                return tutti_fail(TUTTI_BAD_INPUT,
                                  "%s: the label of sample %lld is %d, expected 0 to %d",
                                  set->source, (long long)i, label[k], n_classes - 1);
    }
    return TUTTI_OK;
}

tutti_status tutti_dataset_alloc(int64_t n, tutti_dtype x_dtype, const tutti_shape *x_shape,
                                 tutti_dtype y_dtype, const tutti_shape *y_shape,
                                 const char *source, tutti_dataset **out) {
    *out = NULL;
    if (n < 1 || n > TUTTI_DATASET_MAX_ELEMENTS)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "data set: %lld samples, expected 1 to %lld",
                          (long long)n, (long long)TUTTI_DATASET_MAX_ELEMENTS);
    TUTTI_TRY(check_rows("x", x_shape, n));
    TUTTI_TRY(check_rows("y", y_shape, n));
    const size_t x_bytes = (size_t)tutti_shape_count(x_shape, n) * tutti_dtype_size_bytes(x_dtype);
    const size_t y_bytes = (size_t)tutti_shape_count(y_shape, n) * tutti_dtype_size_bytes(y_dtype);
    tutti_dataset *set = calloc(1, sizeof *set);
    if (set == NULL)
        return tutti_fail_memory(sizeof *set, "a data set");
    *set = (tutti_dataset){.n = n,
                           .x_dtype = x_dtype,
                           .x_shape = *x_shape,
                           .x = malloc(x_bytes),
                           .y_dtype = y_dtype,
                           .y_shape = *y_shape,
                           .y = malloc(y_bytes),
                           .source = strdup(source)};
    if (set->x == NULL || set->y == NULL || set->source == NULL) {
        tutti_dataset_free(set);
        return tutti_fail_memory(x_bytes + y_bytes, "a data set");
    }
    *out = set;
    return TUTTI_OK;
}

void tutti_dataset_free(tutti_dataset *set) {
    if (set == NULL)
        return;
    if (set->stride == 0)
        free(set->y);
    free(set->x);
    free((void *)(uintptr_t)set->feature_names); /* one block: pointers, then the texts */
    free(set->source);
    free(set);
}

static tutti_status count_classes(tutti_dataset *set) {
    const int32_t *labels = set->y;
    const int64_t count = tutti_shape_count(&set->y_shape, set->n);
    int32_t largest = 0;
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] < 0 || labels[i] == INT32_MAX)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "data set: label %lld is %d, expected a class from 0", (long long)i,
                              labels[i]);
        if (labels[i] > largest)
            largest = labels[i];
    }
    set->n_classes = largest + 1;
    return TUTTI_OK;
}

static tutti_status make(int64_t n, tutti_dtype x_dtype, const tutti_shape *x_shape, const void *x,
                         tutti_dtype y_dtype, const tutti_shape *y_shape, const void *y,
                         tutti_dataset **out) {
    tutti_dataset *set;
    TUTTI_TRY(tutti_dataset_alloc(n, x_dtype, x_shape, y_dtype, y_shape, "memory", out));
    set = *out;
    memcpy(set->x, x, (size_t)n * x_row_bytes(set));
    memcpy(set->y, y, (size_t)n * y_row_bytes(set));
    if (y_dtype == TUTTI_I32) {
        const tutti_status status = count_classes(set);
        if (status != TUTTI_OK) {
            tutti_dataset_free(set);
            *out = NULL;
            return status;
        }
    }
    return TUTTI_OK;
}

tutti_status tutti_dataset_make(int64_t n, const tutti_shape *x_shape, const float *x,
                                tutti_dtype y_dtype, const tutti_shape *y_shape, const void *y,
                                tutti_dataset **out) {
    return make(n, TUTTI_F32, x_shape, x, y_dtype, y_shape, y, out);
}

tutti_status tutti_dataset_make_tokens(int64_t n, const tutti_shape *x_shape, const int32_t *x,
                                       tutti_dtype y_dtype, const tutti_shape *y_shape,
                                       const void *y, tutti_dataset **out) {
    return make(n, TUTTI_I32, x_shape, x, y_dtype, y_shape, y, out);
}

void tutti_shuffle(int64_t *order, int64_t n, tutti_rng *rng) {
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)tutti_rng_below(rng, (uint64_t)i + 1);
        const int64_t taken = order[i];
        order[i] = order[j];
        order[j] = taken;
    }
}

static tutti_status copy_names(const tutti_dataset *from, tutti_dataset *to) {
    if (from->feature_names == NULL)
        return TUTTI_OK;
    const int64_t count = tutti_shape_sample_count(&from->x_shape);
    size_t size = (size_t)count * sizeof(char *);
    for (int64_t i = 0; i < count; i++)
        size += strlen(from->feature_names[i]) + 1;
    const char **names = malloc(size);
    if (names == NULL)
        return tutti_fail_memory(size, "feature names");
    char *text = (char *)(names + count);
    for (int64_t i = 0; i < count; i++) {
        names[i] = text;
        text = stpcpy(text, from->feature_names[i]) + 1;
    }
    to->feature_names = names;
    return TUTTI_OK;
}

static tutti_status pick(const tutti_dataset *from, const int64_t *rows, int64_t n,
                         tutti_dataset **out) {
    TUTTI_TRY(tutti_dataset_alloc(n, from->x_dtype, &from->x_shape, from->y_dtype, &from->y_shape,
                                  from->source, out));
    tutti_dataset *set = *out;
    const size_t x_bytes = x_row_bytes(set), y_bytes = y_row_bytes(set);
    for (int64_t i = 0; i < n; i++) {
        memcpy((char *)set->x + (size_t)i * x_bytes, tutti_dataset_x(from, rows[i]), x_bytes);
        memcpy((char *)set->y + (size_t)i * y_bytes, tutti_dataset_y(from, rows[i]), y_bytes);
    }
    set->n_classes = from->n_classes;
    return copy_names(from, set);
}

tutti_status tutti_split_order(int64_t n, double fraction, uint64_t seed, const char *source,
                               int64_t *out_first, int64_t **out_order) {
    if (!(fraction > 0 && fraction < 1))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "split: fraction %g, expected 0 < fraction < 1",
                          fraction);
    *out_first = llround(fraction * (double)n);
    if (*out_first < 1 || *out_first >= n)
        return tutti_fail(TUTTI_BAD_INPUT, "split: %g of %lld samples leaves one part empty (%s)",
                          fraction, (long long)n, source);
    int64_t *order = malloc((size_t)n * sizeof *order);
    if (order == NULL)
        return tutti_fail_memory((size_t)n * sizeof *order, "a split");
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, tutti_rng_stream("split"));
    tutti_shuffle(order, n, &rng);
    *out_order = order;
    return TUTTI_OK;
}

tutti_status tutti_dataset_split(const tutti_dataset *dataset, double fraction, uint64_t seed,
                                 tutti_dataset **out_first, tutti_dataset **out_second) {
    int64_t *order = NULL, n_first = 0;
    *out_first = *out_second = NULL;
    TUTTI_TRY(tutti_split_order(dataset->n, fraction, seed, dataset->source, &n_first, &order));
    tutti_status status = pick(dataset, order, n_first, out_first);
    if (status == TUTTI_OK)
        status = pick(dataset, order + n_first, dataset->n - n_first, out_second);
    free(order);
    if (status != TUTTI_OK) {
        tutti_dataset_free(*out_first);
        tutti_dataset_free(*out_second);
        *out_first = *out_second = NULL;
    }
    return status;
}
