/* Ways of choosing who answers, compared on the same items: what each would have got right, and how
 * long it would have taken.
 *
 * A way of choosing that was found by looking at items fits these; so a task's items are cut into a
 * half to learn from and a half held out, on which the figures are told (lab/prompt_tune.h). */
#ifndef ROUTE_POLICY_H
#define ROUTE_POLICY_H

#include "lab/compare.h"
#include "lab/prompt_tune.h"

enum { POLICY_MAX = 4, POLICY_LEARNT = 0, POLICY_HELD_OUT = 1 };

/* --- the answers --- */

/* Every contender's answers to both halves of every task. Zero-initialise. */
typedef struct policy_trial {
    prompt_half halves[2][COMPARE_MAX_TASKS];
    task *tasks[2][COMPARE_MAX_TASKS];
    compare_entry entries[2][COMPARE_MAX_ENTRIES];
    compare_settings settings[2];
    comparison done[2];
    size_t n_entries, n_tasks;
} policy_trial;

/* Runs them all; of the settings the limit is that of both halves together; speeds are measured
 * once. Release the trial in any case. HONE_ERR_UNSUPPORTED for a task whose figure is no share of
 * right answers, HONE_ERR_CANCELLED, and errors of compare_run. */
hone_status policy_trial_run(policy_trial *t, const compare_entry *entries, size_t n_entries,
                             const compare_settings *settings);
void policy_trial_release(policy_trial *t);

/* Items of a half, over all tasks. */
size_t policy_trial_items(const policy_trial *t, int half);

/* One item of a half, as all contenders have answered it. */
typedef struct policy_item {
    const json_t *item;   /* of the task */
    size_t task, place;   /* place: in the results */
} policy_item;

policy_item policy_trial_item(const policy_trial *t, int half, size_t i);
const json_t *policy_sample(const policy_trial *t, int half, const policy_item *at, size_t entry);
double policy_right(const policy_trial *t, int half, const policy_item *at,
                    size_t entry); /* 0 or 1 */

/* The mean for an item of its task: items are answered side by side. */
double policy_seconds(const policy_trial *t, int half, const policy_item *at, size_t entry);

/* --- the table --- */

typedef struct policy {
    const char *name;        /* borrowed */
    double *right, *seconds; /* [n_items] */
    estimate share;          /* of right answers (Wilson) */
    double mean_seconds;
} policy;

typedef struct policy_table {
    policy policies[POLICY_MAX];
    size_t n_policies, n_items;
    /* [n_policies]: the first policy minus that one; paired bootstrap. The first is all zero. */
    struct {
        estimate right, seconds;
    } differences[POLICY_MAX];
} policy_table;

/* A policy more, with arrays for n_items. HONE_ERR_MEMORY. */
hone_status policy_add(policy_table *t, const char *name);
hone_status policy_judge(policy_table *t, uint64_t seed);
void policy_table_release(policy_table *t);

/* {"n", "policies": [{name, right, low, high, seconds}], "differences": [{a, b, right {value, low,
 * high}, seconds {…}}]}; NULL when memory is short. */
json_t *policy_table_to_json(const policy_table *t);

/* As metrics of a kept result: of each policy "accuracy" and "seconds" ("policy=auto"), of each
 * difference "accuracy difference" and "seconds difference" ("a=auto b=oracle"). */
hone_status policy_store(const policy_table *t, results *r, int64_t id);

#endif
