/* Several models, quantisations or strategies beside each other: speed, memory and quality in one
 * table, and for each pair whether they differ.
 *
 *     compare_run(&c, &settings);
 *     ... c.entries[i].results[t], c.verdicts[0 … c.n_verdicts) ...
 *     compare_release(&c);
 *
 * Every entry answers the same items, so that each comparison is paired. The p values of all pairs
 * and tasks are corrected together (Holm). "Not distinguishable" is a verdict, with the number of
 * items that would be needed for a difference like the one that was seen.
 *
 * Strategies stand beside one answer of the same model, and, where such entries are given, beside
 * what their cost could buy instead: one answer of a larger model or a finer quantisation. */
#ifndef LAB_COMPARE_H
#define LAB_COMPARE_H

#include "lab/bench.h"
#include "lab/eval.h"

enum { COMPARE_MAX_ENTRIES = 32, COMPARE_MAX_TASKS = 16 };

/* Below so many items a verdict on a strategy is a first sign. */
enum { COMPARE_ENOUGH_ITEMS = 200 };

/* What an entry is there for, and so what it is compared with. */
typedef enum compare_role {
    COMPARE_MODEL = 0, /* all others of this role */
    COMPARE_NONE,      /* one answer an item; all others of this role: the models */
    COMPARE_ONE_DRAW,  /* its base, a COMPARE_NONE that is greedier:
                        * one answer, drawn as strategies draw */
    COMPARE_CONTROL,   /* its base: several draws with other random numbers, of which the first is
                        * taken. An A/A comparison: differences are chance,
                        * or answers that were cut */
    COMPARE_STRATEGY,  /* its base and every COMPARE_INSTEAD */
    COMPARE_INSTEAD    /* the first COMPARE_NONE: one answer of what the cost could buy */
} compare_role;

/* One that takes part. The first fields are the caller's, borrowed. */
typedef struct compare_entry {
    const char *label;    /* as it is shown; unique */
    const char *model;    /* name, file or folder */
    const char *strategy; /* NULL = one draw an item, several items at once */
    compare_role role;
    size_t base;          /* index of another entry, where the role has one */
    /* Filled by compare_run. */
    char quantisation[16];
    uint64_t file_bytes, memory_bytes; /* memory: the most that was resident while it worked */
    spread prefill, decode;            /* tokens/s; n 0 = not measured */
    validity speed_validity;
    eval_result results[COMPARE_MAX_TASKS];
    size_t n_results; /* fewer than there are tasks where the run was ended */
} compare_entry;

typedef enum compare_outcome { COMPARE_BETTER, COMPARE_WORSE, COMPARE_OPEN } compare_outcome;

const char *compare_outcome_name(compare_outcome o); /* "better", "worse", "not distinguishable" */

/* Of entry a beside entry b on one task. */
typedef struct compare_verdict {
    size_t a, b, task;
    size_t n;             /* items that both have done */
    estimate difference;  /* metric of a − that of b: paired bootstrap */
    double p, p_adjusted; /* McNemar's exact test for shares, else from the bootstrap's width */
    compare_outcome outcome; /* better and worse are of quality, whichever way the metric runs */
    size_t n_needed;      /* for a difference of this size with power 0.8; 0 = none was seen, or it
                             cannot be told */
} compare_verdict;

/* Whether a strategy should be used with its model, as far as this task can tell. */
typedef enum compare_use { COMPARE_USE, COMPARE_DO_NOT_USE, COMPARE_UNKNOWN } compare_use;

const char *compare_use_name(compare_use u); /* "use", "do not use", "not distinguishable" */

/* "Use": better than the base, and not worse than something instead that costs no more. "Do not
 * use": worse than one of these. */
typedef struct compare_advice {
    size_t entry, task;
    compare_use use;
    size_t n;            /* items */
    size_t decided_by;   /* index of the verdict; SIZE_MAX = none decided */
    double cost_tokens, cost_seconds; /* over those of the base; NaN = not known */
} compare_advice;

typedef struct compare_settings {
    task *const *tasks; /* [n_tasks], borrowed until the comparison is released */
    size_t n_tasks;
    eval_settings eval; /* of every task; observe and context are not used */
    int n_threads;
    hone_kv_type kv;
    bool exact;
    size_t n_context;   /* 0 = the model's own */
    bool measure_speed; /* a short benchmark of each model (not of each strategy) */
    /* Hears what is done; false ends the work, and there is what there is. May be NULL. */
    bool (*observe)(void *context, const char *label, const char *doing, size_t n_done, size_t n);
    void *context;
} compare_settings;

typedef struct comparison {
    compare_entry *entries; /* the caller's */
    size_t n_entries;
    const compare_settings *settings;
    compare_verdict *verdicts;
    size_t n_verdicts;
    compare_advice *advice; /* one for each strategy and task */
    size_t n_advice;
    bool cancelled;
} comparison;

/* Set entries and n_entries before. Release it in any case. */
hone_status compare_run(comparison *c, const compare_settings *settings);

/* Verdicts and advice alone, where the entries' results and the settings are there already. */
hone_status compare_judge(comparison *c);
/* Gives back what compare_judge made; compare_release does so, too. */
void compare_forget_verdicts(comparison *c);
void compare_release(comparison *c);

/* Of one task: until the answers were there, and everything that was computed, over the items. */
double compare_seconds_an_item(const eval_result *r);
double compare_tokens_an_item(const eval_result *r);

/* {"rows": […], "verdicts": […]} with the fields of docs/compare.md; NULL when memory is short. */
json_t *compare_to_json(const comparison *c);

/* Everything as metrics and items of a result. */
hone_status compare_store(const comparison *c, results *r, int64_t id);

#endif
