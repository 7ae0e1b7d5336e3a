/* One node on one device with random inputs and the op's reference result: candidates are run on it
 * and compared. */
#ifndef TUTTI_KERNEL_TRIAL_H
#define TUTTI_KERNEL_TRIAL_H

#include "kernel/library.h"

#define TUTTI_TRIAL_SCALARS 64 /* graph scalars that a trial can stand in for */

typedef struct tutti_trial tutti_trial;

/* Draws inputs for n samples (from the ranges of the op's examples, where it has any), makes the
 * buffers and, for tutti_trial_error, computes the reference. TUTTI_OUT_OF_MEMORY when it does not
 * fit the device. */
TUTTI_MUST_USE tutti_status tutti_trial_make(tutti_kernels *kernels, const tutti_node_info *node,
                                             int64_t n, bool reference, tutti_trial **out);
void tutti_trial_free(tutti_trial *trial);

/* A candidate bound to the trial's memory. Its programs must be built (tutti_kernels_want_trial).
 */
typedef struct tutti_trial_run tutti_trial_run;
TUTTI_MUST_USE tutti_status tutti_trial_bind(tutti_trial *trial, const tutti_candidate *candidate,
                                             tutti_trial_run **out);
void tutti_trial_unbind(tutti_trial_run *run);

/* Writes fresh inputs and poisons outputs and scratch memory. */
TUTTI_MUST_USE tutti_status tutti_trial_reset(tutti_trial_run *run);
/* Runs the launches `times` times and waits: seconds per time, host clock. */
TUTTI_MUST_USE tutti_status tutti_trial_time(tutti_trial_run *run, int32_t times,
                                             double *out_seconds);
/* The largest difference from the reference, relative to the largest magnitude of the output;
 * INFINITY where one of them is not finite and the other differs. */
TUTTI_MUST_USE tutti_status tutti_trial_error(tutti_trial_run *run, double *out_error);

#endif
