#include "lab/eval.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"
#include "base/system.h"
#include "lab/eval_int.h"
#include "lab/prompt_form.h"
#include "strategy/nearness.h"

/* More than one answer in so many that is empty or cut makes a run invalid. */
enum { TOLERATED_SHARE = 20, MAX_PROMPT_BYTES = 16 << 20 };

/* --- for the parts --- */

void eval_add_figure(eval_result *r, const char *name, const metric *m) {
    r->figures[r->n_figures++] = (eval_figure){.name = name, .metric = m};
}

const json_t *eval_json(const eval_run_state *run, const eval_item *item) {
    return json_array_get(run->t->items, item->index);
}

hone_status eval_tell(eval_run_state *run, const char *doing, size_t n_done, size_t n) {
    const eval_settings *s = run->settings;
    if (!s->observe || s->observe(s->context, doing, n_done, n)) return HONE_OK;
    return fail(HONE_ERR_CANCELLED, "stopped");
}

const char *eval_label(size_t index) {
    static const char labels[26][2] = {"A", "B", "C", "D", "E", "F", "G", "H", "I",
                                       "J", "K", "L", "M", "N", "O", "P", "Q", "R",
                                       "S", "T", "U", "V", "W", "X", "Y", "Z"};
    return index < 26 ? labels[index] : "?";
}

json_t *eval_choice_members(const char *choice, size_t index) {
    return json_pack("{s:s, s:s}", "choice", choice, "label", eval_label(index));
}

static hone_status add_shot(buf *out, const task *t, const json_t *shot) {
    size_t answer = (size_t)json_integer_value(json_object_get(shot, "answer"));
    const json_t *choice = json_array_get(json_object_get(shot, "choices"), answer);
    json_t *members = eval_choice_members(choice ? json_string_value(choice) : "", answer);
    if (!members) return mem_fail("example", 0);
    hone_status status = prompt_form_fill(out, t->shots.form, shot, members);
    json_decref(members);
    return status;
}

static const char *question_of(const void *items, size_t i) {
    return json_string_value(json_object_get(json_array_get(items, i), "question"));
}

static hone_status add_nearest(buf *out, const task *t, const json_t *item, size_t *n) {
    size_t taken[NEARNESS_MAX];
    const char *question = json_string_value(json_object_get(item, "question"));
    *n = question ? nearness_pick(taken, t->shots.n, question, question_of, t->shots.items,
                                  json_array_size(t->shots.items)) : 0;
    for (size_t i = 0; i < *n; i++) TRY(add_shot(out, t, json_array_get(t->shots.items, taken[i])));
    return HONE_OK;
}

/* The examples before an item: the first ones that match it, or the nearest. */
static hone_status add_shots(buf *out, const task *t, const json_t *item) {
    const task_shots *shots = &t->shots;
    const json_t *wanted = shots->match ? json_object_get(item, shots->match) : NULL;
    size_t i, n = 0;
    json_t *shot;
    if (shots->n == 0) return HONE_OK;
    TRY(prompt_form_fill(out, shots->head, item, NULL));
    if (shots->nearest) TRY(add_nearest(out, t, item, &n));
    json_array_foreach(shots->items, i, shot) {
        if (n == shots->n || shots->nearest) break;
        if (wanted && !json_equal(wanted, json_object_get(shot, shots->match))) continue;
        if (json_equal(json_object_get(item, "id"), json_object_get(shot, "id"))) continue;
        TRY(add_shot(out, t, shot));
        n++;
    }
    return n == shots->n ? HONE_OK
                         : fail(HONE_ERR_FORMAT, "%zu examples are wanted, and there are %zu",
                                shots->n, n);
}

