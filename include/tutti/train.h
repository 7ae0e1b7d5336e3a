/* The trainer: fit, evaluate, predict. The caller's program stays in control: errors are returned,
 * nothing exits, callbacks may stop.
 */
#ifndef TUTTI_TRAIN_H
#define TUTTI_TRAIN_H

#include "tutti/data.h"
#include "tutti/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_trainer tutti_trainer;

typedef enum tutti_lr_kind {
    TUTTI_LR_CONSTANT,
    TUTTI_LR_STEP,
    TUTTI_LR_COSINE,
    TUTTI_LR_LINEAR,
    TUTTI_LR_ONE_CYCLE
} tutti_lr_kind;
/* Learning rate as a function of the training step; where gradients of several steps make one update,
 * the last step's rate counts. In warm-up it rises linearly: step i of w (counted from 1) uses
 * i/w of the rate. Cosine: Loshchilov, Hutter: SGDR, 2017, without restarts. One cycle: Smith,
 * Topin: Super-convergence, 2018: from first_factor up to the rate, then down to final_factor, along
 * half cosines, as PyTorch's OneCycleLR. */
typedef struct tutti_lr_schedule {
    tutti_lr_kind kind;
    float gamma;          /* STEP: factor every `every_epochs`; default 0.1 */
    int32_t every_epochs; /* STEP; default 30 */
    float final_factor;   /* rate of the last step as a part of the full rate: COSINE, LINEAR; and
                             ONE_CYCLE, default 4e-6 */
    int64_t warmup_steps; /* not of ONE_CYCLE, and at most the steps of the fit */
    float first_factor;   /* ONE_CYCLE: likewise of the first step; default 0.04 */
    float rise;           /* ONE_CYCLE: part of the steps in which the rate rises; default 0.3 */
} tutti_lr_schedule;

/* Of a schedule that a fit accepts: the rate's factor in step `step` (from 0) of `steps` of a fit with that many steps per epoch. */
TUTTI_API double tutti_lr_factor(const tutti_lr_schedule *schedule, int64_t step,
                                 int64_t steps_per_epoch, int64_t steps);

/* State after a step or an epoch, as callbacks see it. NaN where not known. */
typedef struct tutti_progress {
    int32_t epoch, epochs;         /* epoch counts from 1 */
    int64_t step, steps;           /* in this epoch */
    int64_t total_steps;           /* committed so far */
    double loss, accuracy;         /* training: running mean over the epoch */
    double val_loss, val_accuracy; /* after an epoch with a validation set */
    double lr;
    double samples_per_s; /* of training: over the epoch; at the end over the fit */
    double elapsed_s, eta_s;
} tutti_progress;

typedef enum tutti_event {
    TUTTI_EVENT_BEGIN,
    TUTTI_EVENT_STEP,
    TUTTI_EVENT_EPOCH,
    TUTTI_EVENT_END
} tutti_event;
/* Called from the fitting thread. Anything but TUTTI_OK stops the fit, which returns it
 * (TUTTI_STOPPED for a wanted stop). Every callback gets END, however the fit ends. It may read
 * the trainer and evaluate, but not fit. */
typedef tutti_status (*tutti_callback)(void *user, tutti_event event,
                                       const tutti_progress *progress, tutti_trainer *trainer);

/* Zero means the default. */
typedef struct tutti_trainer_options {
    tutti_tensor x, y;      /* inputs of the graph fed from the data set; default "x" and "y" */
    const char *prediction; /* f32 output that predict returns; default "logits" */
    const char *accuracy;   /* scalar output reported as accuracy; default: none */
    int64_t batch;          /* default 32 */
    uint64_t seed;
    tutti_precision precision; /* tutti_precision_choose with it; default f32 */
    tutti_matmul_precision matmul_precision;
} tutti_trainer_options;

typedef struct tutti_fit_options {
    int32_t epochs; /* default 1 */
    /* An epoch visits that many samples, chosen anew each time (default: all): random windows of a
     * text, a part of a large set. */
    int64_t samples_per_epoch;
    tutti_augment augment;           /* of training images */
    const tutti_dataset *validation; /* or NULL */
    bool validate_average;           /* validate the averages of the parameters (average_decay) */
    tutti_lr_schedule schedule;
    /* > 0: stop after that many epochs without a better validation loss (training loss when there
     * is no validation set). However the epochs end (also with an error, unless the device is lost),
     * parameters, their averages and running statistics return to their best, when an epoch has been
     * judged; what the optimizer remembers does not. */
    int32_t patience;
    double min_delta; /* improvement that counts */
    const tutti_callback *callbacks;
    void *const *callback_users;
    int32_t n_callbacks;
} tutti_fit_options;

