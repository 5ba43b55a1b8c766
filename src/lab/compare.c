#include "lab/compare.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"

/* The short benchmark: enough to rank models, not to publish. */
enum { SPEED_PROMPT = 256, SPEED_DECODE = 32, SPEED_REPEAT = 5 };

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
    eval.stream = e->role == COMPARE_CONTROL;
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
    compare_forget_verdicts(c);
}
