/* What each client may have in a minute: a bucket of requests and one of tokens (token buckets,
 * Turner 1986), full at first, filled evenly, never above a minute's worth.
 *
 * Tokens are charged when they are known, at an answer's end: a bucket may go below nothing, and
 * its client waits until it is above again. Any thread may call; `now_ms` is clock_ms(). */
#ifndef SERVE_LIMITS_H
#define SERVE_LIMITS_H

#include "serve/keys.h"

typedef struct limits limits;

hone_status limits_open(limits **out);
void limits_close(limits *l);

/* Takes one request out of the client's bucket and returns 0, or returns the seconds after which to
 * try again. Clients without any limit are not remembered. */
unsigned limits_take(limits *l, const char *client, allowance a, double now_ms);

/* Tokens that the client has used; nothing where it has no limit of them. */
void limits_charge(limits *l, const char *client, size_t n_tokens, double now_ms);

#endif
