#include "base/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/philox.h"

static const double z_95 = 1.959964, z_power_80 = 0.841621;

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *values, size_t n) { qsort(values, n, sizeof *values, ascending); }

double stats_quantile(const double *sorted, size_t n, double share) {
    double at = ceil(share * (double)n);
    return sorted[at < 1 ? 0 : at > (double)n ? n - 1 : (size_t)at - 1];
}

/* --- shares and means --- */

estimate stats_wilson(size_t k, size_t count) {
    const double z = z_95;
    double n = (double)count, p = (double)k / n, middle = p + z * z / (2 * n);
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)), scale = 1 + z * z / n;
    return (estimate){p, (middle - half) / scale, (middle + half) / scale};
}

/* Draw number `d`: n items with replacement. */
static void draw_items(uint32_t *drawn, size_t n, uint32_t d, uint64_t seed) {
    philox_block random = {{0}};
    for (uint32_t i = 0; i < n; i++) {
        if (i % 4 == 0) random = philox4x32((philox_block){{d, i / 4, 0, 0}}, seed);
        drawn[i] = (uint32_t)(((uint64_t)random.word[i % 4] * (uint64_t)n) >> 32);
    }
}

/* draws[n_metrics, STATS_DRAWS], drawn[n], values[n_metrics] */
static void bootstrap(estimate *out, size_t n_metrics, size_t n, stats_metric metric, void *user,
                      uint64_t seed, double *draws, uint32_t *drawn, double *values) {
    for (uint32_t i = 0; i < n; i++) drawn[i] = i;
    metric(user, drawn, n, values);
    for (size_t m = 0; m < n_metrics; m++) out[m].value = values[m];
    for (uint32_t d = 0; d < STATS_DRAWS; d++) {
        draw_items(drawn, n, d, seed);
        metric(user, drawn, n, values);
        for (size_t m = 0; m < n_metrics; m++) draws[m * STATS_DRAWS + d] = values[m];
    }
    for (size_t m = 0; m < n_metrics; m++) {
        double *of_metric = draws + m * STATS_DRAWS;
        stats_sort(of_metric, STATS_DRAWS);
        out[m].low = stats_quantile(of_metric, STATS_DRAWS, 0.025);
        out[m].high = stats_quantile(of_metric, STATS_DRAWS, 0.975);
    }
}

hone_status stats_bootstrap(estimate *out, size_t n_metrics, size_t n, stats_metric metric,
                            void *user, uint64_t seed) {
    double *draws = mem_calloc(n_metrics * STATS_DRAWS, sizeof *draws);
    double *values = mem_calloc(n_metrics, sizeof *values);
    uint32_t *drawn = mem_calloc(n, sizeof *drawn);
    bool enough = draws && values && drawn;
    if (enough) bootstrap(out, n_metrics, n, metric, user, seed, draws, drawn, values);
    mem_free(draws);
    mem_free(values);
    mem_free(drawn);
    return enough ? HONE_OK : mem_fail("draws", n_metrics * STATS_DRAWS * sizeof *draws);
}

static void mean_of_drawn(void *user, const uint32_t *drawn, size_t n, double *values) {
    const double *of_item = user;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += of_item[drawn[i]];
    values[0] = sum / (double)n;
}

hone_status stats_bootstrap_mean(estimate *out, const double *values, size_t n, uint64_t seed) {
    return stats_bootstrap(out, 1, n, mean_of_drawn, (void *)(uintptr_t)values, seed);
}

/* --- repeated measurements --- */

static double log_factorial(size_t n) {
    int sign; /* lgamma itself would write to a global */
    return lgamma_r((double)n + 1, &sign);
}

/* P(X ≤ k) for X binomial (n, ½), k ≤ n / 2: from the largest term downwards, so that nothing
 * underflows that matters. */
static double binomial_tail(size_t n, size_t k) {
    double term = exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) -
                      (double)n * log(2.0));
    double sum = 0;
    for (size_t i = k;; i--) {
        sum += term;
        if (i == 0 || term < sum * 1e-17) return sum;
        term *= (double)i / (double)(n - i + 1);
    }
}

/* How probable it is that the true median lies between the k-th smallest and the k-th largest of n
 * values: the number of values below it is binomial (n, ½). */
static double coverage(size_t n, size_t k) { return 1 - 2 * binomial_tail(n, k - 1); }

spread spread_of(double *values, size_t n) {
    stats_sort(values, n);
    size_t k = 1, too_far = (n + 1) / 2 + 1; /* the answer lies in [k, too_far) */
    while (k + 1 < too_far) {
        size_t middle = (k + too_far) / 2;
        if (2 * middle <= n && coverage(n, middle) >= 0.95) k = middle;
        else too_far = middle;
    }
    return (spread){
        .n = n,
        .median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2,
        .min = values[0],
        .max = values[n - 1],
        .low = values[k - 1],
        .high = values[n - k],
        .confidence = n > 1 ? coverage(n, k) : 0,
    };
}

double spread_width(const spread *s) {
    return s->median > 0 ? (s->high - s->low) / s->median : 0;
}

/* --- comparisons --- */

double stats_mcnemar(size_t b, size_t c) {
    if (b == c) return 1;
    return fmin(1, 2 * binomial_tail(b + c, b < c ? b : c));
}

typedef struct ranked {
    double p;
    size_t index;
} ranked;

static int by_p(const void *a, const void *b) {
    return ascending(&((const ranked *)a)->p, &((const ranked *)b)->p);
}

hone_status stats_holm(double *adjusted, const double *p, size_t n) {
    ranked *ranks = mem_calloc(n, sizeof *ranks);
    if (!ranks) return mem_fail("comparisons", n * sizeof *ranks);
    for (size_t i = 0; i < n; i++) ranks[i] = (ranked){p[i], i};
    qsort(ranks, n, sizeof *ranks, by_p);
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fmin(1, (double)(n - i) * ranks[i].p));
        adjusted[ranks[i].index] = largest;
    }
    mem_free(ranks);
    return HONE_OK;
}

static double items_needed(double differing, double difference) {
    double spare = fmax(0, differing - difference * difference);
    double root = (z_95 * sqrt(differing) + z_power_80 * sqrt(spare)) / fabs(difference);
    return root * root;
}

size_t stats_paired_sample_size(double differing, double difference) {
    double n = ceil(items_needed(differing, difference));
    return n < 1e15 ? (size_t)n : SIZE_MAX;
}

double stats_smallest_difference(double differing, size_t n) {
    double low = 0, high = differing; /* items_needed falls as the difference grows */
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (items_needed(differing, middle) <= (double)n) high = middle;
        else low = middle;
    }
    return high;
}
