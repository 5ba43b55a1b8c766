#include "lab/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"

/* The short benchmark: enough to rank models, not to publish. */
enum { SPEED_PROMPT = 256, SPEED_DECODE = 32, SPEED_REPEAT = 5 };

#define LEVEL 0.05
#define Z_975 1.959964

const char *compare_outcome_name(compare_outcome o) {
    switch (o) {
    case COMPARE_BETTER: return "better";
    case COMPARE_WORSE: return "worse";
    case COMPARE_OPEN: return "not distinguishable";
    }
    return "unknown";
}

/* --- measuring --- */

/* Whom observers hear about. */
typedef struct listening {
    const compare_settings *settings;
    const char *label;
} listening;

static bool hear(const listening *l, const char *doing, size_t n_done, size_t n) {
    const compare_settings *s = l->settings;
    return !s->observe || s->observe(s->context, l->label, doing, n_done, n);
}

static bool on_bench(void *context, const char *what, size_t n_tokens, size_t run, size_t n_runs) {
    (void)n_tokens;
    return hear(context, what, run, n_runs);
}

static bool on_eval(void *context, const char *doing, size_t n_done, size_t n) {
    return hear(context, doing, n_done, n);
}

static void keep_speed(compare_entry *e, const bench *b) {
    const bench_row *prefill = bench_find(b, BENCH_PREFILL), *decode = bench_find(b, BENCH_DECODE);
    if (prefill) e->prefill = prefill->speed;
    if (decode) e->decode = decode->speed;
    e->speed_validity = b->validity;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static hone_status measure_speed(compare_entry *e, const subject_info *info,
                                 const compare_settings *settings, listening *l) {
    const hone_session_options options = {.exact = settings->exact, .kv = settings->kv,
                                          .n_context = settings->n_context};
    const size_t room = info->n_context - 1;
    const bench_settings work = {
        .n_prompts = 1, .prompts = {least(SPEED_PROMPT, room)}, .n_depths = 1, .depths = {0},
        .n_parallels = 1, .parallels = {1}, .n_decode = least(SPEED_DECODE, room),
        .repeat = SPEED_REPEAT, .seed = settings->eval.seed, .observe = on_bench, .context = l};
    bench_subject measured = {.model = info->model, .kv = settings->kv, .exact = settings->exact};
    bench b;
    bench_init(&b);
    hone_status status = hone_session_open(&measured.session, info->model, &options);
    if (status == HONE_OK) status = bench_text(&b, &measured, &work);
    if (status == HONE_OK) keep_speed(e, &b);
    hone_session_close(measured.session);
    bench_release(&b);
    return status;
}

/* An earlier entry of the same model has its speed already. */
static const compare_entry *measured_before(const comparison *c, const compare_entry *e) {
    for (const compare_entry *other = c->entries; other < e; other++)
        if (!strcmp(other->model, e->model) && other->decode.n) return other;
    return NULL;
}

static hone_status run_tasks(compare_entry *e, subject *s, const compare_settings *settings,
                             listening *l) {
    eval_settings eval = settings->eval;
    eval.observe = on_eval;
    eval.context = l;
    for (size_t t = 0; t < settings->n_tasks; t++) {
        hone_status status = eval_run(&e->results[t], s, settings->tasks[t], &eval);
        e->n_results = t + 1;
        if (status != HONE_OK)
            return fail_context(status, "%s on %s", e->label, settings->tasks[t]->name);
        if (validity_has(&e->results[t].validity, VALIDITY_UNFINISHED))
            return fail(HONE_ERR_CANCELLED, "stopped");
    }
    return HONE_OK;
}

static hone_status run_entry(comparison *c, compare_entry *e) {
    const compare_settings *settings = c->settings;
    const subject_settings asked = {.model = e->model, .strategy = e->strategy,
                                    .n_threads = settings->n_threads, .kv = settings->kv,
                                    .exact = settings->exact, .n_context = settings->n_context};
    listening l = {settings, e->label};
    subject *s;
    system_forget_peak();
    TRY(subject_open(&s, &asked));
    const subject_info *info = subject_describe(s);
    const hone_model_info *model = hone_model_describe(info->model);
    const compare_entry *twin = measured_before(c, e);
    snprintf(e->quantisation, sizeof e->quantisation, "%s", model->weight_type);
    e->file_bytes = model->file_bytes;
    hone_status status = HONE_OK;
    if (twin) {
        e->prefill = twin->prefill;
        e->decode = twin->decode;
        e->speed_validity = twin->speed_validity;
    } else if (settings->measure_speed && model->takes_text) {
        status = measure_speed(e, info, settings, &l);
    }
    if (status == HONE_OK) status = run_tasks(e, s, settings, &l);
    e->memory_bytes = system_peak_resident_bytes();
    subject_close(s);
    return status;
}

/* --- judging --- */

/* The counts of the items that both have done, side by side. */
static size_t pair_items(const eval_result *a, const eval_result *b, metric_counts *of_a,
                         metric_counts *of_b) {
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->n_items && k < b->n_items;) {
        const eval_item *x = &a->items[i], *y = &b->items[k];
        if (x->index < y->index) i++;
        else if (x->index > y->index) k++;
        else {
            if (x->done && y->done) of_a[n] = x->counts[0], of_b[n++] = y->counts[0];
            i++;
            k++;
        }
    }
    return n;
}

