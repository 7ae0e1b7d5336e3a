/* What the tuner found out about a device: per (op, shapes, class of batches) the fastest candidate
 * that was right, and what came of the others. One file per device and driver in Tutti's cache
 * (cache.h: private, atomic, digest verified), as JSON, so that the same text can go to another
 * machine as a pack.
 *
 * A record holds for the sources it was measured with: they are in its key. One that came with a
 * pack is not trusted: its winner is checked for right results on this device before it is used. */
#ifndef TUTTI_KERNEL_TUNINGS_H
#define TUTTI_KERNEL_TUNINGS_H

#include "base/hash.h"
#include "base/strbuf.h"
#include "kernel/cache.h"
#include "tutti/device.h"

#define TUTTI_TUNING_CANDIDATES_MAX 8

typedef struct tutti_tuning_candidate {
    const char *name;
    const char *note; /* "" or why it was not measured or not used */
    double time_s;    /* NaN when not measured */
} tutti_tuning_candidate;

/* In tutti_tunings the strings belong to it; tutti_tunings_put copies those of its argument. */
typedef struct tutti_tuning {
    char key[TUTTI_DIGEST_HEX];
    const char *op, *shapes; /* for people */
    int64_t n;               /* samples at which it was measured */
    int32_t winner;          /* index of a candidate, or -1: none is right */
    bool verified;           /* on this device and driver; false in what a pack brought */
    tutti_tuning_candidate candidate[TUTTI_TUNING_CANDIDATES_MAX];
    int32_t n_candidates;
} tutti_tuning;

typedef struct tutti_tunings {
    tutti_tuning *items;
    int32_t n, capacity;
} tutti_tunings;

void tutti_tunings_free(tutti_tunings *tunings);
/* Borrowed until the next put; NULL when there is none. */
const tutti_tuning *tutti_tunings_find(const tutti_tunings *tunings, const char *key);
/* Copies a record behind the others; one of the same key is dropped. */
TUTTI_MUST_USE tutti_status tutti_tunings_put(tutti_tunings *tunings, const tutti_tuning *record);

/* The records of a device; none when there is no file or it does not read back. */
TUTTI_MUST_USE tutti_status tutti_tunings_load(tutti_cache *cache, const tutti_device_info *device,
                                               tutti_tunings *out);
/* Replaces the device's file; false, with a warning, when it cannot be kept. When all do not fit into
 * a file, the first, the oldest, make room: most of them are of kernels that have changed since. */
bool tutti_tunings_store(tutti_cache *cache, const tutti_device_info *device,
                         const tutti_tunings *tunings);

/* Packs: one JSON document with the records of several devices and a digest over them.
 *     {"tutti_tunings": 1, "digest": "…", "devices": [{"device": …, "records": […]}]} */
typedef struct tutti_tuning_pack_device {
    const char *name, *driver, *platform; /* owned; as in tutti_device_info */
    tutti_tunings tunings;
} tutti_tuning_pack_device;

typedef struct tutti_tuning_pack {
    tutti_tuning_pack_device *devices;
    int32_t n_devices;
} tutti_tuning_pack;

void tutti_tuning_pack_free(tutti_tuning_pack *pack);
/* Copies a device's records into the pack. */
TUTTI_MUST_USE tutti_status tutti_tuning_pack_add(tutti_tuning_pack *pack,
                                                  const tutti_device_info *device,
                                                  const tutti_tunings *tunings);
/* The pack as text, malloc'd; TUTTI_UNSUPPORTED when it is larger than what is read. */
TUTTI_MUST_USE tutti_status tutti_tuning_pack_text(const tutti_tuning_pack *pack, char **out_text);
/* TUTTI_BAD_INPUT "path:line:col: …" for what is no pack, or a damaged one. All records are
 * unverified, and no text has control characters. */
TUTTI_MUST_USE tutti_status tutti_tuning_pack_read(const char *path, tutti_tuning_pack *out);

#endif
