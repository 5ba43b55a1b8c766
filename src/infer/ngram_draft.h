/* Drafting by look-up: what followed the last time the same few tokens were there?
 *
 * Prompt look-up decoding (Saxena 2023). Good where an answer repeats its prompt: summaries, edits,
 * code, quotations. The draft has no distribution: the sampler draws each token as it would without
 * a draft, and the drafted one counts as accepted if it is the same. */
#ifndef INFER_NGRAM_DRAFT_H
#define INFER_NGRAM_DRAFT_H

#include <stddef.h>
#include <stdint.h>

enum { NGRAM_LONGEST = 3 };

/* Finds the latest earlier place in history[n] where the last 3 tokens stand already (else the last
 * 2, else the last one) and copies what follows there to draft[k], at most k tokens and none beyond
 * the history's end. Returns how many; 0 when there is no such place. One backward scan, a fraction
 * of a millisecond for 128k tokens. */
size_t ngram_draft(const int32_t *history, size_t n, int32_t *draft, size_t k);

#endif
