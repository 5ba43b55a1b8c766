/* Intervals and tests: how sure a measured number is, and whether two differ.
 *
 * Intervals are of 95 %. Random draws come from Philox: the same seed gives the same interval on
 * every machine. docs/eval.md has the formulas with examples. */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A value with its interval. */
typedef struct estimate {
    double value, low, high;
} estimate;

/* Sorts ascending. */
void stats_sort(double *values, size_t n);

/* The smallest value whose cumulative share reaches `share` (0 … 1); sorted[n] ascends, n ≥ 1. */
double stats_quantile(const double *sorted, size_t n, double share);

/* --- shares and means --- */

/* A share k of n ≥ 1 (Wilson, 1927). */
estimate stats_wilson(size_t k, size_t n);

enum { STATS_DRAWS = 10000 };

/* Computes values[n_metrics] from the items `drawn`[n] (indices, some of them several times). */
typedef void (*stats_metric)(void *user, const uint32_t *drawn, size_t n, double *values);

/* Percentile bootstrap (Efron, 1979): draws n items with replacement STATS_DRAWS times and computes
 * the metrics of each draw; the intervals are the quantiles 0.025 and 0.975 of what came out, the
 * values those of all items once. For a difference of two systems compute both from the same draw:
 * then it is the paired bootstrap. 1 ≤ n ≤ UINT32_MAX. HONE_ERR_MEMORY. */
hone_status stats_bootstrap(estimate *out, size_t n_metrics, size_t n, stats_metric metric,
                            void *user, uint64_t seed);

/* The same for the mean of values[n]; of paired differences, where that is what they are. */
hone_status stats_bootstrap_mean(estimate *out, const double *values, size_t n, uint64_t seed);

/* --- repeated measurements --- */

typedef struct spread {
    size_t n;
    double median, min, max;
    /* An interval of the median that assumes no distribution: the k-th smallest and the k-th
     * largest value, for the largest k that keeps `confidence` ≥ 0.95; with fewer than six values
     * min and max, whose confidence is lower (five: 0.9375, one: 0). */
    double low, high, confidence;
} spread;

/* Sorts `values[n]`, n ≥ 1. The median of an even number lies between the middle two. */
spread spread_of(double *values, size_t n);

/* (high − low) / median: how wide the interval is; 0 for a median that is not positive. */
double spread_width(const spread *s);

/* --- comparisons --- */

/* Exact two-sided p of McNemar's test: `b` items are solved by the one system only, `c` by the
 * other only. */
double stats_mcnemar(size_t b, size_t c);

/* Holm's correction (1979) of p[n], the values of all comparisons that were looked at; adjusted[n]
 * may be p itself. HONE_ERR_MEMORY. */
hone_status stats_holm(double *adjusted, const double *p, size_t n);

/* How many items show a difference in accuracy of `difference` with power 0.8 at level 0.05, when a
 * share `differing` ≥ |difference| > 0 of the items has different outcomes; SIZE_MAX where that is
 * beyond counting. And the way back: the smallest difference that n ≥ 1 items can show so; at most
 * `differing`. */
size_t stats_paired_sample_size(double differing, double difference);
double stats_smallest_difference(double differing, size_t n);

#endif
