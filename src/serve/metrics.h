/* What Prometheus reads at /metrics: counters of requests, and the schedulers' state of each model
 * (names: docs/serving.md). */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "serve/listener.h"
#include "serve/models.h"

typedef struct metrics metrics;

hone_status metrics_open(metrics **out);
void metrics_close(metrics *m);

/* From any thread: one request was answered with that status. */
void metrics_count(metrics *m, unsigned status);

void metrics_reply(metrics *m, models *served, exchange *x);

#endif
