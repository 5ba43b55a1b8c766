/* What a row of logits says of tokens: natural logarithms of their probabilities, before
 * temperature and filters. Exponentials and sums are in double: results are within 1e-12, relative
 * to 1 or to the result. A logit of −∞ is no probability at all. */
#ifndef INFER_LOGPROBS_H
#define INFER_LOGPROBS_H

#include <stddef.h>
#include <stdint.h>

#include "hone/request.h"

/* The most probable token, the lowest id on ties; n_vocab ≥ 1, no NaN. */
int32_t logits_best(const float *logits, size_t n_vocab);

/* Of one token. */
double logits_logprob(const float *logits, size_t n_vocab, int32_t token);

/* The n_top most probable ones, the lower id first on ties; at most n_vocab are filled. */
void logits_top(const float *logits, size_t n_vocab, size_t n_top, int32_t *ids, double *logprobs);

/* A piece's alternatives. */
typedef struct top_logprobs {
    int32_t ids[HONE_MAX_TOP_LOGPROBS];
    double logprobs[HONE_MAX_TOP_LOGPROBS];
} top_logprobs;

/* Fills the piece's logprob and certainty, KL(U ‖ p) = −ln n − (1/n) Σ ln p, for its token, and its
 * n_top alternatives, which lie in `top` and are borrowed from there. Rows from n_known on stand
 * for no token: they have their probability, but are no alternative. */
void logits_describe(const float *logits, size_t n_vocab, size_t n_known, size_t n_top,
                     hone_piece *piece, top_logprobs *top);

#endif
