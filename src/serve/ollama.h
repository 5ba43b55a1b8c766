/* Ollama's API (docs/serving.md has the table of its fields). */
#ifndef SERVE_OLLAMA_H
#define SERVE_OLLAMA_H

#include <time.h>

#include "base/buf.h"
#include "serve/route.h"

void ollama_generate(const call *c);   /* POST /api/generate */
void ollama_chat(const call *c);       /* POST /api/chat */
void ollama_embed(const call *c);      /* POST /api/embed */
void ollama_embeddings(const call *c); /* POST /api/embeddings */
void ollama_tags(const call *c);       /* GET /api/tags */
void ollama_show(const call *c);       /* POST /api/show */
void ollama_ps(const call *c);         /* GET /api/ps */
void ollama_pull(const call *c);       /* POST /api/pull */
void ollama_create(const call *c);     /* POST /api/create */
void ollama_copy(const call *c);       /* POST /api/copy */
void ollama_delete(const call *c);     /* DELETE /api/delete */
void ollama_blob_look(const call *c);  /* HEAD /api/blobs/DIGEST */
void ollama_blob_begin(const call *c); /* POST …: where its body goes */
void ollama_blob_end(const call *c);

/* What its answers have in common. RFC 3339 in UTC, with nanoseconds. */
typedef struct ollama_time {
    char text[40];
} ollama_time;

ollama_time ollama_time_of(struct timespec when);
ollama_time ollama_now(void);

/* A line of a stream with the last failure's words. */
hone_status ollama_tell_failure(buf *out, hone_status status);

/* The body as an object that the description allows, and its "model" (or "name", as older clients
 * say), which must not be missing. The body is the caller's. */
hone_status ollama_read_body(const call *c, json_t **body, const char **model);

#endif
