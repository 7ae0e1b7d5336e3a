/* Which devices of an inventory an index in a match counts: those that are usable and match, each
 * hardware once. */
#ifndef TUTTI_PROFILE_CANDIDATE_H
#define TUTTI_PROFILE_CANDIDATE_H

#include "tutti/device.h"

/* What two devices of the inventory have in common when they are the same hardware. */
int32_t tutti_candidate_hardware(const tutti_inventory *inventory, int32_t device);
/* Whether the device is usable and matches, index left out, and, of the same hardware behind
 * several platforms, is the one to be used for this match: the original when it matches, else the
 * first. */
bool tutti_candidate(const tutti_inventory *inventory, const tutti_device_match *match,
                     int32_t device);
/* The device's place among the candidates. */
int32_t tutti_candidate_index(const tutti_inventory *inventory, const tutti_device_match *match,
                              int32_t device);

#endif
