/* A comparison as JSON, and as a result that is kept. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "lab/compare.h"

static json_t *spread_json(const spread *s) {
    return s->n ? json_pack("{s:f, s:f, s:f, s:I}", "tokens_per_s", s->median, "low", s->low,
                            "high", s->high, "n", (json_int_t)s->n)
                : json_null();
}

static const char *role_name(compare_role role) {
    switch (role) {
    case COMPARE_MODEL: return "model";
    case COMPARE_NONE: return "none";
    case COMPARE_ONE_DRAW: return "one draw";
    case COMPARE_CONTROL: return "A/A";
    case COMPARE_STRATEGY: return "strategy";
    case COMPARE_INSTEAD: return "instead";
    }
    return "unknown";
}

static json_t *entry_json(const compare_entry *e) {
    json_t *tasks = json_array(), *o;
    for (size_t t = 0; t < e->n_results; t++)
        json_array_append_new(tasks, eval_result_to_json(&e->results[t]));
    o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "name", e->label, "role",
                  role_name(e->role), "model", e->model, "quantisation", e->quantisation,
                  "file_bytes", (json_int_t)e->file_bytes, "peak_memory_bytes",
                  (json_int_t)e->memory_bytes, "prefill", spread_json(&e->prefill), "decode",
                  spread_json(&e->decode), "tasks", tasks);
    json_object_set_new(o, "strategy", e->strategy ? json_string(e->strategy) : json_null());
    return o;
}

static json_t *advice_json(const comparison *c, const compare_advice *x) {
    const compare_verdict *v = x->decided_by == SIZE_MAX ? NULL : &c->verdicts[x->decided_by];
    return json_pack("{s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o}", "entry",
                     c->entries[x->entry].label, "task", c->settings->tasks[x->task]->name,
                     "verdict", compare_use_name(x->use), "n", (json_int_t)x->n, "enough",
                     x->n >= COMPARE_ENOUGH_ITEMS, "decided_by",
                     v ? json_string(c->entries[v->b].label) : json_null(), "times_tokens",
                     json_finite(x->cost_tokens), "times_seconds", json_finite(x->cost_seconds));
}

json_t *compare_to_json(const comparison *c) {
    json_build_begin();
    json_t *rows = json_array(), *verdicts = json_array(), *advice = json_array();
    for (size_t i = 0; i < c->n_advice; i++)
        json_array_append_new(advice, advice_json(c, &c->advice[i]));
    for (size_t i = 0; i < c->n_entries; i++)
        json_array_append_new(rows, entry_json(&c->entries[i]));
    for (size_t i = 0; i < c->n_verdicts; i++) {
        const compare_verdict *v = &c->verdicts[i];
        json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:f, s:f, s:s, s:o}", "a",
                              c->entries[v->a].label, "b", c->entries[v->b].label, "task",
                              c->settings->tasks[v->task]->name, "n", (json_int_t)v->n,
                              "difference", json_finite(v->difference.value), "low",
                              json_finite(v->difference.low), "high",
                              json_finite(v->difference.high), "p",
                              v->p, "p_adjusted", v->p_adjusted, "verdict",
                              compare_outcome_name(v->outcome), "n_needed",
                              v->n_needed ? json_integer((json_int_t)v->n_needed) : json_null());
        json_array_append_new(verdicts, o);
    }
    json_t *root = json_pack("{s:o, s:o, s:o, s:b}", "rows", rows, "verdicts", verdicts, "advice",
                             advice, "finished", !c->cancelled);
    if (json_build_end("comparison") == HONE_OK) return root;
    json_decref(root);
    return NULL;
}

/* --- kept --- */

static hone_status store_spread(const char *name, const char *condition, const spread *s,
                                results *r, int64_t id) {
    const result_metric m = {.name = name, .condition = condition, .unit = "tokens/s",
                             .value = s->median, .low = s->low, .high = s->high, .n = s->n,
                             .better = 1};
    return s->n ? results_add_metrics(r, id, &m, 1) : HONE_OK;
}

static hone_status store_items(const compare_entry *e, const eval_result *x, results *r,
                               int64_t id) {
    char name[512];
    size_t n = 0;
    result_item *items = mem_calloc(x->n_items, sizeof *items);
    if (!items) return mem_fail("items", x->n_items * sizeof *items);
    snprintf(name, sizeof name, "%s/%s", x->task->name, e->label);
    for (size_t i = 0; i < x->n_items; i++) {
        const json_t *sample = x->items[i].sample, *right = json_object_get(sample, "right");
        if (!x->items[i].done) continue;
        items[n++] = (result_item){
            .task = name, .id = json_string_value(json_object_get(sample, "id")),
            .prompt = json_string_value(json_object_get(sample, "prompt")),
            .output = json_string_value(json_object_get(sample, "output")),
            .verdict = !right ? NULL : json_is_true(right) ? "right" : "wrong",
            .score = x->items[i].counts[0].of[0]};
    }
    hone_status status = results_add_items(r, id, items, n);
    mem_free(items);
    return status;
}

static hone_status store_task(const compare_entry *e, const eval_result *x, results *r,
                              int64_t id) {
    for (size_t f = 0; f < x->n_figures; f++) {
        const eval_figure *figure = &x->figures[f];
        char condition[512];
        snprintf(condition, sizeof condition, "entry=%s task=%s", e->label, x->task->name);
        const result_metric m = {
            .name = figure->name, .condition = condition,
            .unit = figure->metric->is_share ? "share" : "",
            .value = figure->e.value, .low = figure->e.low, .high = figure->e.high, .n = figure->n,
            .better = figure->metric->less_is_better ? -1 : 1,
            .items_hash = x->task->items_sha256.text};
        if (!isnan(figure->e.value)) TRY(results_add_metrics(r, id, &m, 1));
    }
    return store_items(e, x, r, id);
}

hone_status compare_store(const comparison *c, results *r, int64_t id) {
    for (size_t i = 0; i < c->n_entries; i++) {
        const compare_entry *e = &c->entries[i];
        char condition[256];
        snprintf(condition, sizeof condition, "entry=%s", e->label);
        TRY(store_spread("prefill", condition, &e->prefill, r, id));
        TRY(store_spread("decode", condition, &e->decode, r, id));
        const result_metric memory = {.name = "peak_memory", .condition = condition,
                                      .unit = "bytes", .value = (double)e->memory_bytes,
                                      .low = NAN, .high = NAN, .n = 1, .better = -1};
        if (e->memory_bytes) TRY(results_add_metrics(r, id, &memory, 1));
        for (size_t t = 0; t < e->n_results; t++) TRY(store_task(e, &e->results[t], r, id));
    }
    return HONE_OK;
}
