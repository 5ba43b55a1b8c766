/* Sessions of finished answers, kept for prompts that begin like them: each holds the keys and
 * values of its tokens, pages that several share are held once, and the least recently used goes
 * first. One thread owns it. */
#ifndef SERVE_PREFIX_CACHE_H
#define SERVE_PREFIX_CACHE_H

#include "hone/hone.h"

enum { PREFIX_CACHE_SESSIONS = 256 };

typedef struct prefix_cache {
    struct {
        hone_session *session;
        uint64_t used_at;
    } items[PREFIX_CACHE_SESSIONS];
    size_t n;
    uint64_t clock; /* counts uses */
} prefix_cache;

/* How many tokens two lists share at their beginning; a session's tokens, and those that a request
 * begins with: its prompt_ids, and what of its answer is there already. */
size_t prefix_shared(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);
size_t prefix_shared_with(const hone_session *session, const hone_request *r);

/* Where the session lies that shares most with the request; *n_shared = so many tokens, 0 = none
 * does. */
size_t prefix_cache_find(const prefix_cache *c, const hone_request *r, size_t *n_shared);

/* The session at that place, which counts as a use of it. The caller may fork it, … */
const hone_session *prefix_cache_use(prefix_cache *c, size_t at);
/* … or own it from now on. */
hone_session *prefix_cache_take(prefix_cache *c, size_t at);

/* Keeps the session, which now belongs to the cache. */
void prefix_cache_keep(prefix_cache *c, hone_session *session);

/* Bytes that the cache answers for (hone_session_kv_share). */
uint64_t prefix_cache_bytes(const prefix_cache *c);
/* Drops sessions until they answer for no more than so many bytes; 0 = all of them. */
void prefix_cache_shrink(prefix_cache *c, uint64_t bytes);

#endif
