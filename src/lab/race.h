/* Which of several contestants is better than the one that holds the place, within a time.
 *
 * First all alternatives run beside the incumbent, a few rounds at a time, and the slower half
 * leaves after each stage (successive halving: Jamieson and Talwalkar, 2016). The one that is
 * left then meets the incumbent in fresh rounds, whose number is fixed before the first one:
 * what chose it does not count for it, and nobody looks whether it is enough. Every round runs
 * each contestant once, side by side on the same work, so that differences are paired and a slow
 * minute of the machine meets all; who comes first takes turns. The first run of each is for
 * warm-up and is not counted.
 *
 * Knows nothing of what is measured, and has no clock of its own, so that it can be tried with
 * numbers. */
#ifndef LAB_RACE_H
#define LAB_RACE_H

#include <stdbool.h>

#include "base/stats.h"

enum {
    RACE_MAX_CONTESTANTS = 16,
    RACE_MAX_VALUES = 32,
    RACE_STAGE_ROUNDS = 2,
    RACE_LEAST_PAIRS = 8,  /* fewer give no verdict */
    RACE_MOST_PAIRS = 24,
    RACE_PLANNED_PAIRS = 12, /* what budgets reckon with */
};

typedef struct race {
    size_t n; /* contestants, 2 … RACE_MAX_CONTESTANTS; 0 is the incumbent */
    /* One run: values[n_values], more is better; value i of a round is of the same work for all.
     * Rounds count from 0, which is the warm-up. HONE_ERR_CANCELLED ends the race. */
    hone_status (*measure)(void *context, size_t contestant, size_t round, double *values);
    size_t n_values;     /* 1 … RACE_MAX_VALUES */
    size_t most_rounds;  /* for which there is work, warm-up included; 0 = no end */
    bool by_mean; /* differences are summed up by their mean (scores of items), else by the median
                   * (logarithms of speeds) */
    double least;        /* a smaller gain is no gain */
    double (*clock)(void *context); /* milliseconds */
    double deadline;     /* on that clock; no run is begun that would pass it, as far as is known */
    double guess_ms;     /* how long a run takes, before anything is known; > 0 */
    void *context;
} race;

typedef enum race_verdict { RACE_BETTER, RACE_WORSE, RACE_NO_EFFECT, RACE_UNSETTLED } race_verdict;

/* "better", "worse", "no measurable effect", "not settled" */
const char *race_verdict_name(race_verdict v);

typedef struct race_result {
    size_t best;   /* the alternative that was left */
    estimate gain; /* its values minus the incumbent's, with a 95 % interval;
                    * NAN where there is none */
    size_t n_pairs;
    race_verdict verdict; /* UNSETTLED: the time was too short */
} race_result;

/* How many runs a race of n contestants is planned to take. */
size_t race_runs(size_t n);

/* Fills *out on success. Errors: those of `measure`, HONE_ERR_MEMORY. */
hone_status race_run(const race *r, race_result *out);

/* The verdict that belongs to differences' summary; `n` pairs. */
race_verdict race_judge(const estimate *gain, size_t n, double least);

#endif
