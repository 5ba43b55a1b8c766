/* A body of /v1/chat/completions or /v1/completions, checked and turned into a hone_request. */
#ifndef SERVE_OPENAI_REQUEST_H
#define SERVE_OPENAI_REQUEST_H

#include "base/json.h"
#include "serve/models.h"

enum { OPENAI_MAX_CHOICES = 16, OPENAI_MAX_MESSAGES = 4096 };

typedef struct openai_request {
    json_t *body; /* texts below belong to it */
    bool chat, stream, include_usage;
    const char *model;
    size_t n_choices;
    bool logprobs;
    const char *const *stops;
    hone_logit_bias *biases;
    int32_t *prompt_ids;
    hone_grammar *grammar;
    hone_request request; /* what all choices share; sequence 0 */
} openai_request;

/* Reads the fields; the model's name is known afterwards. HONE_ERR_FORMAT or HONE_ERR_ARGUMENT names
 * the field, HONE_ERR_UNSUPPORTED one that hone cannot honour yet. */
hone_status openai_request_read(openai_request *r, bool chat, const char *body, size_t n);

/* With the model at hand: the prompt's ids, the grammar, biases. */
hone_status openai_request_prepare(openai_request *r, hone_model *model);
void openai_request_release(openai_request *r);

#endif
