/* The path from the baseline to the best, as a table and as JSON. */
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/tune.h"

enum { MAX_VALUE = 80 };

/* "threads 2 → 1" */
static const char *change_text(char text[2 * MAX_VALUE + 32], const tune *t, const tune_step *s) {
    char from[MAX_VALUE], to[MAX_VALUE];
    tune_value_text(from, sizeof from, s->knob, s->from, t->space->models);
    tune_value_text(to, sizeof to, s->knob, s->to, t->space->models);
    snprintf(text, 2 * MAX_VALUE + 32, "%s %s → %s", tune_knob_name(s->knob), from, to);
    return text;
}

static json_t *number(double x) { return isnan(x) ? json_null() : json_real(x); }

/* --- JSON --- */

static json_t *step_json(const tune *t, const tune_step *s) {
    char change[2 * MAX_VALUE + 32];
    json_t *o = json_pack("{s:o, s:s, s:o, s:o, s:o, s:s, s:I}", "change",
                          cli_json_text(change_text(change, t, s)), "knob", tune_knob_name(s->knob),
                          "gain", number(s->gain.value), "low", number(s->gain.low), "high",
                          number(s->gain.high), "verdict", tune_verdict_name(s->verdict), "pairs",
                          (json_int_t)s->n_pairs);
    if (s->why[0]) json_object_set_new(o, "reason", cli_json_text(s->why));
    return o;
}

static json_t *config_json(const tune *t, const tune_config *c) {
    estimate e;
    json_t *o = tune_config_to_json(c, t->space->goal, t->space->models);
    if (tune_figure(t, c, &e) != HONE_OK) return o;
    json_object_set_new(o, "value", number(e.value));
    json_object_set_new(o, "low", number(e.low));
    json_object_set_new(o, "high", number(e.high));
    json_object_set_new(o, "unit", json_string(tune_goal_unit(t->space->goal)));
    return o;
}

json_t *tune_to_json(const tune_page *p) {
    const tune *t = p->t;
    json_t *path = json_array(), *reasons = json_array();
    for (size_t i = 0; i < t->n_steps; i++) json_array_append_new(path, step_json(t, &t->steps[i]));
    for (size_t i = 0; i < p->validity->n; i++)
        json_array_append_new(reasons, json_string(p->validity->reasons[i].words));
    json_t *all = json_pack("{s:o, s:o, s:o, s:s, s:I}", "gain", number(t->gain.value), "low",
                            number(t->gain.low), "high", number(t->gain.high), "verdict",
                            !t->withdrawn && tune_same(&t->baseline, &t->best)
                                ? tune_verdict_name(TUNE_NO_EFFECT) : tune_verdict_name(t->verdict),
                            "pairs", (json_int_t)t->n_pairs);
    return json_pack(
        "{s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:I, s:I, s:b, s:b, s:o, s:b, s:o}", "goal",
        tune_goal_name(t->space->goal), "task", p->task, "baseline", config_json(t, &t->baseline),
        "best", config_json(t, &t->best), "all", all, "path", path, "profile",
        p->profile ? cli_json_text(p->profile) : json_null(), "budget_s", p->budget_ms / 1000,
        "seconds", t->spent_ms / 1000, "runs", (json_int_t)t->n_runs, "tokens_per_run",
        (json_int_t)p->n_tokens, "complete", !t->cancelled, "resumed", p->resumed, "unmet",
        p->unmet ? cli_json_text(p->unmet) : json_null(), "valid", p->validity->n == 0, "reasons",
        reasons);
}

/* --- the page --- */

static void add_gain(cli_table *table, const tune *t, const estimate *g) {
    const bool points = t->meter->scores;
    if (isnan(g->value)) {
        cli_table_add(table, " ");
        cli_table_add(table, " ");
        return;
    }
    cli_table_add(table, points ? "%+.3f" : "%+.1f %%", points ? g->value : 100 * g->value);
    if (points) cli_table_add(table, "%+.3f to %+.3f", g->low, g->high);
    else cli_table_add(table, "%+.1f to %+.1f %%", 100 * g->low, 100 * g->high);
}

