/* What a handful of repeated measurements says: the middle, and how sure it is. */
#ifndef LAB_SPREAD_H
#define LAB_SPREAD_H

#include <stddef.h>

typedef struct spread {
    size_t n;
    double median, min, max;
    /* A confidence interval of the median that assumes no distribution: the k-th smallest and the
     * k-th largest value, for the largest k that keeps `confidence` ≥ 0.95; with fewer than six
     * values min and max, whose confidence is lower (five: 0.9375). */
    double low, high, confidence;
} spread;

/* Sorts `values[n]`, n ≥ 1. */
spread spread_of(double *values, size_t n);

/* (high − low) / median: how wide the interval is. */
double spread_width(const spread *s);

#endif
