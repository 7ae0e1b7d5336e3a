/* Tables of numbers and texts, and what turns them into data sets. What is learnt from a table
 * (means, deviations, categories) is learnt from the training part only.
 *
 *     TRY(tutti_table_load_csv("flats.csv", &(tutti_table_options){.target = "rent"}, &all));
 *     TRY(tutti_table_split(all, 0.8, seed, &train, &test));
 *     TRY(tutti_encoder_learn(train, NULL, &encoder));
 *     TRY(tutti_encoder_apply(encoder, train, &train_set));
 *     TRY(tutti_encoder_apply(encoder, test, &test_set));
 *
 * encoder->n_classes is 0 for a regression: then a prediction y stands for
 * y * encoder->target_deviation + encoder->target_mean.
 */
#ifndef TUTTI_TABLE_H
#define TUTTI_TABLE_H

#include "tutti/data.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_table tutti_table;

typedef enum tutti_missing {
    TUTTI_MISSING_REFUSE, /* an error that names line and column */
    TUTTI_MISSING_DROP,   /* rows with a missing cell are left out */
    TUTTI_MISSING_FILL    /* a number becomes the training part's mean, a text a category "" of its
                             own; a missing target is refused */
} tutti_missing;

/* Zero means the default. Columns are named as in the header, or "1", "2", ... without one. */
typedef struct tutti_table_options {
    const char *target; /* default: the last column */
    /* Names of columns, separated by commas. */
    const char *categorical; /* that hold texts even where these look like numbers */
    const char *ignore;      /* that are no features, such as a number of the row */
    bool classes;            /* the target names a class even if it looks like a number */
    tutti_missing missing;
    const char *missing_text; /* stands for a missing cell besides an empty one, such as "NA" */
    bool no_header;
    char separator; /* 0: ',' */
} tutti_table_options;

/* Loads CSV (the same format and limits as tutti_dataset_load_csv). A column whose cells are for the
 * larger part numbers is numeric, and any other cell in it is an error; the others are
 * categorical. A numeric target makes a regression, a text target a classification. options may be
 * NULL. The caller owns the result: tutti_table_free. Errors: TUTTI_IO with the path;
 * TUTTI_BAD_INPUT as "file:line: column \"name\": \"value\" is not a number". */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_table_load_csv(const char *path,
                                                           const tutti_table_options *options,
                                                           tutti_table **out);
/* A generated table of n flats: five numeric and three categorical columns, and the "rent" to learn
 * (or, with classes, the "offer": cheap, usual or dear for what it is). The same rows on every
 * machine. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_table_make_flats(int64_t n, bool classes, uint64_t seed,
                                                             tutti_table **out);
/* Splits in two, as tutti_dataset_split does. The parts share the cells. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_table_split(const tutti_table *table, double fraction,
                                                        uint64_t seed, tutti_table **out_first,
                                                        tutti_table **out_second);
TUTTI_API int64_t tutti_table_rows(const tutti_table *table);
/* Rows that TUTTI_MISSING_DROP left out of the file. */
TUTTI_API int64_t tutti_table_dropped(const tutti_table *table);
/* For messages: the path, or how it was generated. */
TUTTI_API const char *tutti_table_source(const tutti_table *table);
TUTTI_API void tutti_table_free(tutti_table *table);

typedef struct tutti_encoder_options {
    int32_t max_categories; /* of a column; default 256 */
} tutti_encoder_options;

typedef struct tutti_encoder_columns tutti_encoder_columns;

/* How a table becomes numbers. Each numeric column is standardised (a constant one becomes 0). Each
 * categorical column becomes one feature of 0 or 1 per text that occurs in the training part, in
 * the order of their bytes; a text that does not occur there leaves all of them 0. */
typedef struct tutti_encoder {
    int32_t n_features;
    const char *target;
    /* Classification: labels are i32 (N), and the classes are the texts of the whole file in the
     * order of their bytes, so that a rare one is known even if no training row has it. */
    int32_t n_classes;
    const char *const *class_names;
    /* Regression: targets are f32 (N x 1), standardised. */
    float target_mean, target_deviation;
    tutti_encoder_columns *columns; /* private */
} tutti_encoder;

/* Learns from a training part. options may be NULL. The caller owns the result:
 * tutti_encoder_free; it does not need the table any more. Errors: TUTTI_BAD_INPUT for a column with too
 * many categories, or a target with a single class or value. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_encoder_learn(const tutti_table *train,
                                                          const tutti_encoder_options *options,
                                                          tutti_encoder **out);
/* Makes a data set of a table with the same columns (found by name, so that it may come from
 * another file). feature_names are "column" or "column=text". Errors: TUTTI_BAD_INPUT for a column
 * that is missing or of the other kind, or a class that is not known. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_encoder_apply(const tutti_encoder *encoder,
                                                          const tutti_table *table,
                                                          tutti_dataset **out);
TUTTI_API void tutti_encoder_free(tutti_encoder *encoder);

#ifdef __cplusplus
}
#endif
#endif