hone_status eval_prompt(const eval_run_state *run, const char *form, const json_t *item,
                        char **text) {
    buf out;
    buf_init(&out, MAX_PROMPT_BYTES);
    hone_status status = add_shots(&out, run->t, item);
    if (status == HONE_OK) status = prompt_form_fill(&out, form, item, NULL);
    if (status == HONE_OK && !(*text = buf_take(&out))) status = mem_fail("prompt", out.len);
    buf_release(&out);
    return status;
}

/* --- which items --- */

/* A place for each answer to an item. */
static hone_status repeat_items(eval_result *r, size_t repeat) {
    size_t n = r->n_items * repeat;
    eval_item *items = mem_calloc(n, sizeof *items);
    if (!items) return mem_fail("items", n * sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (eval_item){.index = r->items[i / repeat].index, .draw = i % repeat};
    mem_free(r->items);
    r->items = items;
    r->n_items = n;
    return HONE_OK;
}

static int by_index(const void *a, const void *b) {
    const eval_item *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* Fisher and Yates' shuffle as far as needed; then in the task's order again. */
static hone_status choose_items(eval_result *r, const task *t, const eval_settings *settings) {
    size_t n = t->n_items, skip = settings->skip < n ? settings->skip : n;
    r->items = mem_calloc(n, sizeof *r->items);
    if (!r->items) return mem_fail("items", n * sizeof *r->items);
    for (size_t i = 0; i < n; i++) r->items[i].index = i;
    r->n_items = settings->limit && settings->limit < n - skip ? settings->limit : n - skip;
    for (size_t i = 0; r->n_items < n && i < skip + r->n_items; i++) {
        const philox_block counter = {{(uint32_t)i, 0, 0, 1}};
        uint32_t random = philox4x32(counter, settings->seed).word[0];
        size_t other = i + (size_t)((uint64_t)random * (uint64_t)(n - i) >> 32), index;
        index = r->items[i].index;
        r->items[i].index = r->items[other].index;
        r->items[other].index = index;
    }
    memmove(r->items, r->items + skip, r->n_items * sizeof *r->items);
    qsort(r->items, r->n_items, sizeof *r->items, by_index);
    return settings->repeat > 1 ? repeat_items(r, settings->repeat) : HONE_OK;
}

/* --- adding up --- */

/* Copies the counts of figure `f` of those that are done, in the group or (NULL) all. */
static size_t collect(const eval_result *r, size_t f, const char *group, metric_counts *out) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_items; i++) {
        const eval_item *item = &r->items[i];
        if (!item->done) continue;
        const char *of = task_item_group(r->task, item->index);
        if (!group || (of && strcmp(of, group) == 0)) out[n++] = item->counts[f];
    }
    return n;
}

static hone_status add_group(eval_result *r, const char *name) {
    for (size_t g = 0; g < r->n_groups; g++)
        if (strcmp(r->groups[g].name, name) == 0) return HONE_OK;
    if (r->n_groups < EVAL_MAX_GROUPS) r->groups[r->n_groups++] = (eval_group){.name = name};
    return HONE_OK;
}

static hone_status add_up(eval_result *r, metric_counts *counts) {
    uint64_t seed = r->settings.seed;
    for (size_t f = 0; f < r->n_figures; f++) {
        eval_figure *figure = &r->figures[f];
        figure->n = collect(r, f, NULL, counts);
        TRY(metric_estimate(&figure->e, figure->metric, counts, figure->n, seed));
    }
    for (size_t i = 0; i < r->n_items && r->groups; i++) {
        const char *name = task_item_group(r->task, r->items[i].index);
        if (name && r->items[i].done) TRY(add_group(r, name));
    }
    for (size_t g = 0; g < r->n_groups; g++) {
        eval_group *group = &r->groups[g];
        group->n = collect(r, 0, group->name, counts);
        TRY(metric_estimate(&group->e, r->figures[0].metric, counts, group->n, seed));
    }
    return HONE_OK;
}

