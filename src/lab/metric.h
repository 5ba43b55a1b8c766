/* Metrics as functions of sums: each item brings a few counts, the counts of a set add up, and the
 * metric is computed from the sums. So corpus figures (word error rate, chrF) and means have one
 * bootstrap, and two systems can be compared on the same draws. */
#ifndef LAB_METRIC_H
#define LAB_METRIC_H

#include <stdbool.h>

#include "base/stats.h"

enum { METRIC_MAX_COUNTS = 18 };

typedef struct metric {
    const char *name;
    size_t n_counts;
    double (*value)(const double *sums);
    bool is_share;     /* counts are {hit: 0 or 1, 1}: the interval is Wilson's */
    bool less_is_better;
} metric;

/* {hit, 1}, {score, 1}, {errors, words of the reference} and score_chrf's counts. */
extern const metric metric_accuracy, metric_rouge_l, metric_word_error_rate, metric_chrf;

/* {instructions followed, instructions}: several a prompt, so that the interval is a bootstrap. */
extern const metric metric_instructions;

/* One item's counts. */
typedef struct metric_counts {
    double of[METRIC_MAX_COUNTS];
} metric_counts;

/* "Wilson" or "bootstrap". */
const char *metric_interval_name(const metric *m);

/* Of items[n]; `seed` is the bootstrap's. Without any item: NaN. HONE_ERR_MEMORY. */
hone_status metric_estimate(estimate *out, const metric *m, const metric_counts *items, size_t n,
                            uint64_t seed);

/* Of a minus that of b, for two systems on the same items:
 * the paired bootstrap, for shares, too. */
hone_status metric_difference(estimate *out, const metric *m, const metric_counts *a,
                              const metric_counts *b, size_t n, uint64_t seed);

#endif
