/* Order statistics of a median: the number of values below the true median is binomial (n, ½), so
 * that [x(k), x(n+1−k)] holds it with probability 1 − 2·P(Bin ≤ k−1). */
#include "lab/spread.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double coverage(size_t n, size_t k) {
    double probability = pow(0.5, (double)n), below = 0; /* P(Bin = 0), P(Bin ≤ k − 1) */
    for (size_t i = 0; i < k; i++) {
        below += probability;
        probability *= (double)(n - i) / (double)(i + 1);
    }
    return 1 - 2 * below;
}

spread spread_of(double *values, size_t n) {
    qsort(values, n, sizeof *values, compare);
    size_t k = 1;
    while (2 * (k + 1) <= n && coverage(n, k + 1) >= 0.95) k++;
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
