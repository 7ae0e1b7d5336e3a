/* Walks in child processes, each with its own OCL_ICD_VENDORS and all under one deadline. */
#ifndef TUTTI_DEVICE_CHILD_H
#define TUTTI_DEVICE_CHILD_H

#include "device/walk.h"

typedef struct tutti_child_job {
    const char *vendors; /* value of OCL_ICD_VENDORS */
    const char *library; /* to say why it does not load, when no platform comes; NULL for none */
    /* Results. */
    const char *problem; /* "" or: crashed (signal 6, Aborted), hung: no answer in 10 s, … */
    tutti_walk walk;     /* when there is no problem */
} tutti_child_job;

/* Runs all jobs at once. A failed job is a result; an error is of ours (no process, no memory). */
TUTTI_MUST_USE tutti_status tutti_child_run(tutti_arena *arena, tutti_child_job *jobs,
                                            int32_t count, uint32_t deadline_ms);

#endif
