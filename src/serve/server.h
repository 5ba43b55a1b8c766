/* The HTTP server: OpenAI's API over hone's models (docs/serving.md). */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "serve/guard.h"
#include "serve/listener.h"
#include "serve/models.h"

typedef struct server server;

typedef struct server_options {
    const char *host; /* an address */
    uint16_t port;
    guard_options guard;     /* `loopback` is found out; without keys everybody may ask, … */
    bool open_to_all;        /* … which beyond loopback must be wanted */
    const char *certificate, *key; /* PEM */
    size_t max_connections, max_body;
    int patience_ms;         /* serve/deadlines.h */
    models_options models;
    bool run_code; /* what models write, in the sandbox (lab/code_run.h), for strategies that ask */
    bool adapt; /* give memory back when it becomes short (serve/pressure.h) */
    void (*log)(void *user, const char *line); /* a JSON object for each request, and
                                                   for each change of limits; may be NULL */
    bool log_text; /* for requests, words instead (serve/access_log.h) */
    void *user;
} server_options;

/* HONE_ERR_ARGUMENT for an address beyond loopback with neither keys nor open_to_all;
 * HONE_ERR_UNSUPPORTED where run_code is wanted and there can be no sandbox. */
hone_status server_open(server **out, const server_options *options);
uint16_t server_port(const server *s);
models *server_models(const server *s);
guard *server_guard(const server *s);

/* New requests get 503 from now on; waits until those that run have ended, at most so long. Whether
 * they have; it may be called again. */
bool server_drain(server *s, int milliseconds);
/* What still runs ends with what there is of it. */
void server_close(server *s);

#endif
