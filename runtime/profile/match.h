/* Whether a device is what a match asks for, and if not, why. */
#ifndef TUTTI_PROFILE_MATCH_H
#define TUTTI_PROFILE_MATCH_H

#include "base/strbuf.h"
#include "tutti/device.h"

/* Globs: '*' any text, '?' one byte; letters compare without case (ASCII). */
bool tutti_glob(const char *pattern, const char *text);
/* Whether a space-separated list has the word. */
bool tutti_has_extension(const char *extensions, const char *name);

/* True when the device has everything that the match names, its index left out. *out_rank says how
 * far it came (more is nearer) and `why` gets the reason if it is not; both may be NULL. */
bool tutti_match_device(const tutti_device_match *match, const tutti_device_info *device,
                        int *out_rank, tutti_strbuf *why);

#endif
