/* Better prompts for a task: instructions, examples and their order, tried on one half of its
 * items and judged on the other.
 *
 *     prompt_tuning p;
 *     status = prompt_tune(&p, subject, task, &(prompt_tune_settings){.seed = 1});
 *     ... p.best, p.verdict.difference ...
 *     prompt_tuning_release(&p);
 *
 * A prompt that was found by trying many fits the items it was tried on; so the gain is told on
 * items that no try has seen, beside the task's own prompt on the same items, with the paired
 * interval of lab/compare.h. docs/prompts.md has the procedure. */
#ifndef LAB_PROMPT_TUNE_H
#define LAB_PROMPT_TUNE_H

#include "lab/compare.h"

enum { PROMPT_MAX_TRIES = 32, PROMPT_MAX_SHOTS = 16 };

/* What stands before the task's own prompt. */
typedef struct prompt_variant {
    const char *instruction; /* NULL = none */
    size_t n_shots;          /* examples from the training half, answered; 0 = as the task says */
    uint64_t draw;           /* which ones: the seed that they are drawn by */
    size_t turn;             /* their order: the turn-th comes first, those before it last */
    bool nearest;            /* those that resemble each question instead of a draw of them */
} prompt_variant;

/* The instructions that tuning tries, in their order; NULL behind the last one. */
const char *prompt_instruction(size_t i);

/* Whether examples can be made of the task's items: choices and numbers, where the task has no
 * examples of its own. */
bool prompt_takes_shots(const task *t);

/* Whether some can be told to be nearer than others: its items have a "question". */
bool prompt_takes_nearest(const task *t);

/* Zero-initialise and set what you need. */
typedef struct prompt_tune_settings {
    size_t n_train, n_held_out; /* items of each half, drawn by the seed; 0 = all */
    uint64_t seed;              /* of the halves, of draws and of intervals */
    size_t max_tokens;          /* of an answer; 0 = as the task says */
    /* Hears what is done; false ends the work with HONE_ERR_CANCELLED. May be NULL. */
    bool (*observe)(void *context, const char *doing, size_t n_done, size_t n);
    void *context;
} prompt_tune_settings;

typedef struct prompt_try {
    prompt_variant variant;
    estimate e; /* on the training half; intervals as in lab/eval.h */
} prompt_try;

typedef struct prompt_half {
    json_t *items; /* array, in the order of the draw */
    task task;     /* the caller's, with these items */
} prompt_half;

/* Cuts a task's items, shuffled by the seed, into two halves. The items of both are released by
 * json_decref in any case. HONE_ERR_ARGUMENT for fewer than 8. */
hone_status prompt_split(prompt_half *train, prompt_half *held_out, const task *t, uint64_t seed);

typedef struct prompt_tuning {
    prompt_variant best; /* of the tries; all zero = the task's own prompt */
    prompt_try tries[PROMPT_MAX_TRIES];
    size_t n_tries;
    prompt_half train, held_out;
    compare_entry entries[2]; /* on the held-out half: the task's own prompt, and `best` */
    bool is_judged;           /* `best` is another prompt, and this is what it gains: */
    compare_verdict verdict;  /* of entries[1] beside entries[0] */
} prompt_tuning;

/* Searches: the instructions first, then with the best one examples and their order; what is not
 * better than the simpler one is not taken. Release `p` in any case. HONE_ERR_ARGUMENT for a task
 * with fewer than 8 items; errors of eval_run. */
hone_status prompt_tune(prompt_tuning *p, subject *s, const task *t,
                        const prompt_tune_settings *settings);

/* One variant beside the task's own prompt, on the held-out half. */
hone_status prompt_test(prompt_tuning *p, subject *s, const task *t, const prompt_variant *variant,
                        const prompt_tune_settings *settings);
void prompt_tuning_release(prompt_tuning *p);

/* The prompt of the first item held out as it is sent (of the user's turn where `chat`); freed with
 * mem_free. */
hone_status prompt_show(char **text, const task *t, const prompt_variant *variant, bool chat,
                        uint64_t seed);

#endif
