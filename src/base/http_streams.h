/* Many HTTP requests at once on one thread, whose answers are heard while they come.
 *
 *     http_streams_open(&s);
 *     http_streams_start(s, &(http_post){.url = …, .body = …, .on_bytes = …, .on_end = …});
 *     while (http_streams_running(s) > 0) TRY(http_streams_wait(s, 100));
 *     http_streams_close(s);
 *
 * Connections are kept and used again. Redirects are not followed: what is measured is what
 * answers. Certificates and proxies as in base/http.h. A handle is used by one thread. */
#ifndef BASE_HTTP_STREAMS_H
#define BASE_HTTP_STREAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct http_streams http_streams;

/* How a request ended. */
typedef struct http_end {
    hone_status status; /* HONE_OK: an answer came whole, whatever its code; else the words tell */
    long http_status;   /* 0 = none came */
    bool timed_out;
    const char *words;  /* "" on HONE_OK */
} http_end;

/* `url` and `bearer_token` are copied; `body` is borrowed until on_end. */
typedef struct http_post {
    const char *url, *bearer_token;
    const char *body; /* JSON; NULL = GET */
    long timeout_ms;  /* for all of it; 0 = none */
    /* A piece of the answer, of a refusal (HTTP 4xx, 5xx), too; false ends the request. */
    bool (*on_bytes)(void *context, long http_status, const char *bytes, size_t n);
    void (*on_end)(void *context, const http_end *end); /* once; may start another request */
    void *context;
} http_post;

hone_status http_streams_open(http_streams **out);
void http_streams_close(http_streams *s); /* what runs ends without a call; NULL is allowed */

/* HONE_ERR_ARGUMENT for what is no http or https URL, HONE_ERR_MEMORY. */
hone_status http_streams_start(http_streams *s, const http_post *post);
size_t http_streams_running(const http_streams *s);

/* Waits for news, at most so long, and lets the callbacks hear them. */
hone_status http_streams_wait(http_streams *s, int milliseconds);

#endif
