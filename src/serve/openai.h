/* OpenAI's endpoints: each answers its exchange. */
#ifndef SERVE_OPENAI_H
#define SERVE_OPENAI_H

#include "base/buf.h"
#include "serve/route.h"

void openai_chat(const call *c);        /* /v1/chat/completions */
void openai_completions(const call *c); /* /v1/completions */
void openai_embeddings(const call *c);  /* /v1/embeddings */
void openai_responses(const call *c);   /* /v1/responses */
void openai_models(const call *c);      /* /v1/models */
void openai_model(const call *c);       /* /v1/models/NAME */
void openai_transcriptions(const call *c);
void openai_translations(const call *c);

/* An event of a stream with the last failure's words. */
hone_status openai_tell_failure(buf *out, hone_status status);

#endif
