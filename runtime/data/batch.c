#include "data/data.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

struct tutti_batcher {
    const tutti_dataset *set;
    int64_t batch, next, end;
    size_t x_row, y_row; /* bytes */
    int64_t *order;      /* rows, as the epoch visits them */
    tutti_augment augment;
    bool shuffled;
    uint64_t seed, epoch;
    char *x, *y; /* a gathered batch */
};

tutti_status tutti_batcher_make(const tutti_dataset *set, int64_t batch, tutti_batcher **out) {
    *out = NULL;
    if (batch < 1)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "batch of %lld samples, expected at least 1",
                          (long long)batch);
    tutti_batcher *b = calloc(1, sizeof *b);
    if (b == NULL)
        return tutti_fail_memory(sizeof *b, "batches");
    *b = (tutti_batcher){.set = set,
                         .batch = batch < set->n ? batch : set->n,
                         .end = set->n,
                         .x_row = (size_t)tutti_shape_sample_count(&set->x_shape) *
                                  tutti_dtype_size_bytes(set->x_dtype),
                         .y_row = (size_t)tutti_shape_sample_count(&set->y_shape) *
                                  tutti_dtype_size_bytes(set->y_dtype)};
    b->order = malloc((size_t)set->n * sizeof *b->order);
    b->x = malloc((size_t)b->batch * b->x_row);
    b->y = malloc((size_t)b->batch * b->y_row);
    if (b->order == NULL || b->x == NULL || b->y == NULL) {
        const size_t size = (size_t)b->batch * (b->x_row + b->y_row);
        tutti_batcher_free(b);
        return tutti_fail_memory(size, "batches");
    }
    for (int64_t i = 0; i < set->n; i++)
        b->order[i] = i;
    *out = b;
    return TUTTI_OK;
}

void tutti_batcher_limit(tutti_batcher *b, int64_t samples) {
    b->end = samples > 0 && samples < b->set->n ? samples : b->set->n;
}

void tutti_batcher_augment(tutti_batcher *b, const tutti_augment *augment) {
    b->augment = *augment;
}

void tutti_batcher_shuffle(tutti_batcher *b, uint64_t seed, uint64_t epoch) {
    /* From the identity, so that an epoch's order does not depend on the epochs before it. */
    for (int64_t i = 0; i < b->set->n; i++)
        b->order[i] = i;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, tutti_rng_stream("batches") + epoch);
    tutti_shuffle(b->order, b->set->n, &rng);
    b->seed = seed;
    b->epoch = epoch;
    b->shuffled = true;
    b->next = 0;
}

int64_t tutti_batcher_next(tutti_batcher *b, const void **out_x, const void **out_y) {
    const int64_t left = b->end - b->next, n = left < b->batch ? left : b->batch;
    const bool augment = b->shuffled && (b->augment.flip || b->augment.crop > 0);
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = b->order[b->next + i];
        char *x = b->x + (size_t)i * b->x_row;
        if (augment)
            tutti_augment_apply(&b->augment, &b->set->x_shape, b->seed, b->epoch, row,
                                tutti_dataset_x(b->set, row), (float *)(void *)x);
        else
            memcpy(x, tutti_dataset_x(b->set, row), b->x_row);
        memcpy(b->y + (size_t)i * b->y_row, tutti_dataset_y(b->set, row), b->y_row);
    }
    b->next += n;
    *out_x = b->x;
    *out_y = b->y;
    return n;
}

void tutti_batcher_free(tutti_batcher *b) {
    if (b == NULL)
        return;
    free(b->order);
    free(b->x);
    free(b->y);
    free(b);
}
