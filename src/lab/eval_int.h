/* The parts of a run: eval.c draws items, adds up and judges the run; the others ask and judge
 * items of a kind, and note in each what came out. */
#ifndef LAB_EVAL_INT_H
#define LAB_EVAL_INT_H

#include "base/buf.h"
#include "lab/eval.h"

typedef struct eval_run_state {
    eval_result *r;
    subject *s;
    const task *t;
    const eval_settings *settings;
    bool cancelled;
} eval_run_state;

/* Each fills figures' names and metrics, and the items. HONE_ERR_CANCELLED ends the run with what
 * is done. */
hone_status eval_run_choices(eval_run_state *run);
hone_status eval_run_answers(eval_run_state *run);
hone_status eval_run_speech(eval_run_state *run);

void eval_add_figure(eval_result *r, const char *name, const metric *m);

/* The item's object in the task. */
const json_t *eval_json(const eval_run_state *run, const eval_item *item);

/* Says how far the work is; HONE_ERR_CANCELLED where it shall end. */
hone_status eval_tell(eval_run_state *run, const char *doing, size_t n_done, size_t n);

/* The prompt with its shots; *text is freed with mem_free. `chat`: of the user's turn. */
hone_status eval_prompt(const eval_run_state *run, const char *form, const json_t *item,
                        char **text);

/* "A", "B", …; for forms. */
const char *eval_label(size_t index);

/* The members {choice} and {label} for a form; NULL when memory is short. */
json_t *eval_choice_members(const char *choice, size_t index);

/* --- judging an answer: score_of_kind --- */

/* One answer beside its item: fills the counts of a figure and adds to the sample what was seen. */
hone_status eval_judge(const eval_run_state *run, eval_item *item, size_t direction,
                       const char *answer);

/* The programs of TASK_CODE and TASK_CRUX (eval_code.c). `passed` and, in the sample, why not. */
hone_status eval_judge_code(const eval_run_state *run, eval_item *item, const char *answer);
hone_status eval_judge_crux(const eval_run_state *run, eval_item *item, size_t direction,
                            const char *answer);
/* A hone_answer_check; `user` is an eval_code_check. The program of the task's `check`, which holds
 * what the prompt shows and nothing of the tests: 1 if it passes, else 0 and what it said. */
typedef struct eval_code_check {
    const eval_run_state *run;
    size_t index; /* the item in the task */
} eval_code_check;
hone_status eval_check_answer(void *user, const char *text, double *score, char **fault);

/* HONE_ERR_UNSUPPORTED where programs of the task cannot be run safely here. */
hone_status eval_check_code(const task *t);

#endif