static int print_path(const tune *t) {
    static const char *const headers[] = {"change", "gain", "95 % interval", "verdict"};
    char change[2 * MAX_VALUE + 32];
    cli_table table;
    cli_table_init(&table, "lrll", headers);
    for (size_t i = 0; i < t->n_steps; i++) {
        const tune_step *s = &t->steps[i];
        cli_table_add(&table, "%s", change_text(change, t, s));
        add_gain(&table, t, &s->gain);
        if (s->verdict == TUNE_BETTER) cli_table_add(&table, "better: taken");
        else if (s->why[0] && s->verdict == TUNE_NOT_ALLOWED) cli_table_add(&table, "%s", s->why);
        else cli_table_add(&table, "%s", tune_verdict_name(s->verdict));
    }
    if (t->withdrawn || !tune_same(&t->baseline, &t->best)) {
        cli_table_add(&table, "all together");
        add_gain(&table, t, &t->gain);
        cli_table_add(&table, "%s%s", tune_verdict_name(t->verdict),
                      t->withdrawn ? ": withdrawn" : "");
    }
    return cli_table_print(&table);
}

static void print_figure(const tune *t, const char *name, const tune_config *c) {
    estimate e;
    bool share = t->meter->scores;
    if (tune_figure(t, c, &e) != HONE_OK || isnan(e.value)) return;
    printf("%-9s %.*f %s (%.*f to %.*f)\n", name, share ? 3 : 1, e.value,
           tune_goal_unit(t->space->goal), share ? 3 : 1, e.low, share ? 3 : 1, e.high);
}

int tune_print_page(const tune_page *p) {
    const tune *t = p->t;
    printf("%s for %s%s%s: %zu runs", t->space->models[t->baseline.model],
           tune_goal_name(t->space->goal), p->task ? " on " : "", p->task ? p->task : "",
           t->n_runs);
    if (p->n_tokens) printf(" of %zu tokens", p->n_tokens);
    printf(" in %.0f of %.0f s\n\n", t->spent_ms / 1000, p->budget_ms / 1000);
    int code = print_path(t);
    if (code != CLI_OK) return code;
    printf("\n");
    print_figure(t, "baseline", &t->baseline);
    if (t->withdrawn) printf("best      the baseline: together the changes are no better\n");
    else if (tune_same(&t->baseline, &t->best))
        printf("best      the baseline: nothing tried is measurably better\n");
    else print_figure(t, "best", &t->best);
    if (p->profile)
        printf("profile   %s\n"
               "          (hone run and hone serve take it; --no-profile leaves it)\n", p->profile);
    record_print_doubts(p->validity);
    return CLI_OK;
}

/* --- the database --- */

static result_metric figure_metric(const tune *t, const char *condition, const estimate *e,
                                   size_t n) {
    static const char *const names[] = {"decode", "ttft", "throughput", "score"};
    tune_goal goal = t->space->goal;
    return (result_metric){.name = names[goal], .condition = condition,
                           .unit = tune_goal_unit(goal), .value = e->value, .low = e->low,
                           .high = e->high, .n = n,
                           .better = goal == TUNE_TTFT ? -1 : 1};
}

hone_status tune_store(const tune *t, results *db, int64_t id) {
    result_metric metrics[TUNE_N_KNOBS + 3];
    char changes[TUNE_N_KNOBS][2 * MAX_VALUE + 48], change[2 * MAX_VALUE + 32];
    estimate e[2];
    size_t n = 0;
    TRY(tune_figure(t, &t->baseline, &e[0]));
    TRY(tune_figure(t, &t->best, &e[1]));
    if (!isnan(e[0].value)) metrics[n++] = figure_metric(t, "settings=baseline", &e[0], t->n_runs);
    if (!isnan(e[1].value)) metrics[n++] = figure_metric(t, "settings=best", &e[1], t->n_runs);
    for (size_t i = 0; i < t->n_steps; i++) {
        const tune_step *s = &t->steps[i];
        if (isnan(s->gain.value)) continue;
        snprintf(changes[i], sizeof changes[i], "change=%s", change_text(change, t, s));
        metrics[n++] = (result_metric){.name = "gain", .condition = changes[i], .unit = "share",
                                       .value = s->gain.value, .low = s->gain.low,
                                       .high = s->gain.high, .n = s->n_pairs, .better = 1};
    }
    if (!isnan(t->gain.value))
        metrics[n++] = (result_metric){.name = "gain", .condition = "change=all together",
                                       .unit = "share", .value = t->gain.value, .low = t->gain.low,
                                       .high = t->gain.high, .n = t->n_pairs, .better = 1};
    return n ? results_add_metrics(db, id, metrics, n) : HONE_OK;
}
