#include "base/strmap.h"

#include <string.h>

#include "base/mem.h"
#include "base/system.h"

static uint64_t process_seed(void) {
    static _Atomic uint64_t seed; /* racing threads may both draw one; either is fine */
    if (!seed) seed = system_random() | 1;
    return seed;
}

/* Multiply-fold hash over 8-byte words, in the manner of wyhash (Wang Yi, 2019). */
static uint64_t fold(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_bytes(uint64_t seed, const char *key, size_t n) {
    uint64_t h = seed ^ (n * 0x9E3779B97F4A7C15u), word;
    for (; n >= 8; key += 8, n -= 8) {
        memcpy(&word, key, 8);
        h = fold(h ^ word, 0xA0761D6478BD642Fu ^ seed);
    }
    word = 0;
    memcpy(&word, key, n);
    h = fold(h ^ word, 0xE7037ED1A0B428DBu ^ seed);
    return (uint32_t)(h ^ (h >> 32));
}

hone_status strmap_init(strmap *m, size_t n_expected) {
    size_t n_slots = 16;
    while (n_slots / 2 < n_expected) n_slots *= 2;
    *m = (strmap){.n_slots = n_slots, .seed = process_seed()};
    m->slots = mem_calloc(n_slots, sizeof *m->slots);
    return m->slots ? HONE_OK : mem_fail("name table", n_slots * sizeof *m->slots);
}

void strmap_release(strmap *m) {
    mem_free(m->slots);
    *m = (strmap){0};
}

/* The slot that holds the key, or the free one where it belongs. */
static strmap_slot *slot_of(const strmap *m, const char *key, size_t n, uint32_t hash) {
    size_t mask = m->n_slots - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        strmap_slot *s = &m->slots[i];
        if (!s->key) return s;
        if (s->hash == hash && s->key_bytes == n && memcmp(s->key, key, n) == 0) return s;
    }
}

static hone_status grow(strmap *m) {
    strmap bigger;
    TRY(strmap_init(&bigger, m->n_slots));
    bigger.seed = m->seed;
    for (size_t i = 0; i < m->n_slots; i++) {
        const strmap_slot *s = &m->slots[i];
        if (s->key) *slot_of(&bigger, s->key, s->key_bytes, s->hash) = *s;
    }
    bigger.n_used = m->n_used;
    mem_free(m->slots);
    *m = bigger;
    return HONE_OK;
}

hone_status strmap_insert(strmap *m, const char *key, size_t key_bytes, uint32_t value,
                          bool *was_there) {
    if (key_bytes > UINT32_MAX) return fail(HONE_ERR_ARGUMENT, "a name of %zu bytes", key_bytes);
    if (m->n_used >= m->n_slots / 2) TRY(grow(m));
    uint32_t hash = hash_bytes(m->seed, key, key_bytes);
    strmap_slot *s = slot_of(m, key, key_bytes, hash);
    if (was_there) *was_there = s->key != NULL;
    if (s->key) return HONE_OK;
    *s = (strmap_slot){.key = key, .key_bytes = (uint32_t)key_bytes, .hash = hash, .value = value};
    m->n_used++;
    return HONE_OK;
}

bool strmap_find(const strmap *m, const char *key, size_t key_bytes, uint32_t *value) {
    if (!m->n_slots || key_bytes > UINT32_MAX) return false;
    const strmap_slot *s = slot_of(m, key, key_bytes, hash_bytes(m->seed, key, key_bytes));
    if (!s->key) return false;
    *value = s->value;
    return true;
}
