#include "cli/compare_page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"

typedef struct page {
    const comparison *c;
    bool markdown;
} page;

static int print_table(const page *p, cli_table *table) {
    return p->markdown ? cli_table_print_markdown(table) : cli_table_print(table);
}

/* Before each line of words: in Markdown they make a list. */
static const char *bullet(const page *p) { return p->markdown ? "* " : ""; }

static const char *task_name(const page *p, size_t t) { return p->c->settings->tasks[t]->name; }

static bool is_oracle(const eval_result *r) {
    return r->n_figures > 1 && !strcmp(r->figures[1].name, "oracle");
}

static void add_figure(cli_table *t, const eval_figure *f, bool valid) {
    if (isnan(f->e.value)) cli_table_add(t, "–");
    else cli_table_add(t, "%.3f (%.3f–%.3f)%s", f->e.value, f->e.low, f->e.high, valid ? "" : "*");
}

/* --- models --- */

static void add_speed(cli_table *t, const spread *s, bool valid) {
    if (s->n) cli_table_add(t, "%.1f%s", s->median, valid ? "" : "*");
    else cli_table_add(t, "–");
}

static double seconds_an_item(const compare_entry *e) {
    double seconds = 0;
    size_t n = 0;
    for (size_t t = 0; t < e->n_results; t++)
        seconds += e->results[t].answer_seconds, n += e->results[t].n_done;
    return n ? seconds / (double)n : 0;
}

static bool is_model(const compare_entry *e) {
    return e->role == COMPARE_MODEL || e->role == COMPARE_NONE || e->role == COMPARE_INSTEAD;
}

static int print_models(const page *p) {
    const size_t n_tasks = p->c->settings->n_tasks;
    const char *headers[8 + COMPARE_MAX_TASKS] = {"",       "type",    "size",
                                                  "memory", "prefill", "decode"};
    char align[9 + COMPARE_MAX_TASKS] = "llrrrr";
    size_t n = 6;
    for (size_t t = 0; t < n_tasks; t++, n++) headers[n] = task_name(p, t), align[n] = 'l';
    headers[n] = "s an item";
    align[n] = 'r';
    cli_table table;
    cli_text size, memory;
    cli_table_init(&table, align, headers);
    for (size_t i = 0; i < p->c->n_entries; i++) {
        const compare_entry *e = &p->c->entries[i];
        if (!is_model(e)) continue;
        cli_table_add(&table, "%s", e->label);
        cli_table_add(&table, "%s", e->quantisation);
        cli_table_add(&table, "%s", cli_format_bytes(&size, e->file_bytes));
        cli_table_add(&table, "%s", cli_format_bytes(&memory, e->memory_bytes));
        add_speed(&table, &e->prefill, e->speed_validity.n == 0);
        add_speed(&table, &e->decode, e->speed_validity.n == 0);
        for (size_t t = 0; t < n_tasks; t++) {
            const eval_result *r = &e->results[t];
            if (t < e->n_results && r->n_figures)
                add_figure(&table, &r->figures[0], r->validity.n == 0);
            else cli_table_add(&table, "–");
        }
        cli_table_add(&table, "%.2f", seconds_an_item(e));
    }
    return print_table(p, &table);
}

/* --- strategies --- */

/* The comparison with what the entry stands beside; NULL where there is none. */
static const compare_verdict *own_verdict(const comparison *c, size_t entry, size_t t) {
    for (size_t i = 0; i < c->n_verdicts; i++) {
        const compare_verdict *v = &c->verdicts[i];
        if (v->a == entry && v->task == t && v->b == c->entries[entry].base) return v;
    }
    return NULL;
}

static const compare_advice *own_advice(const comparison *c, size_t entry, size_t t) {
    for (size_t i = 0; i < c->n_advice; i++)
        if (c->advice[i].entry == entry && c->advice[i].task == t) return &c->advice[i];
    return NULL;
}

static void add_cost(cli_table *table, double own, double base) {
    if (base > 0 && isfinite(own / base)) cli_table_add(table, "%.1f", own / base);
    else cli_table_add(table, "–");
}

static void add_strategy(const page *p, cli_table *table, size_t i, size_t t) {
    const compare_entry *e = &p->c->entries[i];
    const eval_result *r = &e->results[t];
    const compare_verdict *v = own_verdict(p->c, i, t);
    const compare_advice *advice = own_advice(p->c, i, t);
    /* the cost of a draw is told beside the greedy answer, too */
    const compare_entry *base = &p->c->entries[e->role == COMPARE_CONTROL
                                                   ? p->c->entries[e->base].base : e->base];
    const eval_result *of_base = base->n_results > t ? &base->results[t] : r;
    cli_table_add(table, "%s", e->label);
    add_figure(table, &r->figures[0], r->validity.n == 0);
    if (v) cli_table_add(table, "%+.3f (%+.3f to %+.3f)", v->difference.value, v->difference.low,
                         v->difference.high);
    else cli_table_add(table, "–");
    if (v) cli_table_add(table, "%.3f", v->p_adjusted);
    else cli_table_add(table, "–");
    if (v && v->outcome == COMPARE_OPEN && v->n_needed > v->n)
        cli_table_add(table, "%zu", v->n_needed);
    else cli_table_add(table, "–");
    if (is_oracle(r)) cli_table_add(table, "%.3f", r->figures[1].e.value);
    else cli_table_add(table, "–");
    cli_table_add(table, "%.1f", (double)r->n_draws / (double)r->n_done);
    cli_table_add(table, "%.0f", compare_tokens_an_item(r));
    cli_table_add(table, "%.2f", compare_seconds_an_item(r));
    add_cost(table, compare_seconds_an_item(r), compare_seconds_an_item(of_base));
    cli_table_add(table, "%s", advice ? compare_use_name(advice->use)
                               : v    ? compare_outcome_name(v->outcome) : "");
}

