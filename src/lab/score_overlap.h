/* Texts beside reference texts: chrF (Popović, 2015; as sacrebleu 2 computes it by default) and
 * ROUGE-L (Lin, 2004; sentence form, F1). All texts are valid UTF-8. */
#ifndef LAB_SCORE_OVERLAP_H
#define LAB_SCORE_OVERLAP_H

#include "base/status.h"

enum { CHRF_ORDERS = 6, CHRF_COUNTS = 3 * CHRF_ORDERS };

/* counts[CHRF_COUNTS]: for n = 1 … 6 the matching character n-grams, those of the hypothesis and
 * those of the reference, without white space. HONE_ERR_MEMORY. */
hone_status score_chrf_count(double *counts, const char *hypothesis, const char *reference);

/* chrF, 0 … 100, from the sums of all sentences' counts. */
double score_chrf_value(const double *sums);

/* F1 of the longest common subsequence of words, 0 … 1; words are runs of letters and digits in
 * lower case. HONE_ERR_MEMORY. */
hone_status score_rouge_l(double *f1, const char *hypothesis, const char *reference);

#endif
