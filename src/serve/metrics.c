/* Prometheus' text format (serve/metrics.h). */
#include "serve/metrics.h"

#include <stdatomic.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/system.h"
#include "serve/reply.h"

#define MAX_METRICS_BYTES (1 << 20)

struct metrics {
    atomic_uint_fast64_t by_class[6]; /* answers with 1xx … 5xx */
};

hone_status metrics_open(metrics **out) {
    *out = mem_calloc(1, sizeof **out);
    return *out ? HONE_OK : mem_fail("metrics", sizeof **out);
}

void metrics_close(metrics *m) { mem_free(m); }

void metrics_count(metrics *m, unsigned status) {
    if (status / 100 < 6) atomic_fetch_add(&m->by_class[status / 100], 1);
}

typedef struct writer {
    buf text;
    hone_status status;
} writer;

static void add_model(void *user, const open_model *model) {
    writer *w = user;
    if (w->status != HONE_OK || !model->served.scheduler) return;
    scheduler_state s = scheduler_look(model->served.scheduler);
    const struct { const char *name; double value; } rows[] = {
        {"hone_requests_open", (double)model->n_users},
        {"hone_requests_processing", (double)s.n_running},
        {"hone_requests_waiting", (double)s.n_waiting},
        {"hone_cached_sessions", (double)s.n_cached_sessions},
        {"hone_cache_bytes", (double)s.cache_bytes},
        {"hone_cache_limit_bytes", (double)s.limits.cache_bytes},
        {"hone_slots", (double)s.limits.n_slots},
        {"hone_answers_put_back_total", (double)s.n_put_back},
        {"hone_answers_cut_total", (double)s.n_cut},
        {"hone_steps_total", (double)s.n_steps},
        {"hone_step_seconds_total", s.busy_ms / 1000},
        {"hone_prompt_tokens_total", (double)s.n_prompt_tokens},
        {"hone_cached_prompt_tokens_total", (double)s.n_cached_tokens},
        {"hone_answer_tokens_total", (double)s.n_answer_tokens},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows && w->status == HONE_OK; i++)
        w->status = buf_add_format(&w->text, "%s{model=\"%s\"} %.17g\n", rows[i].name, model->served.name,
                                   rows[i].value);
}

static void add_number(writer *w, const char *name, double value) {
    if (w->status == HONE_OK) w->status = buf_add_format(&w->text, "%s %.17g\n", name, value);
}

static void add_memory(writer *w, pressure *watch) {
    add_number(w, "hone_resident_bytes", (double)system_resident_bytes());
    if (!watch) return;
    pressure_state s = pressure_look(watch);
    add_number(w, "hone_memory_limit_bytes", (double)s.memory.limit);
    add_number(w, "hone_memory_left_bytes", (double)s.memory.left);
    add_number(w, "hone_memory_stalled_percent", s.memory.stalled);
    add_number(w, "hone_limits_lowered_total", (double)s.n_lowered);
    add_number(w, "hone_limits_raised_total", (double)s.n_raised);
}

void metrics_reply(metrics *m, models *served, pressure *watch, exchange *x) {
    writer w = {.status = HONE_OK};
    buf_init(&w.text, MAX_METRICS_BYTES);
    for (int i = 2; i < 6 && w.status == HONE_OK; i++)
        w.status = buf_add_format(&w.text, "hone_http_requests_total{code=\"%dxx\"} %llu\n", i,
                                  (unsigned long long)atomic_load(&m->by_class[i]));
    add_memory(&w, watch);
    models_each(served, add_model, &w);
    if (w.status == HONE_OK)
        exchange_reply(x, 200, "text/plain; version=0.0.4", w.text.data, w.text.len);
    else
        reply_failure(x, w.status);
    buf_release(&w.text);
}
