/* Whether a device is what a match asks for, and if not, why. */
#ifndef TUTTI_PROFILE_MATCH_H
#define TUTTI_PROFILE_MATCH_H

#include "base/strbuf.h"
#include "tutti/device.h"

/* Globs: '*' any text, '?' one byte; letters compare without case (ASCII). */
bool tutti_glob(const char *pattern, const char *text);
/* A vendor's name as users write it: a glob, or a part of the name, or one of the short names
 * ("nvidia", "amd", "intel" …) that stand for all names and PCI ids of the vendor. */
bool tutti_vendor_matches(const char *wanted, const tutti_device_info *device);

/* True when the device has everything that the match names, its index left out. *out_rank says how
 * far it came (more is nearer) and `why` gets the reason if it is not; both may be NULL. */
bool tutti_match_device(const tutti_device_match *match, const tutti_device_info *device,
                        int *out_rank, tutti_strbuf *why);

#endif
