/* Durations counted by size, as Prometheus' histograms have them. */
#ifndef SERVE_HISTOGRAM_H
#define SERVE_HISTOGRAM_H

#include <stdint.h>

#include "base/buf.h"

enum { HISTOGRAM_BUCKETS = 17 };

/* Zero-initialise. Not for use by several threads at once. */
typedef struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS]; /* the last: beyond all bounds */
    double sum;                         /* seconds */
} histogram;

void histogram_add(histogram *h, double seconds);

/* NAME_bucket{LABEL,le="…"}, NAME_sum, NAME_count; `label` as model="…". */
hone_status histogram_write(const histogram *h, buf *out, const char *name, const char *label);

#endif
