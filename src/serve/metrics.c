/* Prometheus' text format (serve/metrics.h). */
#include "serve/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/system.h"
#include "serve/histogram.h"
#include "serve/reply.h"

#define MAX_METRICS_BYTES (4 << 20)

enum { MAX_MODELS = 64, MAX_LABEL = 400 };

/* What the answers of one model took, also after it was closed. */
typedef struct durations {
    char label[MAX_LABEL]; /* model="…"; "" = free */
    histogram queue, first, token, total;
} durations;

struct metrics {
    atomic_uint_fast64_t by_class[6]; /* answers with 1xx … 5xx */
    pthread_mutex_t lock;
    durations models[MAX_MODELS + 1]; /* the last: of all others */
};

hone_status metrics_open(metrics **out) {
    *out = mem_calloc(1, sizeof **out);
    if (!*out) return mem_fail("metrics", sizeof **out);
    pthread_mutex_init(&(*out)->lock, NULL);
    return HONE_OK;
}

void metrics_close(metrics *m) {
    if (m) pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

/* model="NAME", as the format wants it: names of the command line may hold anything. */
static void make_label(char *out, size_t size, const char *name) {
    size_t n = (size_t)snprintf(out, size, "model=\"");
    for (; *name && n + 4 < size; name++) {
        if (*name == '"' || *name == '\\') out[n++] = '\\';
        out[n++] = (unsigned char)*name < ' ' ? '?' : *name;
    }
    out[n++] = '"';
    out[n] = '\0';
}

/* Where the model is counted. The lock is held. */
static durations *find_durations(metrics *m, const char *model) {
    char label[MAX_LABEL];
    size_t i = 0;
    make_label(label, sizeof label, model);
    while (i < MAX_MODELS && m->models[i].label[0] && strcmp(m->models[i].label, label) != 0) i++;
    if (i == MAX_MODELS) make_label(label, sizeof label, "others");
    memcpy(m->models[i].label, label, sizeof label);
    return &m->models[i];
}

void metrics_observe(void *user, const char *model, const answer_times *t) {
    metrics *m = user;
    pthread_mutex_lock(&m->lock);
    durations *d = find_durations(m, model);
    histogram_add(&d->queue, t->queue_ms / 1000);
    if (t->first_ms >= 0) histogram_add(&d->first, t->first_ms / 1000);
    if (t->token_ms >= 0) histogram_add(&d->token, t->token_ms / 1000);
    histogram_add(&d->total, t->total_ms / 1000);
    pthread_mutex_unlock(&m->lock);
}

void metrics_count(metrics *m, unsigned status) {
    if (status / 100 < 6) atomic_fetch_add(&m->by_class[status / 100], 1);
}

typedef struct writer {
    buf text;
    hone_status status;
} writer;

static void add_model(void *user, const open_model *model) {
    writer *w = user;
    char label[MAX_LABEL];
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
    make_label(label, sizeof label, model->served.name);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && w->status == HONE_OK; i++)
        w->status = buf_add_format(&w->text, "%s{%s} %.17g\n", rows[i].name, label, rows[i].value);
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

static void add_models(writer *w, models *served) {
    models_counts c = models_count(served);
    add_number(w, "hone_models_open", (double)c.n_open);
    add_number(w, "hone_models_bytes", (double)c.bytes);
    add_number(w, "hone_models_limit_bytes", (double)c.limit_bytes);
    add_number(w, "hone_model_loads_total", (double)c.n_loads);
    add_number(w, "hone_model_load_failures_total", (double)c.n_failed_loads);
    add_number(w, "hone_model_load_seconds_total", c.load_ms / 1000);
    add_number(w, "hone_models_evicted_total", (double)c.n_evicted);
    add_number(w, "hone_models_expired_total", (double)c.n_expired);
}

/* All of one histogram together, as the format wants it. */
static void add_histogram(writer *w, const metrics *m, const char *name, size_t offset) {
    if (w->status == HONE_OK) w->status = buf_add_format(&w->text, "# TYPE %s histogram\n", name);
    for (size_t i = 0; i <= MAX_MODELS && w->status == HONE_OK; i++) {
        const durations *d = &m->models[i];
        const histogram *h = (const histogram *)((const char *)d + offset);
        if (d->label[0]) w->status = histogram_write(h, &w->text, name, d->label);
    }
}

static void add_histograms(writer *w, metrics *m) {
    pthread_mutex_lock(&m->lock);
    add_histogram(w, m, "hone_queue_seconds", offsetof(durations, queue));
    add_histogram(w, m, "hone_time_to_first_token_seconds", offsetof(durations, first));
    add_histogram(w, m, "hone_time_per_token_seconds", offsetof(durations, token));
    add_histogram(w, m, "hone_request_seconds", offsetof(durations, total));
    pthread_mutex_unlock(&m->lock);
}

void metrics_reply(metrics *m, models *served, pressure *watch, exchange *x) {
    writer w = {.status = HONE_OK};
    buf_init(&w.text, MAX_METRICS_BYTES);
    for (int i = 2; i < 6 && w.status == HONE_OK; i++)
        w.status = buf_add_format(&w.text, "hone_http_requests_total{code=\"%dxx\"} %llu\n", i,
                                  (unsigned long long)atomic_load(&m->by_class[i]));
    add_memory(&w, watch);
    add_models(&w, served);
    models_each(served, add_model, &w);
    add_histograms(&w, m);
    if (w.status == HONE_OK)
        exchange_reply(x, 200, "text/plain; version=0.0.4", w.text.data, w.text.len);
    else
        reply_failure(x, w.status);
    buf_release(&w.text);
}
