/* Fields that OpenAI's text endpoints share, checked and turned into a hone_request. */
#ifndef SERVE_OPENAI_REQUEST_H
#define SERVE_OPENAI_REQUEST_H

#include "base/json.h"
#include "hone/request.h"

enum { OPENAI_MAX_CHOICES = 16 };

typedef struct openai_request {
    json_t *body; /* texts below belong to it */
    const char *model;
    bool stream, include_usage;
    size_t n_choices;
    const char *const *stops;
    hone_logit_bias *biases;
    hone_request request; /* what all choices share; sequence 0 */
} openai_request;

/* Parses the body and reads the model, streaming, number of choices, sampling and stops.
 * HONE_ERR_FORMAT or HONE_ERR_ARGUMENT names the field; the request is released then. */
hone_status openai_request_read(openai_request *r, const char *body, size_t n);
void openai_request_release(openai_request *r);

#endif
