/* Several models, quantisations or strategies beside each other: speed, memory and quality in one
 * table, and for each pair whether they differ.
 *
 *     compare_run(&c, &settings);
 *     ... c.entries[i].results[t], c.verdicts[0 … c.n_verdicts) ...
 *     compare_release(&c);
 *
 * Every entry answers the same items, so that each comparison is paired. The p values of all pairs and
 * tasks are corrected together (Holm). "Not distinguishable" is a verdict, with the number of items
 * that would be needed for a difference like the one that was seen. */
#ifndef LAB_COMPARE_H
#define LAB_COMPARE_H

#include "lab/bench.h"
#include "lab/eval.h"

enum { COMPARE_MAX_ENTRIES = 32, COMPARE_MAX_TASKS = 16 };

/* One that takes part. The first fields are the caller's, borrowed. */
typedef struct compare_entry {
    const char *label;    /* as it is shown; unique */
    const char *model;    /* name, file or folder */
    const char *strategy; /* NULL = one draw an item */
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

typedef struct compare_settings {
    task *const *tasks; /* [n_tasks], borrowed until the comparison is released */
    size_t n_tasks;
    eval_settings eval; /* of every task; observe and context are not used */
    int n_threads;
    hone_kv_type kv;
    bool exact;
    size_t n_context;   /* 0 = the model's own */
    bool measure_speed; /* a short benchmark of each model (not of each strategy) */
    bool all_pairs;     /* else each entry beside the first one only */
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
    bool cancelled;
} comparison;

/* Set entries and n_entries before. Release it in any case. */
hone_status compare_run(comparison *c, const compare_settings *settings);

/* The verdicts alone, where the entries' results and the settings are there already. */
hone_status compare_judge(comparison *c);
void compare_release(comparison *c);

/* {"rows": […], "verdicts": […]} with the fields of docs/compare.md; NULL when memory is short. */
json_t *compare_to_json(const comparison *c);

/* Everything as metrics and items of a result. */
hone_status compare_store(const comparison *c, results *r, int64_t id);

#endif
