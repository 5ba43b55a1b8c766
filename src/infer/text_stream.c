#include "infer/text_stream.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

typedef struct stop_string {
    char *text;
    size_t n_bytes;
} stop_string;

struct text_stream {
    stop_string *stops;
    size_t n_stops;
    bool starts_stop[256]; /* whether some stop string begins with this byte */
    char partial[4];       /* an unfinished character */
    size_t n_partial;
    buf held; /* valid UTF-8, not yet known to be free of stop strings */
    bool at_first_byte, drop_first_space;
    bool ended; /* by a stop string or by finish */
    bool stopped;
};

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */
enum { REPLACEMENT_BYTES = 3 };

/* --- life --- */

static hone_status stop_copy(stop_string *stop, const char *text) {
    size_t n = strnlen(text, TEXT_STREAM_MAX_STOP_BYTES + 1);
    if (n == 0) return fail(HONE_ERR_ARGUMENT, "stop string: empty");
    if (n > TEXT_STREAM_MAX_STOP_BYTES)
        return fail(HONE_ERR_ARGUMENT, "stop string: longer than %d bytes",
                    TEXT_STREAM_MAX_STOP_BYTES);
    if (!utf8_is_valid(text, n)) return fail(HONE_ERR_ARGUMENT, "stop string: invalid UTF-8");
    stop->text = mem_copy_string(text, n);
    if (!stop->text) return mem_fail("stop string", n + 1);
    stop->n_bytes = n;
    return HONE_OK;
}

static hone_status copy_stops(text_stream *s, const char *const *stops, size_t n_stops) {
    s->stops = mem_calloc(n_stops, sizeof *s->stops);
    if (!s->stops) return mem_fail("stop strings", n_stops * sizeof *s->stops);
    for (; s->n_stops < n_stops; s->n_stops++) {
        stop_string *stop = &s->stops[s->n_stops];
        TRY(stop_copy(stop, stops[s->n_stops]));
        s->starts_stop[(unsigned char)stop->text[0]] = true;
    }
    return HONE_OK;
}

hone_status text_stream_open(text_stream **out, const char *const *stops, size_t n_stops,
                             bool drop_first_space) {
    if (n_stops > TEXT_STREAM_MAX_STOPS)
        return fail(HONE_ERR_ARGUMENT, "%zu stop strings, at most %d", n_stops,
                    TEXT_STREAM_MAX_STOPS);
    text_stream *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("the text stream", sizeof *s);
    buf_init(&s->held, SIZE_MAX - 1);
    s->at_first_byte = true;
    s->drop_first_space = drop_first_space;
    hone_status status = copy_stops(s, stops, n_stops);
    if (status != HONE_OK) {
        text_stream_close(s);
        return status;
    }
    *out = s;
    return HONE_OK;
}

void text_stream_close(text_stream *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_stops; i++) mem_free(s->stops[i].text);
    mem_free(s->stops);
    buf_release(&s->held);
    mem_free(s);
}

/* --- bytes to valid UTF-8; `held` has room --- */

static void hold(text_stream *s, const char *bytes, size_t n) {
    bool dropped = s->at_first_byte && s->drop_first_space && bytes[0] == ' ';
    s->at_first_byte = false;
    if (dropped) return;
    memcpy(s->held.data + s->held.len, bytes, n);
    s->held.len += n;
}

/* Moves what is decided of `partial` into `held`: characters, and U+FFFD for invalid bytes. */
static void settle_partial(text_stream *s) {
    while (utf8_complete_prefix(s->partial, s->n_partial) > 0) {
        uint32_t code;
        size_t n = utf8_decode(s->partial, s->n_partial, &code);
        if (code == UTF8_INVALID) {
            n = utf8_invalid_bytes(s->partial, s->n_partial);
            hold(s, REPLACEMENT, REPLACEMENT_BYTES);
        } else {
            hold(s, s->partial, n);
        }
        s->n_partial -= n;
        memmove(s->partial, s->partial + n, s->n_partial);
    }
}

static void repair(text_stream *s, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        s->partial[s->n_partial++] = bytes[i];
        settle_partial(s);
    }
}

/* --- stop strings --- */

typedef enum stop_state { STOP_NONE, STOP_POSSIBLE, STOP_MATCHED } stop_state;

/* What the stop strings say about a match that would start here, with n bytes of text known. */
static stop_state match_at(const text_stream *s, const char *text, size_t n) {
    stop_state state = STOP_NONE;
    if (!s->starts_stop[(unsigned char)text[0]]) return state;
    for (size_t i = 0; i < s->n_stops; i++) {
        const stop_string *stop = &s->stops[i];
        size_t known = stop->n_bytes < n ? stop->n_bytes : n;
        if (memcmp(text, stop->text, known) != 0) continue;
        if (known == stop->n_bytes) return STOP_MATCHED;
        state = STOP_POSSIBLE;
    }
    return state;
}

/* How many bytes of `held` are certain to come out. Stops at the first place where a match is, or
 * (unless this is the end) may yet be. */
static size_t certain_bytes(const text_stream *s, bool at_end, bool *matched) {
    *matched = false;
    size_t i = 0;
    for (; i < s->held.len; i++) {
        stop_state state = match_at(s, s->held.data + i, s->held.len - i);
        *matched = state == STOP_MATCHED;
        if (*matched || (state == STOP_POSSIBLE && !at_end)) break;
    }
    return i;
}

/* Appends what is certain to `text` and forgets it. */
static hone_status emit(text_stream *s, bool at_end, buf *text) {
    bool matched;
    size_t n = certain_bytes(s, at_end, &matched);
    TRY(buf_add(text, s->held.data, n));
    s->held.len -= n;
    memmove(s->held.data, s->held.data + n, s->held.len);
    s->stopped = matched;
    s->ended = matched || at_end;
    return HONE_OK;
}

/* --- push and finish --- */

static hone_status advance(text_stream *s, const char *bytes, size_t n, bool at_end, buf *text) {
    size_t worst;
    if (!size_mul(s->n_partial + n, REPLACEMENT_BYTES, &worst))
        return mem_fail("the text stream", n);
    TRY(buf_reserve(&s->held, worst));
    text_stream before = *s;
    repair(s, bytes, n);
    if (at_end && s->n_partial) {
        hold(s, REPLACEMENT, REPLACEMENT_BYTES);
        s->n_partial = 0;
    }
    hone_status status = emit(s, at_end, text);
    if (status != HONE_OK) *s = before; /* held.data did not move: the room was there */
    return status;
}

hone_status text_stream_push(text_stream *s, const char *bytes, size_t n, buf *text,
                             bool *stopped) {
    if (!s->ended) TRY(advance(s, bytes, n, false, text));
    *stopped = s->stopped;
    return HONE_OK;
}

hone_status text_stream_finish(text_stream *s, buf *text, bool *stopped) {
    if (!s->ended) TRY(advance(s, "", 0, true, text));
    *stopped = s->stopped;
    return HONE_OK;
}
