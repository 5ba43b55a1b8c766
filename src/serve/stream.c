/* Between makers of events and the listener (serve/stream.h). */
#include "serve/stream.h"

#include <string.h>

#include "base/mem.h"

#define MAX_WAITING_BYTES ((size_t)256 << 20)

typedef struct stream {
    stream_maker maker;
    void *state;
    buf out; /* what is not yet written, from `written` on */
    size_t written;
    bool ended;
} stream;

static void stream_close(void *user) {
    stream *s = user;
    s->maker.close(s->state);
    buf_release(&s->out);
    mem_free(s);
}

static hone_status make_more(stream *s) {
    s->written = s->out.len = 0;
    hone_status status = s->maker.make(s->state, &s->out, &s->ended);
    if (status == HONE_OK || status == HONE_ERR_CANCELLED) return status;
    s->ended = true;
    return s->maker.tell_failure(&s->out, status);
}

static ssize_t next_bytes(void *user, char *out, size_t room) {
    stream *s = user;
    while (s->written == s->out.len)
        if (s->ended || make_more(s) != HONE_OK) return -1;
    size_t n = s->out.len - s->written < room ? s->out.len - s->written : room;
    memcpy(out, s->out.data + s->written, n);
    s->written += n;
    return (ssize_t)n;
}

void reply_stream(exchange *x, const char *type, const stream_maker *maker, void *state) {
    stream *s = mem_calloc(1, sizeof *s);
    if (!s) {
        maker->close(state);
        return;
    }
    s->maker = *maker;
    s->state = state;
    buf_init(&s->out, MAX_WAITING_BYTES);
    exchange_add_header(x, "Cache-Control", "no-cache");
    exchange_stream(x, 200, type, next_bytes, stream_close, s);
}

static hone_status add_json(buf *out, const char *before, json_t *value, const char *after) {
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (!text) return mem_fail("event", 1);
    hone_status status = buf_add_text(out, before);
    if (status == HONE_OK) status = buf_add_text(out, text);
    if (status == HONE_OK) status = buf_add_text(out, after);
    mem_free(text);
    return status;
}

hone_status stream_add_sse(buf *out, const char *event, json_t *value) {
    hone_status status = event ? buf_add_format(out, "event: %s\n", event) : HONE_OK;
    if (status == HONE_OK) return add_json(out, "data: ", value, "\n\n");
    json_decref(value);
    return status;
}

hone_status stream_add_line(buf *out, json_t *value) { return add_json(out, "", value, "\n"); }
