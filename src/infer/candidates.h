/* The tokens that one draw may still choose from, best first.
 *
 * The order is: logit descending, lower id first on ties. Filters keep a prefix of it (typical: any
 * part of it), so that most draws look at a few hundred of the 150,000 tokens of a vocabulary. The
 * order is therefore made on demand, in bands of falling logits: what is in `best` is exactly the
 * beginning of the full sort, and nobody can tell the difference. */
#ifndef INFER_CANDIDATES_H
#define INFER_CANDIDATES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Logits are looked at in blocks of this many; their array is padded with −∞ to a multiple. */
enum { CANDIDATE_BLOCK = 16 };

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

typedef struct candidates {
    float *logits; /* [n_padded], what the caller fills before candidates_reset; −∞ = removed */
    size_t n_vocab, n_padded;
    candidate *best;    /* [n_vocab], of which n_sorted are there */
    candidate *scratch; /* [n_vocab] */
    size_t n_sorted;
    size_t n_all;  /* tokens with a logit above −∞ */
    size_t n_kept; /* the first n_kept of the order are left */
    float max;     /* logit of the best that is left */
    float floor;   /* all tokens at or above this are in `best` */
    float depth;   /* how far below the maximum the next band reaches */
} candidates;

/* Takes the memory; logits[] begin undefined, their padding is set. */
hone_status candidates_init(candidates *c, size_t n_vocab);
void candidates_release(candidates *c);

/* Begins a draw over the logits as they are now: everything above −∞ is kept, nothing sorted yet.
 * No logit is NaN. With n_all = 0 there is nothing to choose from and `max` is −∞. */
void candidates_reset(candidates *c);

/* The id of the best token: the largest logit, the lowest id on ties. n_all > 0. */
int32_t candidates_first(const candidates *c);

/* The i-th of the order, i < n_kept. Sorts further where needed. */
const candidate *candidates_at(candidates *c, size_t i);

/* Probability of this logit in softmax(logits / temperature), times candidates_total. */
double candidates_weight(const candidates *c, float logit, double temperature);

/* Sum of the weights of all that are kept: by id while everything is, else in the order. */
double candidates_total(candidates *c, double temperature);

/* The filters of docs/sampling.md, over softmax(logits / temperature) of what is kept. At least one
 * token stays. */
void candidates_keep_top_k(candidates *c, size_t k);
void candidates_keep_typical(candidates *c, double mass, double temperature);
void candidates_keep_top_p(candidates *c, double mass, double temperature);
void candidates_keep_min_p(candidates *c, double min_p, double temperature);

/* The first candidate whose running weight exceeds u · total, u in [0, 1). */
int32_t candidates_draw(candidates *c, double u, double temperature);

#endif
