/* Speculative sampling: which drafted tokens stand, and what takes the place of the first that does
 * not (Leviathan et al. 2023; Chen et al. 2023). Arithmetic only.
 *
 * p is the distribution of the model that counts, q that of the draft, both [n_vocab] and after
 * penalties, filters and temperature (sampler_distribution). A token x drawn from q is accepted
 * with probability min(1, p(x) / q(x)); at a refusal the token is drawn from the residual,
 * max(0, p − q) made to sum to 1. The token is then distributed exactly as p.
 *
 * q = NULL stands for a draft that was certain of its token (a look-up, a greedy draft). Where the
 * tokens shall be the same as without speculation, do not come here with such a draft: pick with
 * sampler_pick as always; the draft stands if it is that token. The same holds at temperature 0. */
#ifndef INFER_SPECULATE_H
#define INFER_SPECULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The probability that x, drawn from q, is accepted; 1 where q(x) is 0. */
double speculate_acceptance(const float *p, const float *q, int32_t x);

/* Over all tokens: Σ min(p, q), or p(x) for q = NULL. */
double speculate_overlap(const float *p, const float *q, size_t n_vocab, int32_t x);

/* The token at one place: `drafted` if u_accept (sampler_uniform with DRAW_ACCEPT) says so, else
 * one drawn from the residual by u_residual (DRAW_RESIDUAL), by ascending id. *accepted tells
 * which; the tokens drafted behind a refused one are void. */
int32_t speculate_choose(const float *p, const float *q, size_t n_vocab, int32_t drafted,
                         double u_accept, double u_residual, bool *accepted);

#endif
