#include "lab/result_diff.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define LEVEL 0.05

const char *diff_verdict_name(diff_verdict verdict) {
    static const char *const names[] = {"not distinguishable", "better", "worse", "different",
                                        "no interval", "not comparable"};
    return names[verdict];
}

/* --- metrics --- */

diff_verdict diff_compare(const result_metric *a, const result_metric *b) {
    if (isnan(a->low) || isnan(a->high) || isnan(b->low) || isnan(b->high)) return DIFF_UNKNOWN;
    if (a->low <= b->high && b->low <= a->high) return DIFF_SAME;
    if (a->better == 0) return DIFF_OTHER;
    return (b->value > a->value) == (a->better > 0) ? DIFF_BETTER : DIFF_WORSE;
}

/* What is right or wrong, and how much memory it takes, does not depend on the machine. */
static bool depends_on_machine(const result_metric *m) {
    static const char *const units[] = {"tokens/s", "ms",      "s",    "1/s",
                                        "J/token",  "bytes/s", "ops/s"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!strcmp(m->unit, units[i])) return true;
    }
    return false;
}

static bool same_hash(const char *a, const char *b) {
    return !strcmp(a ? a : "", b ? b : "");
}

void diff_judge_pair(validity *v, const result_metric *a, const machine_description *on_a,
                     const result_metric *b, const machine_description *on_b) {
    if (depends_on_machine(a) && strcmp(on_a->fingerprint, on_b->fingerprint) != 0) {
        validity_doubt(v, VALIDITY_NOT_COMPARABLE,
                       "times of two machines: %.60s with %d cores (%s) and %.60s with %d cores "
                       "(%s)",
                       on_a->cpu, on_a->n_cores, on_a->fingerprint, on_b->cpu, on_b->n_cores,
                       on_b->fingerprint);
    }
    if (!same_hash(a->items_hash, b->items_hash)) {
        validity_doubt(v, VALIDITY_NOT_COMPARABLE, "%s%s%s was measured on other items", a->name,
                       *a->condition ? " at " : "", a->condition);
    }
}

static hone_status compare_metrics(result_diff *d, const stored_result *a, const stored_result *b) {
    d->rows = mem_calloc(a->n_metrics + 1, sizeof *d->rows);
    if (!d->rows) return mem_fail("a comparison", a->n_metrics * sizeof *d->rows);
    for (size_t i = 0; i < a->n_metrics; i++) {
        const result_metric *m = &a->metrics[i];
        const result_metric *n = result_find_metric(b, m->name, m->condition);
        validity pair = {.n = 0};
        if (!n) continue;
        diff_judge_pair(&pair, m, &a->machine, n, &b->machine);
        d->rows[d->n_rows++] = (diff_row){
            .a = m, .b = n, .ratio = m->value != 0 ? n->value / m->value : NAN,
            .verdict = pair.n ? DIFF_NOT_COMPARABLE : diff_compare(m, n)};
        for (size_t k = 0; k < pair.n; k++) {
            validity_doubt(&d->doubts, pair.reasons[k].code, "%s", pair.reasons[k].words);
        }
    }
    if (d->n_rows == 0) {
        validity_doubt(&d->doubts, VALIDITY_NOT_COMPARABLE, "they have no metric in common");
    }
    return HONE_OK;
}

/* --- items --- */

typedef struct scored {
    char *key; /* task, a NUL, id */
    size_t task_bytes;
    double score;
    bool is_verdict;
} scored;

typedef struct scored_list {
    scored *items;
    size_t n;
} scored_list;

static hone_status add_scored(void *context, const result_item *item) {
    scored_list *list = context;
    bool right = item->verdict && !strcmp(item->verdict, "right");
    bool wrong = item->verdict && !strcmp(item->verdict, "wrong");
    if (isnan(item->score) && !right && !wrong) return HONE_OK;
    if ((list->n & (list->n - 1)) == 0) {
        scored *larger = mem_realloc(list->items, list->n ? 2 * list->n : 1, sizeof *larger);
        if (!larger) return mem_fail("items to compare", list->n * sizeof *larger);
        list->items = larger;
    }
    size_t task_bytes = strlen(item->task), id_bytes = strlen(item->id);
    char *key = mem_alloc(task_bytes + id_bytes + 2);
    if (!key) return mem_fail("items to compare", task_bytes + id_bytes);
    memcpy(key, item->task, task_bytes + 1);
    memcpy(key + task_bytes + 1, item->id, id_bytes + 1);
    list->items[list->n++] = (scored){key, task_bytes, isnan(item->score) ? right : item->score,
                                      right || wrong};
    return HONE_OK;
}

static void release_scored(scored_list *list) {
    for (size_t i = 0; i < list->n; i++) mem_free(list->items[i].key);
    mem_free(list->items);
}

static int compare_keys(const scored *a, const scored *b) {
    int tasks = strcmp(a->key, b->key);
    return tasks ? tasks : strcmp(a->key + a->task_bytes + 1, b->key + b->task_bytes + 1);
}

/* The pairs of one task: d[i] = score b − score a. */
typedef struct pairing {
    double *differences;
    size_t n;
    bool all_verdicts;
    diff_task task;
} pairing;

