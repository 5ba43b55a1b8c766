/* Fields of /v1/responses: instructions and input items become messages, tools those of a chat. */
#ifndef SERVE_OPENAI_RESPONSES_REQUEST_H
#define SERVE_OPENAI_RESPONSES_REQUEST_H

#include "serve/chat.h"
#include "serve/openai_request.h"

typedef struct openai_responses_request {
    chat_settings chat;
    json_t *messages, *tools; /* what `chat` borrows; tools may be NULL */
    bool logprobs;
} openai_responses_request;

/* Reads what openai_request_read left, and completes r->request. Whatever would need something to
 * be stored, and unknown fields, are refused by name. Release it also where it fails. */
hone_status openai_responses_request_read(openai_responses_request *q, openai_request *r);
void openai_responses_request_release(openai_responses_request *q);

#endif
