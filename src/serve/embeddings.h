/* Embeddings as answers show them, whatever the API. What an embedding is: hone_request's
 * `embedding`. */
#ifndef SERVE_EMBEDDINGS_H
#define SERVE_EMBEDDINGS_H

#include "base/json.h"
#include "serve/prompts.h"
#include "hone/request.h"

/* One request for each prompt, freed with mem_free. */
hone_status embeddings_plan(hone_request **out, const prompts *p);

/* The first n numbers of embedding[n_all], brought back to length 1, into out[n]. Only models that
 * were trained for it (Matryoshka: Kusupati et al. 2022) put what matters most in front. */
void embeddings_shorten(float *out, size_t n, const float *embedding, size_t n_all);

json_t *embeddings_numbers(const float *embedding, size_t n);

/* The floats, little-endian, in base64. */
json_t *embeddings_base64(const float *embedding, size_t n);

#endif
