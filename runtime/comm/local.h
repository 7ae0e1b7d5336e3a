/* Where the device threads of one process meet during a step, and how their parts are added.
 *
 * A meeting has slots; a slot is open once all parties have arrived at it. Arriving never waits.
 * What a thread wrote before it arrived can be read by whoever waited for the slot.
 *
 *     tutti_meeting_begin(m, 2);                before the threads start
 *     tutti_meeting_arrive(m, slot);
 *     TUTTI_TRY(tutti_meeting_wait(m, slot));   TUTTI_STOPPED when a party gave up
 */
#ifndef TUTTI_COMM_LOCAL_H
#define TUTTI_COMM_LOCAL_H

#include <stdint.h>

#include "tutti/status.h"

typedef struct tutti_meeting tutti_meeting;

TUTTI_MUST_USE tutti_status tutti_meeting_make(int32_t n_slots, tutti_meeting **out);
/* Takes NULL. */
void tutti_meeting_free(tutti_meeting *meeting);
/* Closes all slots. No thread may be at the meeting. */
void tutti_meeting_begin(tutti_meeting *meeting, int32_t parties);
void tutti_meeting_arrive(tutti_meeting *meeting, int32_t slot);
/* Opens a slot at once, for a party that speaks for all. */
void tutti_meeting_open(tutti_meeting *meeting, int32_t slot);
/* Waits until the slot is open, or returns TUTTI_STOPPED when someone abandoned the meeting before.
 */
TUTTI_MUST_USE tutti_status tutti_meeting_wait(tutti_meeting *meeting, int32_t slot);
/* Wakes everybody: the step is given up. */
void tutti_meeting_abandon(tutti_meeting *meeting);

/* out[i] = parts[0][i] + parts[1][i] + …, added in that order, whatever the number of threads. out
 * may be one of the parts. n_parts is at least 1. */
void tutti_sum_parts(float *out, const float *const *parts, int32_t n_parts, int64_t count);

#endif
