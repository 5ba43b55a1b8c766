/* Word error rate (edit distance on words over words of the reference), with its interval. */
#ifndef TEXT_WORD_ERRORS_H
#define TEXT_WORD_ERRORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One clip. */
typedef struct word_errors {
    size_t n_words;  /* of the reference */
    size_t n_errors; /* substitutions, deletions and insertions, 1 each */
} word_errors;

/* Both texts normalised; words are parted by spaces. HONE_ERR_MEMORY. */
hone_status word_errors_count(word_errors *e, const char *reference, const char *hypothesis);

/* Σ errors / Σ words of n clips (not the mean of clips; it may exceed 1; 0 without words), and the
 * 95 % interval of a bootstrap over clips: 10,000 draws from `seed`. HONE_ERR_MEMORY. */
hone_status word_error_rate(const word_errors *clips, size_t n, uint64_t seed, double *rate,
                            double *low, double *high);

#endif
