/* Fields of /v1/chat/completions. */
#ifndef SERVE_OPENAI_CHAT_REQUEST_H
#define SERVE_OPENAI_CHAT_REQUEST_H

#include "serve/chat.h"
#include "serve/openai_request.h"

typedef struct openai_chat_request {
    chat_settings chat;
    bool logprobs;
} openai_chat_request;

/* Reads what openai_request_read left, and completes r->request. What hone cannot honour is
 * refused by name; unknown fields are the description's (serve/description.h). */
hone_status openai_chat_request_read(openai_chat_request *q, openai_request *r);

#endif
