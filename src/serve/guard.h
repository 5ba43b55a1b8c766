/* Who may ask: the Host and Origin headers, and API keys (docs/serving.md, safety). */
#ifndef SERVE_GUARD_H
#define SERVE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct guard guard;

/* Keeps hashes of the keys only. `loopback`: the server listens there, so that only names of this
 * machine may stand in Host (a page that rebinds its own name is turned away). */
hone_status guard_open(guard **out, const char *const *keys, size_t n_keys, bool loopback);
void guard_close(guard *g);

/* 0 = welcome, else the HTTP status to answer with; *why says it in words. `host`, `origin`,
 * `authorization` are the headers, NULL where missing. */
unsigned guard_check_host(const guard *g, const char *host, const char *origin, const char **why);
unsigned guard_check_key(const guard *g, const char *authorization, const char **why);

/* Whether this numeric address is one of this machine's loopback. */
bool guard_is_loopback(const char *address);

#endif
