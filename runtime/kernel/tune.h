/* Chooses between the candidates of a node on a device: each is run on random inputs, REJECTED when
 * its result differs from the op's reference by more than the tolerance, and timed otherwise.
 * Winners are remembered on disk in a file per device and driver (tunings.h), keyed by op,
 * attributes, shapes and the candidates' sources.
 */
#ifndef TUTTI_KERNEL_TUNE_H
#define TUTTI_KERNEL_TUNE_H

#include "kernel/library.h"
#include "kernel/tunings.h"

typedef struct tutti_tune_request {
    const tutti_node_info *node;
    const char *label; /* of the node, for people; NULL: its op's name */
    const tutti_candidate *candidates;
    int32_t n_candidates;
    int64_t n;       /* samples at which to measure */
    float tolerance; /* relative to the largest magnitude of each output */
    /* For measuring, compiling excluded; a candidate not reached keeps time NaN. 0: recalls only,
     * builds and measures nothing; winner is -1 when nothing is remembered. */
    double budget_s;
    bool again; /* measure even what is remembered */
} tutti_tune_request;

typedef struct tutti_tune_result {
    int32_t winner; /* -1 when every candidate is wrong or does not build */
    /* Per candidate: median, NaN when not measured; and "", "wrong result (error 3e-2)", "too far
     * from f32 (error 3e-2)", "does not compile", "not measured", "not measured, slow to build" (a
     * library's routine, where its build cannot be repaid), owned by kernels. */
    double time_s[TUTTI_TUNING_CANDIDATES_MAX];
    const char *note[TUTTI_TUNING_CANDIDATES_MAX];
    bool from_disk;
    /* When nothing is answered: the candidate that a pack of measurements names, which is to be
     * checked for right results here before it is used; else -1. */
    int32_t hint;
} tutti_tune_result;

/* As tutti_kernels_want, for measuring candidates, so that those of many requests are built
 * together. Where units are merged, a trial's programs are apart from those of plans: what a plan's
 * program holds must not depend on whether candidates were measured or recalled in this process, or
 * no cache would know it again. */
TUTTI_MUST_USE tutti_status tutti_kernels_want_trial(tutti_kernels *kernels,
                                                     const tutti_launch *launch, const char *op);
/* Measures, or recalls. Requests are independent; programs are wanted and built as needed. */
TUTTI_MUST_USE tutti_status tutti_tune(tutti_kernels *kernels, const tutti_tune_request *request,
                                       tutti_tune_result *out);

#endif
