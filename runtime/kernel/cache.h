/* Tutti's disk cache: compiled programs, marks of programs that a driver's own cache has seen, and
 * winners of the tuner.
 *
 * An entry is a file <key>.<kind>: a header (magic, kind and key, payload size, BLAKE2b digest of
 * all of them and the payload) and the payload. The digest is verified before anybody sees the
 * payload, since drivers crash on damaged binaries. Entries are written to a temporary file and
 * renamed, so that any number of processes may share a directory. The directory must be a real
 * directory of the effective user that others cannot write to. Entries are evicted when all
 * together exceed the limit: programs before the small rest, among them the least recently used
 * first. An entry of more than three quarters of the limit is not kept, with a warning.
 *
 * A cache that cannot be used costs a warning, once, and nothing else: loads then miss and stores
 * do nothing.
 */
#ifndef TUTTI_KERNEL_CACHE_H
#define TUTTI_KERNEL_CACHE_H

#include "base/hash.h"
#include "tutti/profile.h"

#define TUTTI_CACHE_BINARY "bin"
#define TUTTI_CACHE_SEEN   "seen"
#define TUTTI_CACHE_TUNED  "tune"

#define TUTTI_CACHE_DEFAULT_BYTES (UINT64_C(256) << 20)

typedef struct tutti_cache tutti_cache;

/* Opens the directory that profile and environment name; profile may be NULL. With cache_mode OFF
 * the cache is closed to loads and stores. Fails only when memory runs out. */
TUTTI_MUST_USE tutti_status tutti_cache_open(const tutti_profile *profile, tutti_cache **out);
void tutti_cache_close(tutti_cache *cache);
/* True when entries can be loaded and stored. */
bool tutti_cache_usable(const tutti_cache *cache);

/* The payload of an entry (malloc'd, NUL-terminated behind its size), or false. A damaged entry is
 * removed, with a warning. */
bool tutti_cache_load(tutti_cache *cache, const unsigned char key[TUTTI_DIGEST_BYTES],
                      const char *kind, char **out_data, size_t *out_size_bytes);
/* Writes an entry, replacing an older one. What goes wrong is warned about, once, and false. */
bool tutti_cache_store(tutti_cache *cache, const unsigned char key[TUTTI_DIGEST_BYTES],
                       const char *kind, const void *data, size_t size_bytes);
/* For an entry that is loaded, changed and stored: one thread of all processes has the directory's
 * lock at a time. -1 when there is none to be had; what another stores meanwhile may be lost then. */
int tutti_cache_lock(tutti_cache *cache);
void tutti_cache_unlock(int lock);
/* Removes an entry that turned out useless, with a warning that says why. */
void tutti_cache_reject(tutti_cache *cache, const unsigned char key[TUTTI_DIGEST_BYTES],
                        const char *kind, const char *why);

#endif
