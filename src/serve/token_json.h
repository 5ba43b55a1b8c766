/* Tokens and their probabilities in answers: the same in OpenAI's API and in Ollama's. */
#ifndef SERVE_TOKEN_JSON_H
#define SERVE_TOKEN_JSON_H

#include "base/json.h"
#include "hone/request.h"

/* {"token", "logprob", "bytes"}: half characters show as U+FFFD in "token", a logprob that is no
 * number (of a prompt's first token) as null. NULL: memory is short. */
json_t *token_json(const hone_model *model, int32_t id, double logprob);

/* The piece's token and its alternatives as "top_logprobs". */
json_t *token_piece_json(const hone_model *model, const hone_piece *piece);

#endif
