/* The insides of the tuner.
 *
 *   tune.c      candidates checked, timed and chosen
 *   recall.c    what is known from before
 *   trial.c     one candidate run on random inputs
 *   tunings.c   the file of a device
 */
#ifndef TUTTI_KERNEL_TUNER_H
#define TUTTI_KERNEL_TUNER_H

#include "kernel/programs.h"

/* A request being answered. */
typedef struct tutti_tuner {
    tutti_kernels *kernels;
    const tutti_device *device;
    const tutti_tune_request *request;
    tutti_tune_result *result;
    float tolerance;
    bool refuted[TUTTI_TUNING_CANDIDATES_MAX]; /* wrong, does not compile, does not run */
    bool no_memory;  /* what came of it may differ next time: not remembered */
    double begin_s;  /* of measuring, moved on by time that is not to count */
    double verify_s; /* the last first run, compiling included */
    double first_s;  /* of the first candidate that was right */
} tutti_tuner;

/* Sets the note of a candidate. */
TUTTI_MUST_USE tutti_status tutti_tuner_note(tutti_tuner *t, int32_t candidate, const char *format,
                                             ...) TUTTI_PRINTF(3, 4);
/* What identifies the request, apart from device and driver, each of which has a file of its own. */
TUTTI_MUST_USE tutti_status tutti_tuner_key(const tutti_tuner *t, char key[TUTTI_DIGEST_HEX]);
/* Answers when the result is known; sets result->hint when a pack says what to try. */
TUTTI_MUST_USE tutti_status tutti_tuner_recall(tutti_tuner *t, const char *key, bool *out_known);
/* Answers with a pack's record, once its winner has been checked. */
TUTTI_MUST_USE tutti_status tutti_tuner_trust(tutti_tuner *t, const char *key);
/* Keeps the result, for this process and on disk. */
TUTTI_MUST_USE tutti_status tutti_tuner_remember(const tutti_tuner *t, const char *key);

#endif
