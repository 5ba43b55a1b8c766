/* A streamed answer, as OpenAI's API (server-sent events) or Ollama's (a JSON object a line) gives
 * it: bytes in, what was said out. Bytes are a stranger's: lines end at a megabyte, all else is
 * counted and not kept. */
#ifndef LAB_LOAD_STREAM_H
#define LAB_LOAD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "lab/endpoint.h"

typedef enum load_finish {
    LOAD_FINISH_NONE, LOAD_FINISH_STOP, LOAD_FINISH_LENGTH, LOAD_FINISH_OTHER
} load_finish;

typedef struct load_stream {
    endpoint_api api;
    buf line;         /* that is not complete */
    size_t n_chunks;  /* events that brought text */
    size_t n_bytes;   /* of text */
    size_t n_words;   /* in it: runs without white space */
    bool in_word;
    bool ended;       /* the end was announced: "[DONE]", "done": true */
    load_finish finish;
    bool has_usage, has_cached; /* the server told … */
    uint64_t prompt_tokens, completion_tokens, cached_tokens;
    char error[160];  /* that came as an event; "" = none */
} load_stream;

void load_stream_init(load_stream *s, endpoint_api api);
void load_stream_release(load_stream *s);

/* HONE_ERR_FORMAT for what is no such stream: a line that is no JSON, no object, too long. */
hone_status load_stream_add(load_stream *s, const char *bytes, size_t n);

/* The last line may end with the stream. */
hone_status load_stream_end(load_stream *s);

#endif
