/* A worker thread that runs one job at a time: the submitter of a device.
 *
 *     tutti_worker_start(&w, "tutti cpu.0");
 *     tutti_worker_post(w, job, user);       job: tutti_status (*)(void *)
 *     status = tutti_worker_wait(w);         sets the job's error message in the calling thread
 *     tutti_worker_stop(w);
 */
#ifndef TUTTI_BASE_THREAD_H
#define TUTTI_BASE_THREAD_H

#include "tutti/status.h"

typedef struct tutti_worker tutti_worker;
typedef tutti_status (*tutti_job)(void *user);

TUTTI_MUST_USE tutti_status tutti_worker_start(tutti_worker **out, const char *name);
/* The worker must be idle (never posted, or waited for). */
void tutti_worker_post(tutti_worker *worker, tutti_job job, void *user);
/* Waits for the posted job and returns its status; TUTTI_OK when none was posted. */
TUTTI_MUST_USE tutti_status tutti_worker_wait(tutti_worker *worker);
/* Waits for the job, joins and frees; takes NULL. */
void tutti_worker_stop(tutti_worker *worker);

#endif
