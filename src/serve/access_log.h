/* A line for each request: when, who, what, how it ended. Never what was asked or answered, no
 * header but the request's id, no query, no key (docs/serving.md). */
#ifndef SERVE_ACCESS_LOG_H
#define SERVE_ACCESS_LOG_H

#include "serve/listener.h"

/* {"time", "id", "client", "key", "method", "path", "status", "ms"} or the same in words. `client`
 * is the key's name or the address. Freed with mem_free; NULL when memory is short. */
char *access_log_line(const exchange *x, const char *client, double milliseconds, bool text);

#endif
