/* HTTP/1.1, by way of GNU libmicrohttpd: one thread for each connection, whole bodies in, whole or
 * streamed answers out.
 *
 * A handler runs in its connection's thread, looks at the exchange and gives exactly one answer:
 * exchange_reply, or exchange_stream. It may block. */
#ifndef SERVE_LISTENER_H
#define SERVE_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

typedef struct listener listener;
typedef struct exchange exchange;

typedef struct listener_options {
    const char *host;        /* "127.0.0.1", "::1", "0.0.0.0", …: an address, no name */
    uint16_t port;           /* 0 = any that is free */
    const char *certificate, *key; /* PEM texts for TLS; NULL = none */
    /* Bytes of one body, and of all that are held at a time. A body that is announced larger is
     * answered with 413 (503 where the others leave no room) before it comes; one that turns out
     * larger ends its connection. */
    size_t max_body, max_bodies;
    unsigned max_connections;
    unsigned max_connections_each; /* from one address; 0 = all */
    int patience_ms;         /* what a client may take its time for (serve/deadlines.h) */
    size_t state_bytes;      /* of exchange_state */
    /* Once the head has come: whether to take the body. Where not, `handle` is called at once or
     * behind a small body, which is thrown away, and says why. Must not answer. */
    bool (*admit)(void *user, exchange *x);
    void (*handle)(void *user, exchange *x);
    void *user;
} listener_options;

/* HONE_ERR_IO says why the address cannot be had. */
hone_status listener_open(listener **out, const listener_options *options);
uint16_t listener_port(const listener *l);
/* Waits for the handlers that run. */
void listener_close(listener *l);

/* --- what came --- */

const char *exchange_method(const exchange *x);
const char *exchange_path(const exchange *x);                 /* decoded, without the query */
const char *exchange_header(const exchange *x, const char *name); /* NULL = not there */
const char *exchange_body(const exchange *x, size_t *n);      /* "" when empty */
const char *exchange_client(const exchange *x);               /* its address */
const char *exchange_id(const exchange *x);                   /* "req-…", ours */
/* For logs and the header X-Request-Id: the client's where it sent one that is fit to be shown
 * (letters, digits, ". _ - :", at most 64), else ours. */
const char *exchange_request_id(const exchange *x);

/* state_bytes of the user's own, zeroed when the exchange begins. */
void *exchange_state(exchange *x);

/* From `admit`: the body of this exchange goes to `take`, piece by piece, is not kept, and may have
 * up to `max` bytes; false from it ends the connection. `close` is called once with the state, when
 * the exchange ends. */
void exchange_divert(exchange *x, uint64_t max,
                     bool (*take)(void *state, const char *data, size_t n),
                     void (*close)(void *state), void *state);
void *exchange_diverted(const exchange *x); /* the state; NULL: none */

/* Calls `part` for the parts of a multipart/form-data or urlencoded body, piece by piece: data of
 * one name in order. False ends it. HONE_ERR_FORMAT when the body is none. */
hone_status exchange_form(const exchange *x,
                          bool (*part)(void *user, const char *name, const char *file_name,
                                       const char *data, size_t n),
                          void *user);

/* Whether the client has hung up. */
bool exchange_is_gone(const exchange *x);

/* --- what goes back --- */

/* Before the answer. Copies both. */
void exchange_add_header(exchange *x, const char *name, const char *value);
void exchange_reply(exchange *x, unsigned status, const char *type, const void *body, size_t n);

/* `next` writes up to `room` bytes and returns how many, −1 at the end; it may block, and looks at
 * exchange_is_gone while it does. `release` is called once, also where the client hung up. */
void exchange_stream(exchange *x, unsigned status, const char *type,
                     ssize_t (*next)(void *state, char *out, size_t room),
                     void (*release)(void *state), void *state);

/* For logs: the status that was answered and the bytes, 0 before. */
unsigned exchange_status(const exchange *x);

#endif
