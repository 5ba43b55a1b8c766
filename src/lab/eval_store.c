/* An evaluation as the metrics and items of a result. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lab/eval.h"

static hone_status store_figure(const eval_result *r, const eval_figure *f, const char *condition,
                                results *db, int64_t id) {
    const result_metric row = {
        .name = f->name, .condition = condition, .value = f->e.value, .low = f->e.low,
        .high = f->e.high, .n = f->n, .better = f->metric->less_is_better ? -1 : 1,
        .unit = f->metric == &metric_chrf ? "chrF" : f->metric == &metric_word_error_rate
                                                         ? "errors/word" : "share",
        .items_hash = r->task->items_sha256.text};
    return isnan(f->e.value) ? HONE_OK : results_add_metrics(db, id, &row, 1);
}

static hone_status store_groups(const eval_result *r, results *db, int64_t id) {
    for (size_t g = 0; g < r->n_groups; g++) {
        char condition[200];
        const eval_group *group = &r->groups[g];
        const eval_figure figure = {r->figures[0].name, r->figures[0].metric, group->e, group->n};
        snprintf(condition, sizeof condition, "group=%s task=%s", group->name, r->task->name);
        TRY(store_figure(r, &figure, condition, db, id));
    }
    return HONE_OK;
}

/* The first figure's own score of one item. */
static double score_of(const eval_result *r, const eval_item *item) {
    return r->figures[0].metric->value(item->counts[0].of);
}

static const char *text_of(const json_t *sample, const char *key) {
    return json_string_value(json_object_get(sample, key));
}

static void describe_item(result_item *row, const eval_result *r, const eval_item *item) {
    const json_t *right = json_object_get(item->sample, "right");
    const char *prompt = text_of(item->sample, "prompt"), *end = text_of(item->sample, "end");
    bool failed = end && (strcmp(end, "error") == 0 || strcmp(end, "no room") == 0);
    *row = (result_item){
        .task = r->task->name, .id = text_of(item->sample, "id"),
        .prompt = prompt ? prompt : text_of(item->sample, "context"),
        .output = text_of(item->sample, "output"),
        .verdict = failed ? "invalid" : !right ? NULL : json_is_true(right) ? "right" : "wrong",
        .reason = failed ? end : NULL, .score = score_of(r, item), .scores = item->sample};
}

/* All at once: one transaction. */
static hone_status store_items(const eval_result *r, results *db, int64_t id) {
    result_item *rows = mem_calloc(r->n_done, sizeof *rows);
    size_t n = 0;
    if (!rows) return mem_fail("items", r->n_done * sizeof *rows);
    for (size_t i = 0; i < r->n_items; i++)
        if (r->items[i].done) describe_item(&rows[n++], r, &r->items[i]);
    hone_status status = results_add_items(db, id, rows, n);
    mem_free(rows);
    return status;
}

hone_status eval_store(const eval_result *r, results *db, int64_t id) {
    char condition[160];
    snprintf(condition, sizeof condition, "task=%s", r->task->name);
    for (size_t f = 0; f < r->n_figures; f++)
        TRY(store_figure(r, &r->figures[f], condition, db, id));
    TRY(store_groups(r, db, id));
    return store_items(r, db, id);
}
