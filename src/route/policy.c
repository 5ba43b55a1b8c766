#include "route/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* --- the answers --- */

static hone_status run_half(policy_trial *t, int half, const compare_entry *entries,
                            const compare_settings *settings) {
    compare_settings *s = &t->settings[half];
    *s = *settings;
    s->tasks = t->tasks[half];
    s->measure_speed = settings->measure_speed && half == POLICY_LEARNT;
    if (settings->eval.limit)
        s->eval.limit = (settings->eval.limit + (half == POLICY_LEARNT)) / 2;
    if (s->eval.limit == 0 && settings->eval.limit) s->eval.limit = 1;
    memcpy(t->entries[half], entries, t->n_entries * sizeof *entries);
    t->done[half] = (comparison){.entries = t->entries[half], .n_entries = t->n_entries};
    TRY(compare_run(&t->done[half], s));
    return t->done[half].cancelled ? fail(HONE_ERR_CANCELLED, "stopped") : HONE_OK;
}

static hone_status check_metrics(const policy_trial *t) {
    for (size_t k = 0; k < t->n_tasks; k++)
        if (!t->entries[POLICY_LEARNT][0].results[k].figures[0].metric->is_share)
            return fail(HONE_ERR_UNSUPPORTED, "%s: its answers are not simply right or wrong",
                        t->tasks[POLICY_LEARNT][k]->name);
    return HONE_OK;
}

hone_status policy_trial_run(policy_trial *t, const compare_entry *entries, size_t n_entries,
                             const compare_settings *settings) {
    t->n_entries = n_entries;
    for (size_t k = 0; k < settings->n_tasks; k++) {
        t->n_tasks = k + 1;
        TRY(prompt_split(&t->halves[POLICY_LEARNT][k], &t->halves[POLICY_HELD_OUT][k],
                         settings->tasks[k], settings->eval.seed));
        for (int half = 0; half < 2; half++) t->tasks[half][k] = &t->halves[half][k].task;
    }
    TRY(run_half(t, POLICY_LEARNT, entries, settings));
    TRY(check_metrics(t));
    return run_half(t, POLICY_HELD_OUT, entries, settings);
}

void policy_trial_release(policy_trial *t) {
    for (int half = 0; half < 2; half++) {
        compare_release(&t->done[half]);
        for (size_t k = 0; k < t->n_tasks; k++) json_decref(t->halves[half][k].items);
    }
    *t = (policy_trial){.n_tasks = 0};
}

size_t policy_trial_items(const policy_trial *t, int half) {
    size_t n = 0;
    for (size_t k = 0; k < t->n_tasks; k++) n += t->entries[half][0].results[k].n_items;
    return n;
}

policy_item policy_trial_item(const policy_trial *t, int half, size_t i) {
    size_t k = 0;
    while (i >= t->entries[half][0].results[k].n_items)
        i -= t->entries[half][0].results[k++].n_items;
    const eval_item *item = &t->entries[half][0].results[k].items[i];
    return (policy_item){json_array_get(t->tasks[half][k]->items, item->index), k, i};
}

static const eval_item *find(const policy_trial *t, int half, const policy_item *at, size_t entry) {
    return &t->entries[half][entry].results[at->task].items[at->place];
}

const json_t *policy_sample(const policy_trial *t, int half, const policy_item *at, size_t entry) {
    return find(t, half, at, entry)->sample;
}

double policy_right(const policy_trial *t, int half, const policy_item *at, size_t entry) {
    const eval_item *item = find(t, half, at, entry);
    return item->done && item->counts[0].of[0] > 0;
}

double policy_seconds(const policy_trial *t, int half, const policy_item *at, size_t entry) {
    const eval_result *r = &t->entries[half][entry].results[at->task];
    return r->n_done ? r->seconds / (double)r->n_done : 0;
}

/* --- the table --- */

hone_status policy_add(policy_table *t, const char *name) {
    policy *p = &t->policies[t->n_policies++];
    *p = (policy){.name = name, .right = mem_calloc(t->n_items + 1, sizeof(double)),
                  .seconds = mem_calloc(t->n_items + 1, sizeof(double))};
    return p->right && p->seconds ? HONE_OK : mem_fail("policies", t->n_items * sizeof(double));
}

