/* From logits to a token (docs/sampling.md).
 *
 * Order: token mask, repetition, frequency and presence penalties, logit bias, top-k, typical,
 * top-p, min-p, temperature, draw. A draw depends only on the logits, the parameters, the seed, the
 * step and the sequence number (Philox4x32-10): not on threads, batches or other requests. */
#ifndef INFER_SAMPLER_H
#define INFER_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "hone/request.h"

/* What one draw looks at besides the logits. `history` is prompt + generated, of which the last
 * `n_generated` were generated. */
typedef struct sampler_place {
    const int32_t *history;
    size_t n_history, n_generated;
    uint32_t step, sequence;
    const uint64_t *mask; /* bit t set = token t allowed; NULL = all */
} sampler_place;

typedef struct sampler sampler;

/* Checks the parameters (HONE_ERR_ARGUMENT names the field and its range) and takes the scratch for
 * a vocabulary of n_vocab. One sampler serves one thread. */
hone_status sampler_open(sampler **out, const hone_sampling *parameters, size_t n_vocab);
void sampler_close(sampler *s);
size_t sampler_bytes(size_t n_vocab); /* of memory */

/* logits[n_vocab] stay as they are. HONE_ERR_NUMERIC on NaN or when nothing is left to choose. */
hone_status sampler_pick(sampler *s, const float *logits, const sampler_place *place,
                         int32_t *token);

/* The distribution after everything, for speculation: probabilities p[n_vocab] (zeros for removed
 * tokens; one-hot at temperature 0). */
hone_status sampler_distribution(sampler *s, const float *logits, const sampler_place *place,
                                 float *p);

/* Uniform in [0, 1): Philox keyed by the seed, counter (step, use, sequence, 0). */
enum { DRAW_TOKEN = 0, DRAW_ACCEPT = 1, DRAW_RESIDUAL = 2 };
double sampler_uniform(uint64_t seed, uint32_t step, uint32_t use, uint32_t sequence);

#endif