/* Two-sided p of a normal value as far from 0 as the estimate is, its interval taken as ±1.96 σ. */
static double p_of_interval(const estimate *e) {
    double sigma = (e->high - e->low) / (2 * Z_975);
    if (sigma <= 0) return e->value == 0 ? 1 : 0;
    return erfc(fabs(e->value) / sigma / sqrt(2));
}

static void judge_share(compare_verdict *v, const metric_counts *a, const metric_counts *b) {
    size_t only_a = 0, only_b = 0;
    for (size_t i = 0; i < v->n; i++) {
        only_a += a[i].of[0] > b[i].of[0];
        only_b += a[i].of[0] < b[i].of[0];
    }
    v->p = stats_mcnemar(only_a, only_b);
    if (only_a == only_b) return;
    size_t needed = stats_paired_sample_size((double)(only_a + only_b) / (double)v->n,
                                             v->difference.value);
    v->n_needed = needed == SIZE_MAX ? 0 : needed;
}

/* A normal approximation: the interval shrinks with √n. */
static void judge_other(compare_verdict *v) {
    double width = (v->difference.high - v->difference.low) / 2 / Z_975 * (Z_975 + 0.841621);
    v->p = p_of_interval(&v->difference);
    if (v->difference.value == 0) return;
    double ratio = width / fabs(v->difference.value);
    v->n_needed = ratio < 1e4 ? (size_t)ceil((double)v->n * ratio * ratio) : 0;
}

static hone_status judge_pair(const comparison *c, compare_verdict *v) {
    const eval_result *a = &c->entries[v->a].results[v->task];
    const eval_result *b = &c->entries[v->b].results[v->task];
    const metric *m = a->figures[0].metric;
    metric_counts *counts = mem_calloc(2 * a->n_items, sizeof *counts);
    if (!counts) return mem_fail("pairs", 2 * a->n_items * sizeof *counts);
    metric_counts *of_b = counts + a->n_items;
    v->n = pair_items(a, b, counts, of_b);
    v->p = 1;
    hone_status status = metric_difference(&v->difference, m, counts, of_b, v->n,
                                           c->settings->eval.seed);
    if (status == HONE_OK && v->n) {
        if (m->is_share) judge_share(v, counts, of_b);
        else judge_other(v);
    }
    mem_free(counts);
    return status;
}

static hone_status correct(comparison *c) {
    double *p = mem_calloc(c->n_verdicts, sizeof *p);
    if (!p) return mem_fail("verdicts", c->n_verdicts * sizeof *p);
    for (size_t i = 0; i < c->n_verdicts; i++) p[i] = c->verdicts[i].p;
    hone_status status = stats_holm(p, p, c->n_verdicts);
    for (size_t i = 0; i < c->n_verdicts && status == HONE_OK; i++) {
        compare_verdict *v = &c->verdicts[i];
        const metric *m = c->entries[v->a].results[v->task].figures[0].metric;
        bool differs = p[i] < LEVEL && v->difference.value != 0;
        v->p_adjusted = p[i];
        v->outcome = !differs ? COMPARE_OPEN
                     : (v->difference.value > 0) != m->less_is_better ? COMPARE_BETTER
                                                                      : COMPARE_WORSE;
    }
    mem_free(p);
    return status;
}

hone_status compare_judge(comparison *c) {
    const compare_settings *s = c->settings;
    size_t n = c->n_entries, most = n * (n - 1) / 2 * s->n_tasks;
    if (most == 0) return HONE_OK;
    c->verdicts = mem_calloc(most, sizeof *c->verdicts);
    if (!c->verdicts) return mem_fail("verdicts", most * sizeof *c->verdicts);
    for (size_t t = 0; t < s->n_tasks; t++)
        for (size_t b = 0; b < (s->all_pairs ? n : 1); b++)
            for (size_t a = b + 1; a < n; a++) {
                if (c->entries[a].n_results <= t || c->entries[b].n_results <= t) continue;
                c->verdicts[c->n_verdicts] = (compare_verdict){.a = a, .b = b, .task = t};
                TRY(judge_pair(c, &c->verdicts[c->n_verdicts++]));
            }
    return correct(c);
}

hone_status compare_run(comparison *c, const compare_settings *settings) {
    hone_status status = HONE_OK;
    c->settings = settings;
    for (size_t i = 0; i < c->n_entries && status == HONE_OK; i++)
        status = run_entry(c, &c->entries[i]);
    c->cancelled = status == HONE_ERR_CANCELLED;
    return status == HONE_OK || c->cancelled ? compare_judge(c) : status;
}

void compare_release(comparison *c) {
    for (size_t i = 0; i < c->n_entries; i++)
        for (size_t t = 0; t < c->entries[i].n_results; t++)
            eval_result_release(&c->entries[i].results[t]);
    mem_free(c->verdicts);
    c->verdicts = NULL;
    c->n_verdicts = 0;
}
