/* Server-sent events (the HTML standard, 9.2) as far as these APIs use them: "data: " lines. */
#include "lab/load_stream.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

enum { MAX_LINE_BYTES = 1 << 20 };

void load_stream_init(load_stream *s, endpoint_api api) {
    *s = (load_stream){.api = api};
    buf_init(&s->line, MAX_LINE_BYTES);
}

void load_stream_release(load_stream *s) { buf_release(&s->line); }

/* --- what an event says --- */

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static void take_text(load_stream *s, const json_t *value) {
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    if (n == 0) return;
    s->n_chunks++;
    s->n_bytes += n;
    for (size_t i = 0; i < n; i++) {
        bool in_word = !is_space(text[i]);
        s->n_words += in_word && !s->in_word;
        s->in_word = in_word;
    }
}

static void take_finish(load_stream *s, const json_t *value) {
    const char *word = json_string_value(value);
    if (!word) return;
    s->finish = !strcmp(word, "length") ? LOAD_FINISH_LENGTH
                : !strcmp(word, "stop") ? LOAD_FINISH_STOP : LOAD_FINISH_OTHER;
}

static bool take_count(const json_t *object, const char *key, uint64_t *count) {
    return json_to_u64(json_object_get(object, key), count);
}

/* {"message": "…"}, or the words alone */
static void take_error(load_stream *s, const json_t *error) {
    const json_t *message = json_is_object(error) ? json_object_get(error, "message") : error;
    if (!error || json_is_null(error)) return;
    snprintf(s->error, sizeof s->error, "%s",
             json_is_string(message) ? json_string_value(message) : "an error without words");
}

static void take_openai(load_stream *s, const json_t *event) {
    const json_t *choice = json_array_get(json_object_get(event, "choices"), 0);
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *usage = json_object_get(event, "usage");
    take_text(s, json_object_get(delta, "reasoning_content"));
    take_text(s, json_object_get(delta, "content"));
    take_text(s, json_object_get(choice, "text")); /* of /v1/completions */
    take_finish(s, json_object_get(choice, "finish_reason"));
    if (take_count(usage, "completion_tokens", &s->completion_tokens) &&
        take_count(usage, "prompt_tokens", &s->prompt_tokens)) s->has_usage = true;
    if (take_count(json_object_get(usage, "prompt_tokens_details"), "cached_tokens",
                   &s->cached_tokens)) s->has_cached = true;
}

static void take_ollama(load_stream *s, const json_t *event) {
    const json_t *message = json_object_get(event, "message");
    take_text(s, json_object_get(message, "thinking"));
    take_text(s, json_object_get(message, "content"));
    take_text(s, json_object_get(event, "response")); /* of /api/generate */
    if (!json_is_true(json_object_get(event, "done"))) return;
    s->ended = true;
    take_finish(s, json_object_get(event, "done_reason"));
    if (take_count(event, "eval_count", &s->completion_tokens) &&
        take_count(event, "prompt_eval_count", &s->prompt_tokens)) s->has_usage = true;
}

/* --- lines --- */

static hone_status take_event(load_stream *s, const char *text, size_t n) {
    json_t *event;
    TRY(json_parse_words(&event, text, n, "an event of the stream"));
    hone_status status = HONE_OK;
    if (json_is_object(event)) {
        take_error(s, json_object_get(event, "error"));
        if (s->api == ENDPOINT_OPENAI) take_openai(s, event);
        else take_ollama(s, event);
    } else {
        status = fail(HONE_ERR_FORMAT, "an event of the stream is no object");
    }
    json_decref(event);
    return status;
}

static hone_status take_line(load_stream *s, const char *line, size_t n) {
    while (n > 0 && is_space(line[n - 1])) n--;
    if (n == 0) return HONE_OK;
    if (s->api == ENDPOINT_OLLAMA) return take_event(s, line, n);
    if (n < 5 || memcmp(line, "data:", 5) != 0) return HONE_OK; /* a comment, or another field */
    line += 5, n -= 5;
    while (n > 0 && is_space(*line)) line++, n--;
    if (n == 6 && !memcmp(line, "[DONE]", 6)) {
        s->ended = true;
        return HONE_OK;
    }
    return take_event(s, line, n);
}

hone_status load_stream_add(load_stream *s, const char *bytes, size_t n) {
    while (n > 0) {
        const char *end = memchr(bytes, '\n', n);
        size_t used = end ? (size_t)(end - bytes) + 1 : n;
        if (used > MAX_LINE_BYTES - s->line.len) {
            return fail(HONE_ERR_FORMAT, "a line of the stream is longer than %d bytes",
                        MAX_LINE_BYTES);
        }
        TRY(buf_add(&s->line, bytes, used));
        bytes += used, n -= used;
        if (!end) break;
        hone_status status = take_line(s, s->line.data, s->line.len);
        s->line.len = 0;
        if (status != HONE_OK) return status;
    }
    return HONE_OK;
}

hone_status load_stream_end(load_stream *s) {
    size_t n = s->line.len;
    s->line.len = 0;
    return n ? take_line(s, s->line.data, n) : HONE_OK;
}
