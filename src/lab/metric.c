#include "lab/metric.h"

#include <math.h>

#include "lab/score_overlap.h"

static double ratio(const double *sums) { return sums[1] > 0 ? sums[0] / sums[1] : 0; }

const metric metric_accuracy = {"accuracy", 2, ratio, true, false};
const metric metric_instructions = {"accuracy", 2, ratio, false, false};
const metric metric_rouge_l = {"rouge_l", 2, ratio, false, false};
const metric metric_word_error_rate = {"wer", 2, ratio, false, true};
const metric metric_chrf = {"chrf", CHRF_COUNTS, score_chrf_value, false, false};

const char *metric_interval_name(const metric *m) { return m->is_share ? "Wilson" : "bootstrap"; }

typedef struct items_of_metric {
    const metric *m;
    const metric_counts *items,
        *others; /* `others`: of the system that is compared with, or NULL */
} items_of_metric;

static double value_of(const metric *m, const metric_counts *items, const uint32_t *drawn,
                       size_t n) {
    double sums[METRIC_MAX_COUNTS] = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < m->n_counts; c++) sums[c] += items[drawn[i]].of[c];
    return m->value(sums);
}

static void value_of_drawn(void *user, const uint32_t *drawn, size_t n, double *values) {
    const items_of_metric *x = user;
    values[0] = value_of(x->m, x->items, drawn, n);
    if (x->others) values[0] -= value_of(x->m, x->others, drawn, n);
}

hone_status metric_estimate(estimate *out, const metric *m, const metric_counts *items, size_t n,
                            uint64_t seed) {
    items_of_metric x = {m, items, NULL};
    if (n == 0) {
        *out = (estimate){NAN, NAN, NAN};
        return HONE_OK;
    }
    if (!m->is_share) return stats_bootstrap(out, 1, n, value_of_drawn, &x, seed);
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) hits += items[i].of[0] > 0;
    *out = stats_wilson(hits, n);
    return HONE_OK;
}

hone_status metric_difference(estimate *out, const metric *m, const metric_counts *a,
                              const metric_counts *b, size_t n, uint64_t seed) {
    items_of_metric x = {m, a, b};
    if (n == 0) {
        *out = (estimate){NAN, NAN, NAN};
        return HONE_OK;
    }
    return stats_bootstrap(out, 1, n, value_of_drawn, &x, seed);
}
