/* Fields of /v1/completions. */
#ifndef SERVE_OPENAI_COMPLETIONS_REQUEST_H
#define SERVE_OPENAI_COMPLETIONS_REQUEST_H

#include "serve/openai_request.h"

typedef struct openai_completions_request {
    size_t n_tries;    /* for each prompt, of which the best n are told */
    size_t n_logprobs; /* alternatives for each token */
    bool logprobs, echo;
} openai_completions_request;

/* Reads what openai_request_read left, and completes r->request but for its prompt. What hone
 * cannot honour is refused by name; unknown fields are the description's (serve/description.h). */
hone_status openai_completions_request_read(openai_completions_request *q, openai_request *r);

#endif
