/* SHA-256 in hexadecimal, by libcrypto. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* 64 lower-case digits and a NUL. */
typedef struct sha256_hex {
    char text[65];
} sha256_hex;

typedef struct sha256_hash {
    struct evp_md_ctx_st *context;
} sha256_hash;

hone_status sha256_init(sha256_hash *hash);
void sha256_release(sha256_hash *hash);
hone_status sha256_add(sha256_hash *hash, const void *bytes, size_t n);
/* Ends the hash; release it all the same. */
hone_status sha256_finish(sha256_hash *hash, sha256_hex *hex);

hone_status sha256_of_text(sha256_hex *hex, const char *text);

/* Of a whole file. `go_on` (may be NULL) hears how many bytes are done; false from it gives
 * HONE_ERR_CANCELLED. */
hone_status sha256_of_file(sha256_hex *hex, const char *path,
                           bool (*go_on)(void *context, uint64_t bytes), void *context);

/* 64 hexadecimal digits, lower case. */
bool sha256_is_hex(const char *text);

#endif
