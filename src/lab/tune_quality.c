#include "lab/tune_quality.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "lab/eval.h"
#include "lab/tune_speed.h"

enum { MOST_BLOCK = 8, ROUNDS = 25, SPEED_RUNS = 3, GUESS_MS = 2000 };

/* A model that answers, as many of them as there are models and modes. */
typedef struct answerer {
    size_t model;
    bool exact;
    subject *subject;
    double tokens_per_s; /* 0 = not looked at */
} answerer;

struct tune_quality {
    tune_quality_settings settings;
    answerer answerers[2 * TUNE_MAX_MODELS];
    size_t n_answerers;
    tune_speed *speed; /* for what is demanded beside quality */
    size_t block, n_rounds, n_final_rounds;
};

static hone_status find_answerer(tune_quality *q, const tune_config *c, answerer **out) {
    for (size_t i = 0; i < q->n_answerers; i++)
        if (q->answerers[i].model == c->model && q->answerers[i].exact == c->exact) {
            *out = &q->answerers[i];
            return HONE_OK;
        }
    answerer *a = &q->answerers[q->n_answerers];
    const subject_settings settings = {.model = q->settings.models[c->model],
                                       .n_threads = c->n_threads, .n_context = c->n_context,
                                       .kv = c->kv, .exact = c->exact, .n_parallel = q->block};
    *a = (answerer){.model = c->model, .exact = c->exact};
    TRY(subject_open(&a->subject, &settings));
    q->n_answerers++;
    *out = a;
    return HONE_OK;
}

static bool on_progress(void *context, const char *doing, size_t n_done, size_t n) {
    const tune_quality *q = context;
    (void)doing, (void)n_done, (void)n;
    return !q->settings.go_on || q->settings.go_on(q->settings.context);
}

/* What an item is worth; more is better. */
static double score_of(const eval_result *r, const eval_item *item) {
    const metric *m = r->figures[0].metric;
    double value = m->value(item->counts[0].of);
    return m->less_is_better ? -value : value;
}

/* Rounds of knobs walk through the first items, those of the last race through the others. */
static hone_status measure(void *context, const tune_config *c, tune_place place, double *values) {
    tune_quality *q = context;
    answerer *a;
    eval_result r;
    size_t first = place.race == TUNE_FINAL ? q->n_rounds - 1 : 0, round = place.round ? place.round - 1 : 0;
    hone_sampling sampling = c->sampling;
    sampling.seed = q->settings.seed + place.round;
    const eval_settings settings = {
        .limit = place.round ? q->block : 1, .skip = (first + round) * q->block,
        .seed = q->settings.seed, .by_answer = q->settings.task->kind == TASK_CHOICE,
        .max_tokens = q->settings.max_tokens, .sampling = &sampling, .observe = on_progress, .context = q};
    TRY(find_answerer(q, c, &a));
    hone_status status = eval_run(&r, a->subject, q->settings.task, &settings);
    if (status == HONE_OK && r.n_done < r.n_items) status = fail(HONE_ERR_CANCELLED, "stopped");
    for (size_t i = 0; i < q->block && status == HONE_OK; i++)
        values[i] = i < r.n_items ? score_of(&r, &r.items[i]) : 0;
    eval_result_release(&r);
    return status;
}

/* --- what is demanded --- */

static hone_status look_at_speed(tune_quality *q, answerer *a, const tune_config *c) {
    tune_meter m = tune_speed_meter(q->speed);
    double values[SPEED_RUNS + 1];
    for (size_t i = 0; i <= SPEED_RUNS; i++)
        TRY(m.measure(m.context, c, (tune_place){TUNE_FINAL, i}, &values[i]));
    a->tokens_per_s = exp(spread_of(values + 1, SPEED_RUNS).median);
    return HONE_OK;
}

static hone_status allow(void *context, const tune_config *c, bool *allowed, char why[96]) {
    tune_quality *q = context;
    const tune_meter m = tune_speed_meter(q->speed);
    answerer *a;
    TRY(m.allow(m.context, c, allowed, why));
    if (!*allowed || q->settings.min_speed <= 0) return HONE_OK;
    TRY(find_answerer(q, c, &a));
    if (a->tokens_per_s == 0) TRY(look_at_speed(q, a, c));
    *allowed = a->tokens_per_s >= q->settings.min_speed;
    if (!*allowed) snprintf(why, 96, "writes %.1f tokens/s", a->tokens_per_s);
    return HONE_OK;
}

/* --- life --- */

hone_status tune_quality_open(tune_quality **out, const tune_quality_settings *settings) {
    size_t n = settings->task->n_items;
    if (n < TUNE_LEAST_ITEMS)
        return fail(HONE_ERR_ARGUMENT, "%s has %zu items, and tuning takes %d at least",
                    settings->task->name, n, TUNE_LEAST_ITEMS);
    const tune_speed_settings speed = {.goal = TUNE_DECODE, .models = settings->models,
                                       .n_models = settings->n_models, .memory = settings->memory,
                                       .max_loss = -1, .go_on = settings->go_on,
                                       .context = settings->context};
    tune_quality *q = mem_calloc(1, sizeof *q);
    if (!q) return mem_fail("measuring", sizeof *q);
    q->settings = *settings;
    q->block = n / ROUNDS < MOST_BLOCK ? n / ROUNDS : MOST_BLOCK;
    size_t n_blocks = n / q->block;
    q->n_rounds = n_blocks * 3 / 5 + 1; /* the warm-up takes a round, and no items of its own */
    q->n_final_rounds = n_blocks - n_blocks * 3 / 5 + 1;
    hone_status status = tune_speed_open(&q->speed, &speed);
    if (status != HONE_OK) {
        tune_quality_close(q);
        return status;
    }
    *out = q;
    return HONE_OK;
}

void tune_quality_close(tune_quality *q) {
    if (!q) return;
    for (size_t i = 0; i < q->n_answerers; i++) subject_close(q->answerers[i].subject);
    tune_speed_close(q->speed);
    mem_free(q);
}

static double clock_of(void *context) {
    (void)context;
    return clock_ms();
}

tune_meter tune_quality_meter(tune_quality *q) {
    return (tune_meter){.context = q, .measure = measure, .clock = clock_of, .allow = allow,
                        .n_values = q->block, .scores = true, .n_rounds = q->n_rounds,
                        .n_final_rounds = q->n_final_rounds, .guess_ms = GUESS_MS};
}
