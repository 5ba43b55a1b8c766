/* How well a model does a task: every item asked, judged and kept; figures with intervals.
 *
 *     eval_result r;
 *     status = eval_run(&r, subject, task, &(eval_settings){.seed = 1});
 *     ... r.figures[0].e.value, .low, .high ...
 *     eval_result_release(&r);
 *
 * What makes the figures doubtful is kept as reasons (lab/validity.h): empty answers, answers cut
 * by the limit of tokens, truncated contexts, failed requests, a run that did not
 * come to its end. */
#ifndef LAB_EVAL_H
#define LAB_EVAL_H

#include "lab/metric.h"
#include "lab/results.h"
#include "lab/subject.h"
#include "lab/task.h"
#include "lab/validity.h"

enum { EVAL_MAX_FIGURES = 4, EVAL_MAX_GROUPS = 128, EVAL_MAX_REPEAT = 1000 };

typedef enum eval_prompting { EVAL_AS_TASK = 0, EVAL_PLAIN, EVAL_CHAT } eval_prompting;

/* Zero-initialise and set what you need. */
typedef struct eval_settings {
    size_t limit;   /* items, drawn without replacement by the seed; 0 = all */
    size_t skip;    /* of the drawn ones the first so many are left out */
    uint64_t seed;  /* of the draw and of the bootstrap */
    eval_prompting prompting;
    bool by_answer; /* choices are shown with letters and one is asked for, instead of scored */
    size_t max_tokens; /* of an answer; 0 = as the task says */
    const hone_sampling *sampling; /* of answers, with its seed; borrowed. NULL = greedy */
    size_t repeat;  /* answers to each item, each with random numbers of its own; 0 = 1. An interval
                     * then speaks of these items, and not of others like them */
    uint32_t stream; /* another one: other random numbers for the same items */
    /* Hears what is done; false ends the run, which then holds what there is. May be NULL. */
    bool (*observe)(void *context, const char *doing, size_t n_done, size_t n);
    void *context;
} eval_settings;

/* One item. */
typedef struct eval_item {
    size_t index; /* in the task */
    size_t draw;  /* which of its answers, from 0 */
    bool done;
    metric_counts counts[EVAL_MAX_FIGURES];
    json_t *sample; /* prompt, output, verdict: an object; NULL until it is done */
} eval_item;

typedef struct eval_figure {
    const char *name; /* "accuracy", "accuracy_per_byte", "output", … */
    const metric *metric;
    estimate e;
    size_t n;
} eval_figure;

/* The first figure for the items with one value of the task's `group`. */
typedef struct eval_group {
    const char *name; /* belongs to the task */
    estimate e;
    size_t n;
} eval_group;

typedef struct eval_result {
    const task *task;         /* borrowed */
    eval_settings settings;
    eval_item *items;         /* in the task's order, the answers to one side by side */
    size_t n_items, n_done;
    eval_figure figures[EVAL_MAX_FIGURES];
    size_t n_figures;
    eval_group *groups;
    size_t n_groups;
    bool chat;                /* whether the model's template was used */
    double seconds, answer_seconds; /* in all; until the answers were there, without judging them */
    size_t n_prompt_tokens, n_tokens; /* read, and written; 0 = not known */
    size_t n_draws;                   /* made for the answers; more than one each with a strategy */
    size_t n_empty, n_cut, n_truncated, n_failed;
    validity validity;
} eval_result;

/* Release the result in any case. HONE_ERR_UNSUPPORTED where the subject cannot do what the task
 * needs, or where there is no sandbox for its programs; HONE_ERR_FORMAT for items that lack
 * something; HONE_ERR_ARGUMENT where `repeat` would give the same answers again (greedy, or scored
 * without an answer). A run that `observe` ended is HONE_OK, and marked. */
hone_status eval_run(eval_result *r, subject *s, const task *t, const eval_settings *settings);
void eval_result_release(eval_result *r);

/* One object: name, n, metric, value, interval, hashes, settings, counts, reasons. NULL when memory
 * is short. */
json_t *eval_result_to_json(const eval_result *r);

/* Its figures as metrics of the stored result ("task=…", and for groups "group=… task=…"), each
 * item with its sample. Errors of lab/results.h. */
hone_status eval_store(const eval_result *r, results *db, int64_t id);

#endif
