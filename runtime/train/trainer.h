/* The trainer's insides. */
#ifndef TUTTI_TRAIN_TRAINER_H
#define TUTTI_TRAIN_TRAINER_H

#include "data/data.h"
#include "tutti/train.h"

struct tutti_trainer {
    tutti_graph *graph;
    tutti_runtime *runtime;
    tutti_plan *plan;
    tutti_run *run;
    tutti_tensor x, y, loss;
    tutti_tensor prediction; /* invalid when the graph has no such output */
    tutti_tensor accuracy;   /* invalid: none */
    char *prediction_name, *precision_text;
    int64_t batch;
    uint64_t seed;
    bool fitting;              /* fit is running: a callback may not begin another */
    uint64_t epochs_done;      /* over all fits: gives each epoch an order of its own */
    struct tutti_weights *raw; /* the parameters themselves while their averages are in use */
};

/* Means over a data set, weighted by samples. */
typedef struct tutti_mean {
    double loss, accuracy; /* sums */
    int64_t samples;
} tutti_mean;

TUTTI_MUST_USE tutti_status tutti_trainer_check(const tutti_trainer *trainer,
                                                const tutti_dataset *dataset, const char *what);
/* One step on n samples, adding its loss and accuracy to mean; returns the step's loss. */
TUTTI_MUST_USE tutti_status tutti_trainer_step(tutti_trainer *trainer, tutti_mode mode, int64_t n,
                                               const void *x, const void *y, tutti_mean *mean,
                                               float *out_loss);

/* As tutti_trainer_evaluate, with the averages of the parameters in their place. */
TUTTI_MUST_USE tutti_status tutti_trainer_evaluate_average(tutti_trainer *trainer,
                                                           const tutti_dataset *set,
                                                           tutti_metrics *out);
/* The averages in host memory, parameter by parameter; none when there are none. */
TUTTI_MUST_USE tutti_status tutti_averages_make(const tutti_graph *graph, float **out);
TUTTI_MUST_USE tutti_status tutti_averages_keep(float *values, tutti_trainer *trainer);
TUTTI_MUST_USE tutti_status tutti_averages_restore(const float *values, tutti_trainer *trainer);

/* The values of parameters and running statistics in host memory. */
typedef struct tutti_weights {
    float *values; /* of all that the graph has learned, in order of creation */
    size_t count;
} tutti_weights;
TUTTI_MUST_USE tutti_status tutti_weights_make(const tutti_graph *graph, tutti_weights **out);
TUTTI_MUST_USE tutti_status tutti_weights_keep(tutti_weights *weights, tutti_trainer *trainer);
TUTTI_MUST_USE tutti_status tutti_weights_restore(const tutti_weights *weights,
                                                  tutti_trainer *trainer);
/* As tutti_trainer_digest. */
void tutti_weights_digest(const tutti_weights *weights, const tutti_graph *graph, char out_hex[65]);
/* Between the host's order of bytes and little endian, in place. */
void tutti_weights_swap(float *values, size_t count);
void tutti_weights_free(tutti_weights *weights);

#endif
