/* BLAKE2b-256 digests (RFC 7693), from libsodium. */
#ifndef TUTTI_BASE_HASH_H
#define TUTTI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define TUTTI_DIGEST_BYTES 32
#define TUTTI_DIGEST_HEX   65 /* with the terminating NUL */

typedef struct tutti_hash {
    /* libsodium's state needs 64-byte alignment. */
    _Alignas(64) unsigned char state[512];
} tutti_hash;

void tutti_hash_begin(tutti_hash *hash);
void tutti_hash_add(tutti_hash *hash, const void *data, size_t size_bytes);
/* The text and its terminating NUL, so that neighbours cannot run into each other. */
void tutti_hash_add_text(tutti_hash *hash, const char *text);
void tutti_hash_end(tutti_hash *hash, unsigned char digest[TUTTI_DIGEST_BYTES]);
void tutti_hash_hex(const unsigned char digest[TUTTI_DIGEST_BYTES], char hex[TUTTI_DIGEST_HEX]);

#endif