static hone_status summarise(eval_result *r) {
    metric_counts *counts = mem_calloc(r->n_items, sizeof *counts);
    if (r->task->group) r->groups = mem_calloc(EVAL_MAX_GROUPS, sizeof *r->groups);
    hone_status status = counts && (r->groups || !r->task->group)
                             ? add_up(r, counts) : mem_fail("figures", 0);
    mem_free(counts);
    return status;
}

/* --- can it be relied on? --- */

static void doubt_many(eval_result *r, validity_code code, size_t n, const char *what) {
    if (n * TOLERATED_SHARE > r->n_done)
        validity_doubt(&r->validity, code, "%zu of %zu answers %s", n, r->n_done, what);
}

static void judge_run(eval_result *r) {
    doubt_many(r, VALIDITY_EMPTY_ANSWER, r->n_empty, "are empty");
    doubt_many(r, VALIDITY_CUT_ANSWER, r->n_cut, "were cut by the limit of tokens");
    if (r->n_truncated)
        validity_doubt(&r->validity, VALIDITY_TRUNCATED,
                       "%zu of %zu items did not fit into the model's context", r->n_truncated,
                       r->n_done);
    if (r->n_failed)
        validity_doubt(&r->validity, VALIDITY_ERRORS, "%zu of %zu requests failed", r->n_failed,
                       r->n_done);
    if (r->n_done < r->n_items)
        validity_doubt(&r->validity, VALIDITY_UNFINISHED, "ended after %zu of %zu items", r->n_done,
                       r->n_items);
}

/* --- the run --- */

static hone_status run_kind(eval_run_state *run) {
    switch (run->t->kind) {
    case TASK_CHOICE:
        return run->settings->by_answer ? eval_run_answers(run) : eval_run_choices(run);
    case TASK_CLOZE: return eval_run_choices(run);
    case TASK_SPEECH: return eval_run_speech(run);
    default: return eval_run_answers(run);
    }
}

/* Whether answers to one item can differ. */
static hone_status check_repeat(const task *t, const eval_settings *s) {
    bool scored = t->kind == TASK_CLOZE || t->kind == TASK_SPEECH ||
                  (t->kind == TASK_CHOICE && !s->by_answer);
    if (s->repeat <= 1) return HONE_OK;
    if (s->repeat > EVAL_MAX_REPEAT)
        return fail(HONE_ERR_ARGUMENT, "%zu answers to each item, at most %d", s->repeat,
                    EVAL_MAX_REPEAT);
    if (scored || !s->sampling || s->sampling->temperature <= 0)
        return fail(HONE_ERR_ARGUMENT, "%zu answers to each item of %s would be the same: they "
                    "need a temperature", s->repeat, t->name);
    return HONE_OK;
}

static bool wants_chat(const eval_run_state *run) {
    bool wanted = run->settings->prompting == EVAL_CHAT ||
                  (run->settings->prompting == EVAL_AS_TASK &&
                   (run->t->chat || run->settings->by_answer));
    return wanted && subject_describe(run->s)->has_chat;
}

hone_status eval_run(eval_result *r, subject *s, const task *t, const eval_settings *settings) {
    eval_run_state run = {.r = r, .s = s, .t = t, .settings = settings};
    *r = (eval_result){.task = t, .settings = *settings};
    r->chat = wants_chat(&run);
    if (settings->prompting == EVAL_CHAT && !r->chat)
        return fail(HONE_ERR_UNSUPPORTED, "%s has no chat template", subject_describe(s)->name);
    TRY(check_repeat(t, settings));
    TRY(choose_items(r, t, settings));
    double start_ms = clock_ms();
    json_build_begin();
    hone_status status = run_kind(&run);
    r->seconds = (clock_ms() - start_ms) / 1000;
    if (r->answer_seconds == 0) r->answer_seconds = r->seconds;
    if (status == HONE_ERR_CANCELLED) status = HONE_OK;
    if (status == HONE_OK) status = json_build_end("samples");
    for (size_t i = 0; i < r->n_items; i++) r->n_done += r->items[i].done;
    if (status == HONE_OK) status = summarise(r);
    judge_run(r);
    return status;
}

