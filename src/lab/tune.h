/* Which settings of a model are best on this machine, within a time: knob after knob.
 *
 *     tune_space_init(&space, &wish);
 *     tune_init(&t, &space, &baseline, &meter);
 *     status = tune_run(&t, budget_ms);
 *     ... t.steps[0 … t.n_steps), t.best ...
 *     tune_release(&t);
 *
 * For each knob the values that it could have instead race beside the present one (lab/race.h).
 * One that is better, with an interval that excludes zero, is taken, and the next knob starts
 * from there. In the end the best meets the baseline once more in fresh runs: the gain of all
 * steps together.
 *
 * Nothing is measured here. A meter does that: real ones are in tune_speed.h and tune_quality.h,
 * one that remembers across interruptions in tune_journal.h, tests bring their own. */
#ifndef LAB_TUNE_H
#define LAB_TUNE_H

#include "base/json.h"
#include "hone/hone.h"
#include "lab/race.h"

typedef enum tune_goal { TUNE_DECODE, TUNE_TTFT, TUNE_THROUGHPUT, TUNE_QUALITY } tune_goal;

/* In the order of tune_goal, for option tables; and one of them. */
#define TUNE_GOALS "decode|ttft|throughput|quality"
const char *tune_goal_name(tune_goal goal);
const char *tune_goal_unit(tune_goal goal); /* of values as people read them:
                                             * "tokens/s", "ms", "share" */

/* --- settings --- */

typedef struct tune_config {
    size_t model;   /* which of those that were named */
    int n_threads;
    size_t n_slots; /* answers at once */
    size_t prefill_chunk, n_context;
    hone_kv_type kv;
    bool exact;
    bool copied; /* weights in memory of the process's own, instead of mapped */
    size_t n_draft; /* tokens drafted at a time from n-grams of the text; 0 = no drafts */
    hone_sampling sampling; /* biases are not used */
} tune_config;

/* What can be turned, in the order in which it is. */
typedef enum tune_knob {
    TUNE_MODEL, TUNE_SLOTS, TUNE_THREADS, TUNE_CHUNK, TUNE_DRAFT, TUNE_KV, TUNE_WEIGHTS,
    TUNE_CONTEXT,
    TUNE_TEMPERATURE, TUNE_TOP_P, TUNE_TOP_K, TUNE_MIN_P, TUNE_REPEAT_PENALTY, TUNE_EXACT,
    TUNE_N_KNOBS
} tune_knob;

const char *tune_knob_name(tune_knob knob); /* "threads", "prefill chunk", … */
double tune_get(const tune_config *c, tune_knob knob);
void tune_set(tune_config *c, tune_knob knob, double value);

/* A knob's value as people read it ("2", "q8_0", "off"); `models` are the names given. */
void tune_value_text(char *text, size_t n, tune_knob knob, double value, const char *const *models);

/* All of it: {"model": …, "threads": …, …}, without what the goal does not touch; NULL when
 * memory is short. And as one line, the same for the same settings. */
json_t *tune_config_to_json(const tune_config *c, tune_goal goal, const char *const *models);
enum { TUNE_MAX_LINE = 320 };
void tune_config_line(char line[TUNE_MAX_LINE], const tune_config *c);

/* --- what is tried --- */

enum { TUNE_MAX_VALUES = 8, TUNE_MAX_MODELS = 8 };

typedef struct tune_choice {
    tune_knob knob;
    double values[TUNE_MAX_VALUES];
    size_t n;
} tune_choice;

typedef struct tune_space {
    tune_goal goal;
    const char *models[TUNE_MAX_MODELS]; /* borrowed */
    size_t n_models;
    tune_choice choices[TUNE_N_KNOBS];
    size_t n_choices;
} tune_space;

/* What is worth trying for that goal from these settings on; n_processors = that may be used,
 * hardware threads included; n_users = who ask at once. Set goal, models and n_models before. */
void tune_space_fill(tune_space *s, const tune_config *baseline, int n_processors, size_t n_users);

/* --- measuring --- */

/* Where a run stands: the n-th race (a knob's place in the space, and beyond TUNE_AGAIN its
 * second race; TUNE_FINAL: the last one, of the best beside the baseline), and its round. */
enum { TUNE_FINAL = TUNE_N_KNOBS, TUNE_AGAIN = TUNE_FINAL + 1 };
typedef struct tune_place {
    size_t race, round;
} tune_place;

typedef struct tune_meter {
    void *context;
    /* values[n_values], more is better: logarithms of speeds, or with `scores` those of items. */
    hone_status (*measure)(void *context, const tune_config *c, tune_place place, double *values);
    double (*clock)(void *context); /* milliseconds */
    /* Whether these settings meet what is demanded; if not, `why` says so ("needs 2.1 GiB"). May be
     * NULL. */
    hone_status (*allow)(void *context, const tune_config *c, bool *allowed, char why[96]);
    size_t n_values;
    bool scores;
    size_t n_rounds, n_final_rounds; /* with work for them; 0 = no end */
    double guess_ms;                 /* how long a run takes */
} tune_meter;

/* --- what came out --- */

typedef enum tune_verdict {
    TUNE_BETTER, TUNE_WORSE, TUNE_NO_EFFECT, TUNE_UNSETTLED, /* as race_verdict */
    TUNE_NOT_ALLOWED /* nothing else met what is demanded */
} tune_verdict;

const char *tune_verdict_name(tune_verdict v);

typedef struct tune_step {
    tune_knob knob;
    double from, to; /* `to`: the value that was left at the end of its race */
    estimate gain;   /* as a share of the speed (0.1: a tenth faster),
                      * or of the score as a difference */
    size_t n_pairs;
    tune_verdict verdict;
    char why[96];    /* of TUNE_NOT_ALLOWED */
} tune_step;

/* All runs of one configuration, warm-ups left out. */
typedef struct tune_samples {
    tune_config config;
    double *values; /* [n] speeds in the goal's unit, or scores of items */
    size_t n;
} tune_samples;

typedef struct tune tune;
struct tune {
    const tune_space *space;
    const tune_meter *meter;
    tune_config baseline, best;
    tune_step steps[TUNE_N_KNOBS];
    size_t n_steps;
    /* Of what all steps together made beside `baseline`, in fresh runs; NAN and UNSETTLED where
     * no step was taken, or where time was short. Where it is no better, the steps are
     * withdrawn: the machine was not the same during their races. */
    estimate gain;
    size_t n_pairs;
    tune_verdict verdict;
    tune_samples *samples;
    size_t n_samples, n_runs;
    bool cancelled, withdrawn; /* withdrawn: `best` is the baseline again */
    double spent_ms;
    /* Hears of each run before it begins; false ends the work, and there is what there is. May
     * be NULL. */
    bool (*observe)(void *context, const tune *t, const char *doing, double left_ms);
    void *context;
    double deadline; /* on the meter's clock, while it runs */
};

void tune_init(tune *t, const tune_space *space, const tune_config *baseline,
               const tune_meter *meter);
void tune_release(tune *t);

/* HONE_OK also when it was cancelled. Errors: those of the meter, HONE_ERR_MEMORY. */
hone_status tune_run(tune *t, double budget_ms);

/* The figure of a configuration that ran, in the goal's unit: the median with its interval
 * (scores: the mean). NAN where it did not run. HONE_ERR_MEMORY. */
hone_status tune_figure(const tune *t, const tune_config *c, estimate *out);

bool tune_same(const tune_config *a, const tune_config *b);

/* How many runs are planned for all of it: budgets are cut by it. */
size_t tune_planned_runs(const tune_space *space);

#endif