void policy_table_release(policy_table *t) {
    for (size_t i = 0; i < t->n_policies; i++) {
        mem_free(t->policies[i].right);
        mem_free(t->policies[i].seconds);
    }
    *t = (policy_table){.n_policies = 0};
}

static hone_status differ(estimate *out, const double *a, const double *b, size_t n,
                          uint64_t seed) {
    double *d = mem_calloc(n, sizeof *d);
    if (!d) return mem_fail("differences", n * sizeof *d);
    for (size_t i = 0; i < n; i++) d[i] = a[i] - b[i];
    hone_status status = stats_bootstrap_mean(out, d, n, seed);
    mem_free(d);
    return status;
}

hone_status policy_judge(policy_table *t, uint64_t seed) {
    const policy *first = &t->policies[0];
    if (t->n_items == 0) return fail(HONE_ERR_ARGUMENT, "no items are held out");
    for (size_t i = 0; i < t->n_policies; i++) {
        policy *p = &t->policies[i];
        size_t n_right = 0;
        for (size_t k = 0; k < t->n_items; k++) {
            n_right += p->right[k] > 0;
            p->mean_seconds += p->seconds[k] / (double)t->n_items;
        }
        p->share = stats_wilson(n_right, t->n_items);
        if (i == 0) continue;
        TRY(differ(&t->differences[i].right, first->right, p->right, t->n_items, seed));
        TRY(differ(&t->differences[i].seconds, first->seconds, p->seconds, t->n_items, seed));
    }
    return HONE_OK;
}

static json_t *estimate_json(const estimate *e) {
    return json_pack("{s:f, s:f, s:f}", "value", e->value, "low", e->low, "high", e->high);
}

json_t *policy_table_to_json(const policy_table *t) {
    json_t *policies = json_array(), *differences = json_array();
    for (size_t i = 0; i < t->n_policies; i++) {
        const policy *p = &t->policies[i];
        json_array_append_new(policies,
                              json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", p->name, "right",
                                        p->share.value, "low", p->share.low, "high", p->share.high,
                                        "seconds", p->mean_seconds));
        if (i == 0) continue;
        json_array_append_new(differences,
                              json_pack("{s:s, s:s, s:o, s:o}", "a", t->policies[0].name, "b",
                                        p->name, "right", estimate_json(&t->differences[i].right),
                                        "seconds", estimate_json(&t->differences[i].seconds)));
    }
    return json_pack("{s:I, s:o, s:o}", "n", (json_int_t)t->n_items, "policies", policies,
                     "differences", differences);
}

/* --- kept --- */

static hone_status store_policy(const policy_table *t, const policy *p, results *r, int64_t id) {
    char condition[160];
    snprintf(condition, sizeof condition, "policy=%s", p->name);
    const result_metric rows[] = {
        {.name = "accuracy", .condition = condition, .unit = "share", .value = p->share.value,
         .low = p->share.low, .high = p->share.high, .n = t->n_items, .better = 1},
        {.name = "seconds", .condition = condition, .unit = "s", .value = p->mean_seconds,
         .low = NAN, .high = NAN, .n = t->n_items, .better = -1}};
    return results_add_metrics(r, id, rows, 2);
}

static hone_status store_difference(const policy_table *t, size_t i, results *r, int64_t id) {
    char condition[320];
    const estimate *right = &t->differences[i].right, *seconds = &t->differences[i].seconds;
    snprintf(condition, sizeof condition, "a=%s b=%s", t->policies[0].name, t->policies[i].name);
    const result_metric rows[] = {
        {.name = "accuracy difference", .condition = condition, .unit = "share",
         .value = right->value, .low = right->low, .high = right->high, .n = t->n_items,
         .better = 1},
        {.name = "seconds difference", .condition = condition, .unit = "s",
         .value = seconds->value, .low = seconds->low, .high = seconds->high, .n = t->n_items,
         .better = -1}};
    return results_add_metrics(r, id, rows, 2);
}

hone_status policy_store(const policy_table *t, results *r, int64_t id) {
    for (size_t i = 0; i < t->n_policies; i++) TRY(store_policy(t, &t->policies[i], r, id));
    for (size_t i = 1; i < t->n_policies; i++) TRY(store_difference(t, i, r, id));
    return HONE_OK;
}