static hone_status close_task(result_diff *d, pairing *p) {
    diff_task *t = &p->task;
    if (p->n == 0 || d->n_tasks == DIFF_MAX_TASKS) return HONE_OK;
    diff_task *tasks = mem_realloc(d->tasks, d->n_tasks + 1, sizeof *tasks);
    if (!tasks) return mem_fail("a comparison", sizeof *tasks);
    d->tasks = tasks;
    t->n = p->n;
    TRY(stats_bootstrap_mean(&t->difference, p->differences, p->n, DIFF_SEED));
    t->p = p->all_verdicts ? stats_mcnemar(t->only_a, t->only_b) : NAN;
    tasks[d->n_tasks++] = *t;
    return HONE_OK;
}

static void open_task(pairing *p, const char *task) {
    p->n = 0;
    p->all_verdicts = true;
    p->task = (diff_task){.n = 0};
    snprintf(p->task.task, sizeof p->task.task, "%s", task);
}

/* Both lists are in the order of task and id. */
static hone_status pair_up(result_diff *d, pairing *p, const scored_list *a, const scored_list *b) {
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        const scored *x = &a->items[i], *y = &b->items[k];
        int order = compare_keys(x, y);
        if (order < 0) i++;
        if (order > 0) k++;
        if (order != 0) continue;
        if (p->n == 0 || strncmp(p->task.task, x->key, sizeof p->task.task - 1) != 0) {
            TRY(close_task(d, p));
            open_task(p, x->key);
        }
        p->differences[p->n++] = y->score - x->score;
        p->all_verdicts = p->all_verdicts && x->is_verdict && y->is_verdict;
        p->task.only_a += x->score > y->score;
        p->task.only_b += y->score > x->score;
        i++, k++;
    }
    return close_task(d, p);
}

static hone_status compare_items(result_diff *d, results *r, const stored_result *a,
                                 const stored_result *b) {
    scored_list x = {.n = 0}, y = {.n = 0};
    pairing p = {.n = 0};
    if (a->kind != b->kind || a->kind == RESULT_LOAD || !a->n_items || !b->n_items) return HONE_OK;
    hone_status status = results_each_item(r, a->id, add_scored, &x);
    if (status == HONE_OK) status = results_each_item(r, b->id, add_scored, &y);
    if (status == HONE_OK) {
        p.differences = mem_calloc(x.n + 1, sizeof *p.differences);
        status = p.differences ? pair_up(d, &p, &x, &y) : mem_fail("items to compare", x.n * 8);
    }
    mem_free(p.differences);
    release_scored(&x);
    release_scored(&y);
    return status;
}

/* Tests of several tasks are corrected together; without a test the interval decides. */
static hone_status judge_tasks(result_diff *d) {
    double p[DIFF_MAX_TASKS];
    size_t n = 0;
    for (size_t i = 0; i < d->n_tasks; i++) {
        if (!isnan(d->tasks[i].p)) p[n++] = d->tasks[i].p;
    }
    if (n > 0) TRY(stats_holm(p, p, n));
    n = 0;
    for (size_t i = 0; i < d->n_tasks; i++) {
        diff_task *t = &d->tasks[i];
        if (!isnan(t->p)) t->p = p[n++];
        bool differs = isnan(t->p) ? t->difference.low > 0 || t->difference.high < 0 : t->p < LEVEL;
        t->verdict = !differs ? DIFF_SAME : t->difference.value > 0 ? DIFF_BETTER : DIFF_WORSE;
    }
    return HONE_OK;
}

/* --- all of it --- */

static void judge_both(result_diff *d, const stored_result *a, const stored_result *b) {
    const stored_result *both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < both[i]->validity.n; k++) {
            const validity_reason *reason = &both[i]->validity.reasons[k];
            validity_doubt(&d->doubts, reason->code, "result %lld: %s", (long long)both[i]->id,
                           reason->words);
        }
    }
    if (a->kind != b->kind) {
        validity_doubt(&d->doubts, VALIDITY_NOT_COMPARABLE, "one is a %s, the other a %s",
                       result_kind_name(a->kind), result_kind_name(b->kind));
    }
}

hone_status result_diff_make(result_diff *d, results *r, const stored_result *a,
                             const stored_result *b) {
    *d = (result_diff){.n_rows = 0};
    TRY(compare_metrics(d, a, b));
    TRY(compare_items(d, r, a, b));
    TRY(judge_tasks(d));
    judge_both(d, a, b);
    return HONE_OK;
}

void result_diff_release(result_diff *d) {
    mem_free(d->rows);
    mem_free(d->tasks);
    *d = (result_diff){.n_rows = 0};
}

bool result_diff_holds(const result_diff *d) {
    if (validity_has(&d->doubts, VALIDITY_NOT_COMPARABLE) || d->n_rows == 0) return false;
    for (size_t i = 0; i < d->n_rows; i++) {
        diff_verdict verdict = d->rows[i].verdict;
        if (verdict != DIFF_SAME && verdict != DIFF_UNKNOWN) return false;
    }
    for (size_t i = 0; i < d->n_tasks; i++) {
        if (d->tasks[i].verdict != DIFF_SAME) return false;
    }
    return true;
}
