/* A profile with the memory that its data live in. */
#ifndef TUTTI_PROFILE_PROFILE_H
#define TUTTI_PROFILE_PROFILE_H

#include "base/arena.h"
#include "tutti/profile.h"

typedef struct tutti_profile_full {
    tutti_profile view; /* first: the public pointer is this one's */
    tutti_arena arena;
} tutti_profile_full;

/* Empty but for its source; tutti_profile_free. */
tutti_profile_full *tutti_profile_make(const char *source);
/* What a match and an entry are before anything is said about them. */
tutti_device_match tutti_match_any(void);
tutti_profile_device tutti_entry_any(void);

/* "auto": every CPU, GPU and accelerator. */
#define TUTTI_TYPES_AUTO (TUTTI_DEVICE_CPU | TUTTI_DEVICE_GPU | TUTTI_DEVICE_ACCELERATOR)

/* By which the sum of shares may exceed 1: 0.1 + 0.2 + 0.7 does in binary. */
#define TUTTI_SHARE_SLACK 1e-9

#endif
