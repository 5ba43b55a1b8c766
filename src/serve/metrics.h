/* What Prometheus reads at /metrics: counters of requests, and the schedulers' state of each model
 * (names: docs/serving.md). */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "serve/listener.h"
#include "serve/models.h"
#include "serve/pressure.h"

typedef struct metrics metrics;

hone_status metrics_open(metrics **out);
void metrics_close(metrics *m);

/* From any thread: an answer of that model took so long. For scheduler_options, whose user is *m.
 * */
void metrics_observe(void *m, const char *model, const answer_times *times);

/* From any thread: one request was answered with that status. */
void metrics_count(metrics *m, unsigned status);

/* `watch` may be NULL: nobody adapts to memory. */
void metrics_reply(metrics *m, models *served, pressure *watch, exchange *x);

#endif
