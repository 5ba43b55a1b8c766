#include "cli/policies.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "route/cascade_bar.h"
#include "route/regret.h"

bool policy_options_are_set(const policy_options *o) { return o->route || o->cascade != CLI_UNSET; }

void policies_add_settings(const policy_options *o, json_t *settings) {
    if (o->route)
        json_object_set_new(settings, "route",
                            json_string(route_priority_name((route_priority)o->priority)));
    else if (o->cascade != CLI_UNSET)
        json_object_set_new(settings, "cascade", json_integer((json_int_t)o->cascade));
}

/* --- telling --- */

static int print_table(const policy_table *t) {
    static const char *const headers[] = {"who answers", "right", "95 % interval", "s an item"};
    cli_table table;
    cli_table_init(&table, "lrlr", headers);
    for (size_t i = 0; i < t->n_policies; i++) {
        const policy *p = &t->policies[i];
        cli_table_add(&table, "%s", p->name);
        cli_table_add(&table, "%.3f", p->share.value);
        cli_table_add(&table, "%.3f to %.3f", p->share.low, p->share.high);
        cli_table_add(&table, "%.3f", p->mean_seconds);
    }
    return cli_table_print(&table);
}

static void print_differences(const policy_table *t) {
    printf("\nOn the %zu items held out, with paired 95 %% intervals:\n", t->n_items);
    for (size_t i = 1; i < t->n_policies; i++) {
        const estimate *right = &t->differences[i].right, *seconds = &t->differences[i].seconds;
        printf("%s − %s: right %+.3f (%+.3f to %+.3f), seconds %+.3f (%+.3f to %+.3f)\n",
               t->policies[0].name, t->policies[i].name, right->value, right->low, right->high,
               seconds->value, seconds->low, seconds->high);
    }
}

static int print_regret(const regret *r, const policy_trial *t) {
    int code = print_table(&r->table);
    print_differences(&r->table);
    printf("always = %s;", t->entries[0][r->always].label);
    for (size_t i = 0; i < t->n_entries; i++)
        printf("%s %zu to %s", i ? "," : " auto sent", r->n_sent[i], t->entries[0][i].label);
    printf("\n");
    return code;
}

static int print_bar(const cascade_bar *b, const char *second) {
    static const char *const headers[] = {"bar", "right", "second asked", "s an item"};
    cli_table table;
    printf("On the half to learn from:\n");
    cli_table_init(&table, "rrrr", headers);
    for (size_t k = 0; k < b->n_draws; k++) {
        const cascade_try *y = &b->tries[k];
        cli_table_add(&table, "%s%.3g", k == b->best ? "→ " : "", y->bar);
        cli_table_add(&table, "%.3f", y->right);
        cli_table_add(&table, "%.0f %%", 100 * y->escalated);
        cli_table_add(&table, "%.3f", y->seconds);
    }
    int code = cli_table_print(&table);
    printf("\n");
    if (code == CLI_OK) code = print_table(&b->table);
    print_differences(&b->table);
    printf("--strategy \"cascade%zu@%g with %s\"; the second was asked for %.0f %% of them\n",
           b->n_draws, b->tries[b->best].bar, second, 100 * b->escalated);
    return code;
}

/* --- the two --- */

/* The table, and each model's answers to the items held out. `detail` is the object of --json. */
static void keep(record *kept, const policy_table *table, const policy_trial *t, json_t *detail) {
    RECORD(kept, policy_store(table, kept->db, kept->id));
    RECORD(kept, compare_store(&t->done[POLICY_HELD_OUT], kept->db, kept->id));
    record_finish(kept, NULL, detail);
}

static int run_regret(policy_trial *t, const policy_options *o, record *kept, bool json) {
    route_priority priority = (route_priority)o->priority;
    regret r;
    hone_status status = regret_measure(&r, t, priority, 0);
    int code = CLI_FAILED;
    if (status == HONE_OK) {
        json_t *detail = regret_to_json(&r, t, priority);
        keep(kept, &r.table, t, detail);
        code = json ? cli_print_json(json_incref(detail), false) : print_regret(&r, t);
        json_decref(detail);
    }
    regret_release(&r);
    return status == HONE_OK ? code : cli_fail(status);
}

static int run_cascade(policy_trial *t, const policy_options *o, const char *second, record *kept,
                       bool json) {
    cascade_bar *b = mem_calloc(1, sizeof *b);
    if (!b) return cli_fail(mem_fail("cascade", sizeof *b));
    hone_status status = cascade_bar_measure(b, t, (size_t)o->cascade);
    int code = CLI_FAILED;
    if (status == HONE_OK) {
        json_t *detail = cascade_bar_to_json(b, second);
        keep(kept, &b->table, t, detail);
        code = json ? cli_print_json(json_incref(detail), false) : print_bar(b, second);
        json_decref(detail);
    }
    cascade_bar_release(b);
    mem_free(b);
    return status == HONE_OK ? code : cli_fail(status);
}

int policies_run(const policy_options *o, const compare_entry *entries, size_t n,
                 const compare_settings *settings, record *kept, bool json) {
    char draws[32];
    compare_entry contenders[COMPARE_MAX_ENTRIES];
    compare_settings own = *settings;
    policy_trial *t = mem_calloc(1, sizeof *t);
    if (!t) return cli_fail(mem_fail("answers", sizeof *t));
    for (size_t i = 0; i < n; i++) contenders[i] = entries[i];
    if (!o->route) { /* the first model's draws, as the cascade would see them */
        snprintf(draws, sizeof draws, "sample%d & vote", (int)o->cascade);
        contenders[0].strategy = draws;
        own.eval.by_answer = true;
        own.measure_speed = false;
    }
    interrupt_arm(NULL);
    hone_status status = policy_trial_run(t, contenders, n, &own);
    interrupt_disarm();
    cli_progress_clear();
    int code = status != HONE_OK ? cli_fail(status)
               : o->route        ? run_regret(t, o, kept, json)
                                 : run_cascade(t, o, entries[1].model, kept, json);
    policy_trial_release(t);
    mem_free(t);
    return code;
}
