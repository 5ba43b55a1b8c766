/* Errors on words, of which word error rates are made: Σ errors / Σ words of the references
 * (lab/metric.h adds them up and has the interval). */
#ifndef TEXT_WORD_ERRORS_H
#define TEXT_WORD_ERRORS_H

#include <stddef.h>

#include "base/status.h"

/* One clip. */
typedef struct word_errors {
    size_t n_words;  /* of the reference */
    size_t n_errors; /* substitutions, deletions and insertions, 1 each */
} word_errors;

/* Both texts normalised; words are parted by spaces. HONE_ERR_MEMORY. */
hone_status word_errors_count(word_errors *e, const char *reference, const char *hypothesis);

#endif
