/* Reading one entry of a profile's "devices". */
#ifndef TUTTI_PROFILE_ENTRY_H
#define TUTTI_PROFILE_ENTRY_H

#include "profile/read.h"

#define TUTTI_PROFILE_MAX_ENTRIES    64
#define TUTTI_PROFILE_MAX_EXCLUDES   16
#define TUTTI_PROFILE_MAX_EXTENSIONS 32
#define TUTTI_PROFILE_MAX_PARTS      64

/* out: tutti_profile_device, as tutti_entry_any made it. */
tutti_status tutti_read_entry(const tutti_reader *r, const cJSON *value, const void *detail,
                              void *out);

#endif
