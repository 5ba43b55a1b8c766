/* Which texts resemble one: by the cosine of their sets of letter trigrams, which sees shared words
 * and stems and no meaning (docs/strategies.md). */
#ifndef STRATEGY_NEARNESS_H
#define STRATEGY_NEARNESS_H

#include <stddef.h>

enum { NEARNESS_MAX = 128 };

/* The i-th text of a set, or NULL where it has none. */
typedef const char *nearness_text(const void *set, size_t i);

/* The places of the n (at most NEARNESS_MAX) texts of a set of n_set that are nearest to `text`,
 * the nearest last; of equals the earlier one is the nearer. The very same text is left out.
 * Returns how many there are. */
size_t nearness_pick(size_t *taken, size_t n, const char *text, nearness_text *text_of,
                     const void *set, size_t n_set);

#endif
