/* The data sets' insides: allocation, shuffling, and batches for the trainer. */
#ifndef TUTTI_DATA_DATA_H
#define TUTTI_DATA_DATA_H

#include "base/rng.h"
#include "tutti/data.h"

/* Elements of x or y that a data set may hold; keeps every size in 64 bits and far from overflow.
 */
#define TUTTI_DATASET_MAX_ELEMENTS (INT64_C(1) << 38)

/* A data set with room for n rows, not filled. source is copied. Checks n and the shapes. */
TUTTI_MUST_USE tutti_status tutti_dataset_alloc(int64_t n, tutti_dtype x_dtype,
                                                const tutti_shape *x_shape, tutti_dtype y_dtype,
                                                const tutti_shape *y_shape, const char *source,
                                                tutti_dataset **out);
/* Fails unless the features are f32, row behind row. */
TUTTI_MUST_USE tutti_status tutti_dataset_check_f32(const tutti_dataset *dataset, const char *what);
/* Batched, with the given extents per sample. */
tutti_shape tutti_shape_of_rows(int32_t rank, const int64_t *dims);
/* Fisher-Yates on order[0..n-1], which the caller has filled. */
void tutti_shuffle(int64_t *order, int64_t n, tutti_rng *rng);
/* The rows of a split in two: the first round(fraction * n) of the order, which the caller frees, and
 * the rest. */
TUTTI_MUST_USE tutti_status tutti_split_order(int64_t n, double fraction, uint64_t seed,
                                              const char *source, int64_t *out_first,
                                              int64_t **out_order);

/* Batches of a data set, epoch after epoch.
 *
 *     tutti_batcher_make(dataset, 32, &b);
 *     tutti_batcher_shuffle(b, seed, epoch);
 *     while ((n = tutti_batcher_next(b, &x, &y)) > 0) ...
 */
typedef struct tutti_batcher tutti_batcher;
/* dataset must outlive the batcher. */
TUTTI_MUST_USE tutti_status tutti_batcher_make(const tutti_dataset *dataset, int64_t batch,
                                               tutti_batcher **out);
/* Begins an epoch in an order that depends on seed and epoch only. Without it the first epoch is in
 * the order of the data set. */
void tutti_batcher_shuffle(tutti_batcher *batcher, uint64_t seed, uint64_t epoch);
/* An epoch visits only the first `samples` of its order (0: all): random ones after a shuffle. */
void tutti_batcher_limit(tutti_batcher *batcher, int64_t samples);
/* Changes the rows of shuffled epochs; tutti_augment_check first. */
void tutti_batcher_augment(tutti_batcher *batcher, const tutti_augment *augment);
/* Rows of the next batch, borrowed until the next call; 0 at the end of the epoch. The last batch
 * may be smaller. */
int64_t tutti_batcher_next(tutti_batcher *batcher, const void **out_x, const void **out_y);
void tutti_batcher_free(tutti_batcher *batcher);

/* Whether augment can be applied to the data set. */
TUTTI_MUST_USE tutti_status tutti_augment_check(const tutti_augment *augment,
                                                const tutti_dataset *dataset);
/* Writes a changed copy of an image (shape batched, one row of it). The random numbers are those of
 * (seed, epoch, sample). */
void tutti_augment_apply(const tutti_augment *augment, const tutti_shape *shape, uint64_t seed,
                         uint64_t epoch, int64_t sample, const float *from, float *to);

#endif