typedef struct tutti_metrics {
    double loss, accuracy; /* accuracy NaN when not asked for */
    int64_t samples;
    double seconds, samples_per_s;
} tutti_metrics;

/* Plans and opens a run. graph must be frozen with a loss and an optimizer (without one, only
 * evaluate and predict work). options may be NULL. graph and runtime must outlive the trainer. The
 * caller owns it: tutti_trainer_close. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_trainer_open(tutti_graph *graph, tutti_runtime *runtime,
                                                         const tutti_trainer_options *options,
                                                         tutti_trainer **out);
TUTTI_API void tutti_trainer_close(tutti_trainer *trainer);
/* Trains; batches are shuffled each epoch from the seed; the last batch of an epoch may be smaller.
 * A second fit goes on where the first ended, with other orders. Features and targets of the data
 * set must have as many elements per sample as the inputs (their arrangement may differ: 8x8 feeds
 * 64). out may be NULL; it holds the metrics of the last epoch's training. Errors: TUTTI_SHAPE when
 * the data set does not fit; TUTTI_INVALID_ARGUMENT without one, or for options out of range;
 * TUTTI_STATE without an optimizer or from a callback of another fit; TUTTI_BAD_INPUT when a loss is not
 * finite, naming the epoch, and the step or the validation's samples; TUTTI_STOPPED after a callback's stop (out is set then too). */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_trainer_fit(tutti_trainer *trainer,
                                                        const tutti_dataset *dataset,
                                                        const tutti_fit_options *options,
                                                        tutti_metrics *out);
/* Loss and accuracy over the data set, dropout off. Errors: as of the fit; TUTTI_BAD_INPUT when the loss
 * of some samples is not finite (out is set then too). */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_trainer_evaluate(tutti_trainer *trainer,
                                                             const tutti_dataset *dataset,
                                                             tutti_metrics *out);
/* x: n >= 0 rows of features, of the input's dtype; out: n rows of the prediction output (a row holds
 * what belongs to a sample: T x V for logits (N T x V)). */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_trainer_predict(tutti_trainer *trainer, const void *x,
                                                            int64_t n, float *out);
/* Puts the averages of the parameters (average_decay of the optimizer) in their place for evaluation,
 * prediction, the digest, saving and tutti_run_read, or the parameters back. Before the first update both
 * are the same. Running statistics stay those of the training. In between, fitting and
 * loading weights fail with TUTTI_STATE, and nothing else may train. Errors: TUTTI_STATE without averages. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_trainer_use_average(tutti_trainer *trainer,
                                                                bool average);
/* Borrowed. */
TUTTI_API tutti_run *tutti_trainer_run(tutti_trainer *trainer);
TUTTI_API tutti_plan *tutti_trainer_plan(tutti_trainer *trainer);
/* What the choice of the precision found, a line per try; "" for f32. */
TUTTI_API const char *tutti_trainer_precision(const tutti_trainer *trainer);
TUTTI_API tutti_runtime *tutti_trainer_runtime(tutti_trainer *trainer);
/* Hexadecimal BLAKE2b-256 over all parameters and running statistics (states that nodes of a step
 * read, not those of the optimizer) in order of creation: name, extents and little-endian f32 bytes.
 */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_trainer_digest(tutti_trainer *trainer,
                                                           char out_hex[65]);

/* Writes all parameters and running statistics under their names to a safetensors file (as Hugging
 * Face describes the format; F32), replacing it in one go. The digest goes with them, as
 * "blake2b" in the file's metadata. Errors: TUTTI_IO with the path. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_weights_save(tutti_trainer *trainer, const char *path);
/* Reads them back, from such a file or from one that PyTorch or another program has written. Every
 * parameter and running statistic must be there, in its shape, as F32, F16 or BF16; F32 tensors that the graph
 * lacks are refused, those of other types ("num_batches_tracked") skipped. A digest is verified when
 * there is one. On an error no weight has changed. What the optimizer remembers stays as it is.
 * Errors: TUTTI_IO with the path; TUTTI_BAD_INPUT with the path and what is wrong. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_weights_load(tutti_trainer *trainer, const char *path);

#ifdef __cplusplus
}
#endif
#endif