void eval_result_release(eval_result *r) {
    for (size_t i = 0; r->items && i < r->n_items; i++) json_decref(r->items[i].sample);
    mem_free(r->items);
    mem_free(r->groups);
    *r = (eval_result){.task = NULL};
}

/* --- as JSON --- */

static json_t *estimate_json(const char *name, const estimate *e, size_t n) {
    return json_pack("{s:s, s:I, s:o, s:o, s:o}", "name", name, "n", (json_int_t)n, "value",
                     json_finite(e->value), "low", json_finite(e->low), "high",
                     json_finite(e->high));
}

static json_t *reasons_json(const validity *v) {
    json_t *list = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(list, json_string(v->reasons[i].words));
    return list;
}

static json_t *settings_json(const eval_result *r) {
    const eval_settings *s = &r->settings;
    return json_pack("{s:I, s:I, s:I, s:s, s:s, s:I, s:I, s:I}", "seed", (json_int_t)s->seed,
                     "limit", (json_int_t)s->limit, "repeat",
                     (json_int_t)(s->repeat ? s->repeat : 1), "prompting",
                     r->chat ? "chat" : "plain", "choices",
                     s->by_answer ? "answer" : "likelihood", "max_tokens",
                     (json_int_t)(s->max_tokens ? s->max_tokens : r->task->max_tokens), "shots",
                     (json_int_t)r->task->shots.n, "bootstrap_draws", (json_int_t)STATS_DRAWS);
}

static json_t *counts_json(const eval_result *r) {
    return json_pack("{s:I, s:I, s:I, s:I}", "empty", (json_int_t)r->n_empty, "cut",
                     (json_int_t)r->n_cut, "truncated", (json_int_t)r->n_truncated, "failed",
                     (json_int_t)r->n_failed);
}

json_t *eval_result_to_json(const eval_result *r) {
    const eval_figure *first = &r->figures[0];
    json_build_begin();
    json_t *o = json_pack(
        "{s:s, s:I, s:s, s:o, s:o, s:o, s:s, s:f, s:f, s:I, s:I, s:I, s:b, s:o}", "task",
        r->task->name, "n", (json_int_t)first->n, "metric", first->metric->name, "value",
        json_finite(first->e.value), "low", json_finite(first->e.low), "high",
        json_finite(first->e.high), "interval", metric_interval_name(first->metric), "seconds",
        r->seconds, "answer_seconds", r->answer_seconds, "draws", (json_int_t)r->n_draws, "tokens",
        (json_int_t)r->n_tokens, "prompt_tokens", (json_int_t)r->n_prompt_tokens, "valid",
        r->validity.n == 0, "reasons", reasons_json(&r->validity));
    json_t *figures = json_array(), *groups = json_array();
    for (size_t i = 0; i < r->n_figures; i++) {
        const eval_figure *f = &r->figures[i];
        json_array_append_new(figures, estimate_json(f->name, &f->e, f->n));
        if (strcmp(f->name, "accuracy_per_byte") == 0)
            json_object_set_new(o, "value_per_byte", json_finite(f->e.value));
    }
    for (size_t i = 0; i < r->n_groups; i++) {
        const eval_group *g = &r->groups[i];
        json_array_append_new(groups, estimate_json(g->name, &g->e, g->n));
    }
    json_object_set_new(o, "figures", figures);
    json_object_set_new(o, "groups", groups);
    json_object_set_new(o, "template_sha256", json_string(r->task->template_sha256.text));
    json_object_set_new(o, "items_sha256", json_string(r->task->items_sha256.text));
    json_object_set_new(o, "settings", settings_json(r));
    json_object_set_new(o, "answers", counts_json(r));
    if (json_build_end("result") == HONE_OK) return o;
    json_decref(o);
    return NULL;
}
