/* Who may ask: the Host and Origin headers, API keys, and how much a client may have in a minute
 * (docs/serving.md, safety). Any thread may call. */
#ifndef SERVE_GUARD_H
#define SERVE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "serve/keys.h"

typedef struct guard guard;

typedef struct guard_options {
    bool loopback; /* the server listens there: strangers' machines cannot reach it */
    keys_options keys;
    /* Whose pages may use this server (CORS), as "https://chat.example"; '*' stands for any
     * characters. Borrowed. */
    const char *const *origins;
    size_t n_origins;
    /* What may stand in Host beside this machine's own names. Borrowed. */
    const char *const *hosts;
    size_t n_hosts;
    allowance allowance; /* of each key, or of each address where none is needed */
} guard_options;

/* Keeps hashes of the keys only. */
hone_status guard_open(guard **out, const guard_options *options);
void guard_close(guard *g);
size_t guard_keys(guard *g); /* how many there are; 0 = none is needed, or none works any more */

/* What a request says of itself; header fields are NULL where missing. */
typedef struct visit {
    const char *host, *origin, *authorization, *address;
    bool open; /* this path needs no key and counts for no limit */
} visit;

typedef struct verdict {
    unsigned status;        /* 0 = welcome, else the HTTP status to answer with, … */
    const char *code, *why; /* … its code and words, */
    unsigned retry_seconds; /* and with 429 when to come again */
    bool listed_origin;     /* a page of the list asks: the answer carries CORS headers */
    char client[KEY_NAME_BYTES]; /* whose turn it is: the key's name, else the address */
} verdict;

/* Once for each request: a welcome counts for the client's limit. */
void guard_check(guard *g, const visit *v, verdict *out);

/* A policy for scheduler_options, whose user is the guard. */
int guard_priority(void *g, const char *client);
void guard_charge(void *g, const char *client, size_t n_tokens);

/* Whether this numeric address is one of this machine's loopback. */
bool guard_is_loopback(const char *address);

#endif