static int print_strategies(const page *p, size_t t) {
    static const char *const headers[] = {"",        "accuracy", "difference", "p",
                                          "needed",  "oracle",   "draws",      "tokens",
                                          "seconds", "× one",    "verdict"};
    const eval_result *first = &p->c->entries[0].results[t];
    cli_table table;
    if (p->c->entries[0].n_results <= t) return CLI_OK;
    cli_table_init(&table, "lllrrrrrrrl", headers);
    for (size_t i = 0; i < p->c->n_entries; i++) {
        const compare_entry *e = &p->c->entries[i];
        if (e->n_results > t && e->results[t].n_done) add_strategy(p, &table, i, t);
    }
    printf("\n%s%s, %zu answers%s\n\n", p->markdown ? "### " : "", task_name(p, t), first->n_done,
           first->n_done < COMPARE_ENOUGH_ITEMS ? " (too few for more than a first sign)" : "");
    return print_table(p, &table);
}

static bool has_strategies(const comparison *c) {
    return c->n_entries && c->entries[0].role == COMPARE_NONE;
}

/* --- in words --- */

static void print_verdict(const page *p, const compare_verdict *v) {
    const compare_entry *a = &p->c->entries[v->a], *b = &p->c->entries[v->b];
    printf("%s%s: %s is ", bullet(p), task_name(p, v->task), a->label);
    if (v->outcome == COMPARE_OPEN) printf("not distinguishable from %s", b->label);
    else printf("%s than %s", compare_outcome_name(v->outcome), b->label);
    printf(" on %zu items: %+.3f (%+.3f to %+.3f), p = %.3f", v->n, v->difference.value,
           v->difference.low, v->difference.high, v->p_adjusted);
    if (b->role == COMPARE_INSTEAD)
        printf(", at %.2f s an item beside %.2f s", compare_seconds_an_item(&a->results[v->task]),
               compare_seconds_an_item(&b->results[v->task]));
    if (v->outcome == COMPARE_OPEN && v->n_needed > v->n)
        printf("; about %zu would be needed", v->n_needed);
    printf("\n");
}

static void print_doubt(const page *p, bool *any, const char *label, const char *of,
                        const validity *v) {
    for (size_t k = 0; k < v->n; k++, *any = true)
        printf("%s%s* %s, %s: %s\n", *any ? "" : "\n", p->markdown ? "* \\" : "", label, of,
               v->reasons[k].words);
}

static void print_doubts(const page *p) {
    bool any = false;
    for (size_t i = 0; i < p->c->n_entries; i++) {
        const compare_entry *e = &p->c->entries[i];
        print_doubt(p, &any, e->label, "speed", &e->speed_validity);
        for (size_t t = 0; t < e->n_results; t++)
            print_doubt(p, &any, e->label, e->results[t].task->name, &e->results[t].validity);
    }
}

static void print_notes(const comparison *c, bool strategies) {
    if (strategies)
        printf("\nDifferences are paired, to the same model's one answer (A/A: to one draw; "
               "instead: to the first row); p corrected for %zu comparisons (Holm); needed: items, "
               "for a difference of this size. Oracle: any draw is right. Tokens and seconds are "
               "of an answer, all that was computed; × one: seconds over those of one answer.\n\n",
               c->n_verdicts);
    else
        printf("\nSpeeds in tokens/s, tasks with 95 %% intervals; differences are paired, p "
               "corrected for %zu comparisons (Holm).\n\n", c->n_verdicts);
}

/* What the tables of strategies have not told. */
static bool is_in_words(const comparison *c, const compare_verdict *v, bool strategies) {
    return !strategies || c->entries[v->b].role == COMPARE_INSTEAD ||
           c->entries[v->a].role == COMPARE_NONE;
}

static bool tells_of_models(const comparison *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n_entries; i++)
        if (is_model(&c->entries[i])) n += 1 + c->entries[i].decode.n;
    return n > 1;
}

int compare_print(const comparison *c, bool markdown) {
    const page p = {c, markdown};
    const bool strategies = has_strategies(c);
    int code = tells_of_models(c) ? print_models(&p) : CLI_OK;
    for (size_t t = 0; strategies && t < c->settings->n_tasks && code == CLI_OK; t++)
        code = print_strategies(&p, t);
    print_notes(c, strategies);
    for (size_t i = 0; i < c->n_verdicts; i++)
        if (is_in_words(c, &c->verdicts[i], strategies)) print_verdict(&p, &c->verdicts[i]);
    print_doubts(&p);
    if (c->cancelled) printf("\nIt was ended before everything was done.\n");
    return code == CLI_OK ? cli_finish_output() : code;
}
