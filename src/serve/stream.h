/* Streamed answers: a maker appends events to a buffer, the connection's thread writes them out. */
#ifndef SERVE_STREAM_H
#define SERVE_STREAM_H

#include "base/buf.h"
#include "base/json.h"
#include "serve/listener.h"

typedef struct stream_maker {
    /* Appends what comes next; may block for a while, and may append nothing. *ended: nothing
     * follows. HONE_ERR_CANCELLED: the client has left. */
    hone_status (*make)(void *state, buf *out, bool *ended);
    /* Appends the last failure's words in the API's form; it ends the stream. */
    hone_status (*tell_failure)(buf *out, hone_status status);
    void (*close)(void *state);
} stream_maker;

/* Answers 200 and the stream. `state` is closed when it has ended, also where the client left. */
void reply_stream(exchange *x, const char *type, const stream_maker *maker, void *state);

/* Events; they take the value over, of which NULL stands for memory that was short. */
hone_status stream_add_sse(buf *out, const char *event, json_t *value); /* `event` may be NULL */
hone_status stream_add_line(buf *out, json_t *value);                   /* newline-delimited JSON */

#endif
