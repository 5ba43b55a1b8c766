/* What a comparison's entries differ in,
 * and which strategies are worth their cost (lab/compare.h). */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "lab/compare.h"

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

const char *compare_use_name(compare_use u) {
    switch (u) {
    case COMPARE_USE: return "use";
    case COMPARE_DO_NOT_USE: return "do not use";
    case COMPARE_UNKNOWN: return "not distinguishable";
    }
    return "unknown";
}

/* --- one pair --- */


/* The counts of the items that both have done, side by side. */
static size_t pair_items(const eval_result *a, const eval_result *b, metric_counts *of_a,
                         metric_counts *of_b) {
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->n_items && k < b->n_items;) {
        const eval_item *x = &a->items[i], *y = &b->items[k];
        if (x->index < y->index || (x->index == y->index && x->draw < y->draw)) i++;
        else if (x->index > y->index || x->draw > y->draw) k++;
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

/* --- which pairs --- */

/* Whether entry a is compared with entry b. */
static bool stands_beside(const comparison *c, size_t a, size_t b) {
    const compare_entry *x = &c->entries[a], *y = &c->entries[b];
    switch (x->role) {
    case COMPARE_MODEL: return y->role == COMPARE_MODEL && b < a;
    case COMPARE_NONE: return y->role == COMPARE_NONE && b < a;
    case COMPARE_ONE_DRAW:
    case COMPARE_CONTROL: return b == x->base;
    case COMPARE_STRATEGY: return b == x->base || y->role == COMPARE_INSTEAD;
    case COMPARE_INSTEAD: return b == 0 && y->role == COMPARE_NONE;
    }
    return false;
}

static bool has_result(const comparison *c, size_t entry, size_t t) {
    return c->entries[entry].n_results > t;
}

static hone_status judge_task(comparison *c, size_t t) {
    for (size_t b = 0; b < c->n_entries; b++)
        for (size_t a = 0; a < c->n_entries; a++) {
            if (!stands_beside(c, a, b) || !has_result(c, a, t) || !has_result(c, b, t)) continue;
            c->verdicts[c->n_verdicts] = (compare_verdict){.a = a, .b = b, .task = t};
            TRY(judge_pair(c, &c->verdicts[c->n_verdicts++]));
        }
    return HONE_OK;
}

/* --- cost and advice --- */

double compare_seconds_an_item(const eval_result *r) {
    return r->n_done ? r->answer_seconds / (double)r->n_done : NAN;
}

double compare_tokens_an_item(const eval_result *r) {
    return r->n_done ? (double)(r->n_prompt_tokens + r->n_tokens) / (double)r->n_done : NAN;
}

/* What stands against the strategy: its base, and what costs no more. */
static bool counts_against(const comparison *c, const compare_verdict *v, const compare_advice *x) {
    const compare_entry *e = &c->entries[x->entry], *other = &c->entries[v->b];
    if (v->a != x->entry || v->task != x->task) return false;
    if (v->b == e->base) return true;
    return compare_seconds_an_item(&other->results[v->task]) <=
           compare_seconds_an_item(&e->results[v->task]);
}

static void advise(const comparison *c, compare_advice *x) {
    const compare_entry *e = &c->entries[x->entry];
    const eval_result *own = &e->results[x->task], *base = &c->entries[e->base].results[x->task];
    x->cost_tokens = compare_tokens_an_item(own) / compare_tokens_an_item(base);
    x->cost_seconds = compare_seconds_an_item(own) / compare_seconds_an_item(base);
    x->use = COMPARE_UNKNOWN;
    x->decided_by = SIZE_MAX;
    for (size_t i = 0; i < c->n_verdicts; i++) {
        const compare_verdict *v = &c->verdicts[i];
        if (!counts_against(c, v, x)) continue;
        if (v->b == e->base) x->n = v->n;
        bool decides = v->outcome == COMPARE_WORSE ||
                       (v->outcome == COMPARE_BETTER && v->b == e->base);
        if (!decides || x->use == COMPARE_DO_NOT_USE) continue;
        x->use = v->outcome == COMPARE_WORSE ? COMPARE_DO_NOT_USE : COMPARE_USE;
        x->decided_by = i;
    }
}

static hone_status advise_all(comparison *c) {
    c->advice = mem_calloc(c->n_entries * c->settings->n_tasks, sizeof *c->advice);
    if (!c->advice) return mem_fail("advice", c->n_entries * sizeof *c->advice);
    for (size_t e = 0; e < c->n_entries; e++)
        for (size_t t = 0; t < c->settings->n_tasks; t++) {
            if (c->entries[e].role != COMPARE_STRATEGY || !has_result(c, e, t) ||
                !has_result(c, c->entries[e].base, t)) continue;
            compare_advice *x = &c->advice[c->n_advice++];
            *x = (compare_advice){.entry = e, .task = t};
            advise(c, x);
        }
    return HONE_OK;
}

hone_status compare_judge(comparison *c) {
    const compare_settings *s = c->settings;
    size_t n = c->n_entries, most = n * n * s->n_tasks;
    if (n < 2 || most == 0) return HONE_OK;
    c->verdicts = mem_calloc(most, sizeof *c->verdicts);
    if (!c->verdicts) return mem_fail("verdicts", most * sizeof *c->verdicts);
    for (size_t t = 0; t < s->n_tasks; t++) TRY(judge_task(c, t));
    TRY(correct(c));
    return advise_all(c);
}

void compare_forget_verdicts(comparison *c) {
    mem_free(c->verdicts);
    mem_free(c->advice);
    c->verdicts = NULL;
    c->advice = NULL;
    c->n_verdicts = c->n_advice = 0;
}
