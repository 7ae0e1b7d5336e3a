/* Data sets in host memory: features and targets, one row per sample. Tables with texts in them are
 * in tutti/table.h, texts in tutti/text.h.
 */
#ifndef TUTTI_DATA_H
#define TUTTI_DATA_H

#include "tutti/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_dataset {
    int64_t n;           /* samples */
    tutti_dtype x_dtype; /* f32 features or i32 tokens */
    tutti_shape x_shape; /* of one batch of features: batched, dim[0] 1 */
    union {
        float *x; /* n rows; of i32: tokens */
        int32_t *tokens;
    };
    tutti_dtype y_dtype; /* i32 class labels (one or several per sample) or f32 targets */
    tutti_shape y_shape;
    void *y;
    /* 0: the rows of x and y lie one behind the other. Else samples are windows of one sequence: row
     * i of x and of y begins i * stride elements behind row 0, and y lies within x's memory. */
    int64_t stride;
    int32_t n_classes;                /* for labels, else 0 */
    const char *const *feature_names; /* of a CSV header, or NULL */
    char *source;                     /* where it came from, for messages */
} tutti_dataset;

/* Loads features and labels from IDX files, plain or gzip'd (format: LeCun's MNIST page). Unsigned
 * bytes are scaled by `scale` (0 means 1/255), floats are taken as they are; labels are bytes or
 * ints from 0. The caller owns the result: tutti_dataset_free.
 * Errors: TUTTI_IO with the path; TUTTI_BAD_INPUT with the path and what is wrong (magic, type,
 * counts that differ, truncation). */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_load_idx(const char *images_path,
                                                             const char *labels_path, float scale,
                                                             tutti_dataset **out);

/* Loads CIFAR-10 from the directory of its binary version: data_batch_*.bin, in order of their
 * numbers, are the training set, test_batch.bin is the test set. Features are n x 3 x 32 x 32 in 0 to 1.
 * The caller owns both. Errors: TUTTI_IO with the path; TUTTI_BAD_INPUT for a truncated file (with its
 * size) or a class beyond 9 (with the record). */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_load_cifar10(const char *directory,
                                                                 tutti_dataset **out_train,
                                                                 tutti_dataset **out_test);

typedef struct tutti_csv_options {
    const char *target; /* name of the target column; NULL: the last column */
    bool no_header;
    char separator; /* 0: ',' */
    /* When target_max > target_min: cells of the target outside are refused. */
    float target_min, target_max;
    bool target_whole; /* cells of the target that are no whole number are refused, too */
} tutti_csv_options;

/* Loads numeric CSV (RFC 4180; UTF-8 with or without a byte order mark, lines ending in LF or CRLF,
 * blank lines skipped, at most 4 GiB and 65,536 columns): all columns but the target are f32
 * features, the target an f32 (N x 1). Numbers are decimal with '.', whatever the locale; nan, inf
 * and values beyond the range of float are refused. options may be NULL. Errors: TUTTI_IO with the
 * path; TUTTI_BAD_INPUT as "file:line: column \"name\": \"value\" is not a number". */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_load_csv(const char *path,
                                                             const tutti_csv_options *options,
                                                             tutti_dataset **out);
/* A generated binary classification set: n samples of n_features standard normal features; the
 * target (0 or 1, N x 1) follows a random smooth, non-linear function of them, with `noise` of the
 * targets flipped. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_make_binary(int64_t n, int32_t n_features,
                                                                float noise, uint64_t seed,
                                                                tutti_dataset **out);
/* Row i of the features and of the targets. */
TUTTI_API const void *tutti_dataset_x(const tutti_dataset *dataset, int64_t i);
TUTTI_API const void *tutti_dataset_y(const tutti_dataset *dataset, int64_t i);
/* Whether all labels are classes of a model that has n_classes. Errors: TUTTI_BAD_INPUT for one that is
 * not from 0 to n_classes - 1, with its sample, from 0; TUTTI_SHAPE for targets that are no labels. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_check_labels(const tutti_dataset *dataset,
                                                                 int32_t n_classes);
/* Generated images of ten classes, n x 3 x 32 x 32 in 0 to 1: a disc, square, triangle, plus or ring
 * filled with stripes or checks, with colours, places, sizes, background and noise at random. The mean
 * image is the same for all classes: a linear model stays near chance. Sample i has class i % 10 and
 * depends on seed and i only; the same bits on every machine. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_make_textures(int64_t n, uint64_t seed,
                                                                  tutti_dataset **out);
/* Copies x and y. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_make(int64_t n, const tutti_shape *x_shape,
                                                         const float *x, tutti_dtype y_dtype,
                                                         const tutti_shape *y_shape, const void *y,
                                                         tutti_dataset **out);
/* Likewise with i32 features. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_make_tokens(
    int64_t n, const tutti_shape *x_shape, const int32_t *x, tutti_dtype y_dtype,
    const tutti_shape *y_shape, const void *y, tutti_dataset **out);
/* Splits a shuffled copy in two: the first gets round(fraction * n) samples. The shuffle is a
 * Fisher-Yates from the Philox stream of the seed: the same on every machine. Errors:
 * TUTTI_BAD_INPUT when one part would be empty. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_split(const tutti_dataset *dataset,
                                                          double fraction, uint64_t seed,
                                                          tutti_dataset **out_first,
                                                          tutti_dataset **out_second);
/* A larger set for images (N x H x W): each image, and its four copies moved by `pixels` up, down,
 * left and right with zeros moving in. 5 n samples; copies follow their image. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_nudge(const tutti_dataset *dataset,
                                                          int32_t pixels, tutti_dataset **out);
/* Images (N x C x H x W or N x H x W) of another size: bilinear between pixel centres, as PyTorch's
 * interpolate with align_corners off (and without antialiasing). */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_resize(const tutti_dataset *dataset,
                                                           int64_t height, int64_t width,
                                                           tutti_dataset **out);
/* Learns mean and standard deviation of each feature on `fit` and standardises it and the others in
 * place. Constant features become 0. others may be NULL when n_others is 0. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_standardize(tutti_dataset *fit,
                                                                tutti_dataset *const *others,
                                                                int32_t n_others);
/* The same for images (N x C x H x W, or N x H x W with one channel): one mean and deviation per
 * channel, over all samples and pixels. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_dataset_standardize_channels(
    tutti_dataset *fit, tutti_dataset *const *others, int32_t n_others);

/* Random changes of images (N x C x H x W or N x H x W, f32) while batches for training are put
 * together: the data set stays as it is. What happens to a sample depends on the trainer's seed, the
 * epoch and the sample's row only, never on the batch or the devices. */
typedef struct tutti_augment {
    bool flip; /* mirror left and right, every other time */
    /* > 0: rows and columns of zeros are put on each side, and the image's size is cut out at a
     * random place: a move by -crop to crop. */
    int32_t crop;
} tutti_augment;

TUTTI_API void tutti_dataset_free(tutti_dataset *dataset);

#ifdef __cplusplus
}
#endif
#endif
