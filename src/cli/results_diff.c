#include "cli/results_diff.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "lab/report.h"

/* --- JSON --- */

static json_t *side(const result_metric *m) {
    return json_pack("{s:o, s:o, s:o, s:I}", "value", json_finite(m->value), "low",
                     json_finite(m->low), "high", json_finite(m->high), "n", (json_int_t)m->n);
}

json_t *results_diff_to_json(const result_diff *d, const stored_result *a, const stored_result *b) {
    json_t *metrics = json_array(), *tasks = json_array(), *doubts = json_array();
    for (size_t i = 0; i < d->n_rows; i++) {
        const diff_row *row = &d->rows[i];
        json_array_append_new(
            metrics, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:s}", "name", row->a->name,
                               "condition", row->a->condition, "unit", row->a->unit, "a",
                               side(row->a), "b", side(row->b), "ratio", json_finite(row->ratio),
                               "verdict", diff_verdict_name(row->verdict)));
    }
    for (size_t i = 0; i < d->n_tasks; i++) {
        const diff_task *t = &d->tasks[i];
        json_array_append_new(
            tasks, json_pack("{s:o, s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:s}", "task",
                             cli_json_text(t->task), "n", (json_int_t)t->n, "only_a",
                             (json_int_t)t->only_a, "only_b", (json_int_t)t->only_b, "difference",
                             t->difference.value, "low", t->difference.low, "high",
                             t->difference.high, "p", json_finite(t->p), "verdict",
                             diff_verdict_name(t->verdict)));
    }
    for (size_t i = 0; i < d->doubts.n; i++)
        json_array_append_new(doubts, json_string(d->doubts.reasons[i].words));
    return json_pack("{s:I, s:I, s:b, s:o, s:o, s:o}", "a", (json_int_t)a->id, "b",
                     (json_int_t)b->id, "comparable",
                     !validity_has(&d->doubts, VALIDITY_NOT_COMPARABLE), "metrics", metrics,
                     "tasks", tasks, "doubts", doubts);
}

/* --- tables --- */

static void add_value(cli_table *t, const result_metric *m) {
    report_text value, interval;
    const char *range = report_format_interval(&interval, m);
    cli_table_add(t, *range ? "%s  (%s)" : "%s%s", report_format_value(&value, m->value, m->unit),
                  range);
}

static int print_metrics(const result_diff *d) {
    static const char *const headers[] = {"metric", "condition", "first",
                                          "second", "ratio",     "verdict"};
    cli_table t;
    if (d->n_rows == 0) return CLI_OK;
    cli_table_init(&t, "llrrrl", headers);
    for (size_t i = 0; i < d->n_rows; i++) {
        const diff_row *row = &d->rows[i];
        cli_table_add(&t, "%s", row->a->name);
        cli_table_add(&t, "%s", row->a->condition);
        add_value(&t, row->a);
        add_value(&t, row->b);
        if (isnan(row->ratio)) cli_table_add(&t, "%s", "");
        else cli_table_add(&t, "%.3f", row->ratio);
        cli_table_add(&t, "%s", diff_verdict_name(row->verdict));
    }
    return cli_table_print(&t);
}

static int print_tasks(const result_diff *d) {
    static const char *const headers[] = {
        "task",       "items", "only first", "only second",
        "difference", "95 %",  "p",          "verdict of the second"};
    cli_table t;
    if (d->n_tasks == 0) return CLI_OK;
    printf("\n");
    cli_table_init(&t, "lrrrrrrl", headers);
    for (size_t i = 0; i < d->n_tasks; i++) {
        const diff_task *k = &d->tasks[i];
        cli_table_add(&t, "%s", k->task);
        cli_table_add(&t, "%zu", k->n);
        cli_table_add(&t, "%zu", k->only_a);
        cli_table_add(&t, "%zu", k->only_b);
        cli_table_add(&t, "%+.4f", k->difference.value);
        cli_table_add(&t, "%+.4f to %+.4f", k->difference.low, k->difference.high);
        if (isnan(k->p)) cli_table_add(&t, "%s", "");
        else cli_table_add(&t, "%.4f", k->p);
        cli_table_add(&t, "%s", diff_verdict_name(k->verdict));
    }
    return cli_table_print(&t);
}

static void print_name(const char *place, const stored_result *r) {
    report_text subject, time;
    char *name = cli_printable(report_format_subject(&subject, r));
    printf("%s  %lld: %s of %s, %s UTC\n", place, (long long)r->id, result_kind_name(r->kind),
           name ? name : "", report_format_time(&time, r->started_ms));
    mem_free(name);
}

int results_print_diff_tables(const result_diff *d, const stored_result *a,
                              const stored_result *b) {
    print_name("first ", a);
    print_name("second", b);
    printf("\n");
    int code = print_metrics(d);
    if (code == CLI_OK) code = print_tasks(d);
    if (d->doubts.n) printf("\nDo not rely on this comparison:\n");
    for (size_t i = 0; i < d->doubts.n; i++) printf("  %s\n", d->doubts.reasons[i].words);
    return code;
}

int results_print_diff(results *r, int64_t first, int64_t second, bool json) {
    stored_result a = {.id = 0}, b = {.id = 0};
    result_diff d = {.n_rows = 0};
    hone_status status = results_get(r, first, &a);
    if (status == HONE_OK) status = results_get(r, second, &b);
    if (status == HONE_OK) status = result_diff_make(&d, r, &a, &b);
    int code = status != HONE_OK ? cli_fail(status)
               : json            ? cli_print_json(results_diff_to_json(&d, &a, &b), false)
                                 : results_print_diff_tables(&d, &a, &b);
    result_diff_release(&d);
    result_release(&a);
    result_release(&b);
    return code;
}
