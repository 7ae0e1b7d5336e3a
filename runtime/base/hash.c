#include "base/hash.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(((tutti_hash *)0)->state),
               "libsodium's state fits");

static crypto_generichash_state *state(tutti_hash *hash) {
    return (crypto_generichash_state *)(void *)hash->state;
}

void tutti_hash_begin(tutti_hash *hash) {
    /* Cannot fail for a fixed digest size without a key. */
    (void)crypto_generichash_init(state(hash), NULL, 0, TUTTI_DIGEST_BYTES);
}

void tutti_hash_add(tutti_hash *hash, const void *data, size_t size_bytes) {
    (void)crypto_generichash_update(state(hash), data, size_bytes);
}

void tutti_hash_add_text(tutti_hash *hash, const char *text) {
    tutti_hash_add(hash, text, strlen(text) + 1);
}

void tutti_hash_end(tutti_hash *hash, unsigned char digest[TUTTI_DIGEST_BYTES]) {
    (void)crypto_generichash_final(state(hash), digest, TUTTI_DIGEST_BYTES);
}

void tutti_hash_hex(const unsigned char digest[TUTTI_DIGEST_BYTES], char hex[TUTTI_DIGEST_HEX]) {
    (void)sodium_bin2hex(hex, TUTTI_DIGEST_HEX, digest, TUTTI_DIGEST_BYTES);
}
