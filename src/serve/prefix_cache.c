/* Kept sessions (serve/prefix_cache.h). */
#include "serve/prefix_cache.h"

size_t prefix_shared(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    size_t n = n_a < n_b ? n_a : n_b, i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

size_t prefix_shared_with(const hone_session *session, const hone_request *r) {
    size_t n;
    const int32_t *tokens = hone_session_tokens(session, &n);
    size_t shared = prefix_shared(tokens, n, r->prompt_ids, r->n_prompt_ids);
    if (shared < r->n_prompt_ids) return shared;
    return shared + prefix_shared(tokens + shared, n - shared, r->begun, r->n_begun);
}

size_t prefix_cache_find(const prefix_cache *c, const hone_request *r, size_t *n_shared) {
    size_t best = 0;
    *n_shared = 0;
    for (size_t i = 0; i < c->n; i++) {
        size_t n = prefix_shared_with(c->items[i].session, r);
        if (n > *n_shared) best = i, *n_shared = n;
    }
    return best;
}

const hone_session *prefix_cache_use(prefix_cache *c, size_t at) {
    c->items[at].used_at = ++c->clock;
    return c->items[at].session;
}

hone_session *prefix_cache_take(prefix_cache *c, size_t at) {
    hone_session *session = c->items[at].session;
    c->items[at] = c->items[--c->n];
    return session;
}

static void drop_oldest(prefix_cache *c) {
    size_t oldest = 0;
    for (size_t i = 1; i < c->n; i++)
        if (c->items[i].used_at < c->items[oldest].used_at) oldest = i;
    hone_session_close(prefix_cache_take(c, oldest));
}

void prefix_cache_keep(prefix_cache *c, hone_session *session) {
    if (c->n == PREFIX_CACHE_SESSIONS) drop_oldest(c);
    c->items[c->n].session = session;
    c->items[c->n++].used_at = ++c->clock;
}

uint64_t prefix_cache_bytes(const prefix_cache *c) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->n; i++) bytes += hone_session_kv_share(c->items[i].session);
    return bytes;
}

void prefix_cache_shrink(prefix_cache *c, uint64_t bytes) {
    while (c->n && (bytes == 0 || prefix_cache_bytes(c) > bytes)) drop_oldest(c);
}
