/* A hash map from byte strings to 32-bit numbers (open addressing).
 *
 * Keys are borrowed: their bytes must outlive the map. Lookup is safe from several threads while
 * nobody inserts. The hash is seeded per process, so that hostile keys cannot be made to
 * collide. */
#ifndef BASE_STRMAP_H
#define BASE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct strmap_slot {
    const char *key;
    uint32_t key_bytes, hash, value;
} strmap_slot;

typedef struct strmap {
    strmap_slot *slots; /* n_slots is a power of two; key NULL = free */
    size_t n_slots, n_used;
    uint64_t seed;
} strmap;

/* Room for `n_expected` keys without growing. */
hone_status strmap_init(strmap *m, size_t n_expected);
void strmap_release(strmap *m);

/* Sets *was_there (may be NULL) and leaves the first value where the key exists already. */
hone_status strmap_insert(strmap *m, const char *key, size_t key_bytes, uint32_t value,
                          bool *was_there);
bool strmap_find(const strmap *m, const char *key, size_t key_bytes, uint32_t *value);

#endif
