/* Two results beside each other: what changed, whether that is more than chance, and what speaks
 * against comparing them at all. */
#ifndef LAB_RESULT_DIFF_H
#define LAB_RESULT_DIFF_H

#include "base/stats.h"
#include "lab/results.h"

typedef enum diff_verdict {
    DIFF_SAME,      /* the intervals meet: not distinguishable */
    DIFF_BETTER,    /* the second is better */
    DIFF_WORSE,
    DIFF_OTHER,     /* it differs, and neither is better */
    DIFF_UNKNOWN,   /* no interval, so nothing can be said */
    DIFF_NOT_COMPARABLE
} diff_verdict;

const char *diff_verdict_name(diff_verdict verdict); /* "not distinguishable", "better", … */

/* A metric that both have. */
typedef struct diff_row {
    const result_metric *a, *b; /* of the results that were compared */
    double ratio;               /* b / a; NAN where a is 0 */
    diff_verdict verdict;
} diff_row;

/* A task whose items both have: paired by id. */
typedef struct diff_task {
    char task[64];
    size_t n;              /* items that both have a score for */
    size_t only_a, only_b; /* right in the one only */
    estimate difference;   /* mean score of b minus that of a; paired bootstrap */
    double p;              /* McNemar's exact test where the items are right or wrong, corrected for
                              the number of such tasks (Holm); else NAN */
    diff_verdict verdict;
} diff_task;

enum { DIFF_SEED = 1, DIFF_MAX_TASKS = 64 };

typedef struct result_diff {
    diff_row *rows;
    size_t n_rows;
    diff_task *tasks;
    size_t n_tasks;
    validity doubts; /* VALIDITY_NOT_COMPARABLE and why; or that one of the two is itself invalid */
} result_diff;

/* Release it in any case. The results must outlive it. */
hone_status result_diff_make(result_diff *d, results *r, const stored_result *a,
                             const stored_result *b);
void result_diff_release(result_diff *d);

/* Whether a result holds when it was measured again: nothing that can be compared differs. A doubt
 * about their being comparable is no yes. */
bool result_diff_holds(const result_diff *d);

/* --- parts --- */

/* What speaks against comparing these two: speeds of other machines, other items. */
void diff_judge_pair(validity *v, const result_metric *a, const machine_description *on_a,
                     const result_metric *b, const machine_description *on_b);
diff_verdict diff_compare(const result_metric *a, const result_metric *b);

#endif
