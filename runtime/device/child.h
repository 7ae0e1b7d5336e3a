/* Work in child processes, all at once and under one deadline, so that a driver that crashes or
 * hangs costs a child. */
#ifndef TUTTI_DEVICE_CHILD_H
#define TUTTI_DEVICE_CHILD_H

#include <stdint.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "tutti/status.h"

typedef struct tutti_child_job {
    /* Runs in the child; out goes back to the parent, of the same program. A failure becomes the
     * problem, with the thread's message. What it prints is kept for messages. */
    tutti_status (*work)(void *user, tutti_strbuf *out);
    void *user;
    const char *vendors; /* OCL_ICD_VENDORS in the child; NULL leaves it */
    /* Results. */
    const char *problem; /* "" or: crashed (signal 6, Aborted), hung: no answer in 10 s, … */
    tutti_status status; /* OK, that of work, TIMEOUT when it hung, OPENCL when it crashed */
    const char *bytes;   /* what work put out, when there is no problem; owned by the arena */
    size_t size_bytes;
} tutti_child_job;

/* Runs all jobs. A failed job is a result; an error is of ours (no process, no memory). */
TUTTI_MUST_USE tutti_status tutti_child_run(tutti_arena *arena, tutti_child_job *jobs,
                                            int32_t count, uint32_t deadline_ms);

#endif
