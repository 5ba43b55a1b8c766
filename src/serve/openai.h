/* OpenAI's endpoints for text: each answers its exchange. */
#ifndef SERVE_OPENAI_H
#define SERVE_OPENAI_H

#include "serve/listener.h"
#include "serve/models.h"

void openai_chat(models *m, exchange *x, const char *client);        /* /v1/chat/completions */
void openai_completions(models *m, exchange *x, const char *client); /* /v1/completions */
void openai_models(models *m, exchange *x, const char *name); /* /v1/models, …/NAME; NULL = all */
void openai_transcriptions(models *m, exchange *x, bool translate);

#endif
