#include "serve/histogram.h"

#include <stddef.h>

static const double bounds[HISTOGRAM_BUCKETS - 1] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

void histogram_add(histogram *h, double seconds) {
    size_t i = 0;
    while (i < HISTOGRAM_BUCKETS - 1 && seconds > bounds[i]) i++;
    h->counts[i]++;
    h->sum += seconds;
}

hone_status histogram_write(const histogram *h, buf *out, const char *name, const char *label) {
    unsigned long long n = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        n += h->counts[i];
        TRY(buf_add_format(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, label, bounds[i], n));
    }
    n += h->counts[HISTOGRAM_BUCKETS - 1];
    TRY(buf_add_format(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, label, n));
    TRY(buf_add_format(out, "%s_sum{%s} %.17g\n", name, label, h->sum));
    return buf_add_format(out, "%s_count{%s} %llu\n", name, label, n);
}
