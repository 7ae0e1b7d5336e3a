/* Everything that the ICD loader shows to this process, and its form on a pipe. */
#ifndef TUTTI_DEVICE_WALK_H
#define TUTTI_DEVICE_WALK_H

#include <CL/cl.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "tutti/device.h"

typedef struct tutti_walk_platform {
    tutti_platform_info info; /* first_device counts within the walk */
    const char *library;      /* real path of the driver's library, or "" */
    cl_platform_id id;        /* NULL when another process saw it */
} tutti_walk_platform;

typedef struct tutti_walk {
    tutti_walk_platform *platforms;
    int32_t n_platforms;
    tutti_device_info *devices; /* platform counts within the walk */
    int32_t n_devices;
} tutti_walk;

/* Walks platforms, and with devices their devices. No platform at all is no error; a platform that
 * does not list its devices has a problem. */
TUTTI_MUST_USE tutti_status tutti_walk_here(tutti_arena *arena, bool devices, tutti_walk *out);
/* The walk as bytes for tutti_walk_get in a process of the same program. */
void tutti_walk_put(tutti_strbuf *out, const tutti_walk *walk);
/* False when the bytes are damaged. */
TUTTI_MUST_USE bool tutti_walk_get(tutti_arena *arena, const char *bytes, size_t size_bytes,
                                   tutti_walk *out);

#endif
