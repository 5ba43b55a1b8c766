/* The meter for speeds: text models in this process.
 *
 * decode: tokens/s of one answer behind a prompt, sampled as the model recommends, a seed for
 * each round (so that drafts of n-grams meet ordinary text); the same call that answers
 * questions. ttft: reading a prompt until its first token is chosen. throughput: as many
 * requests as there are slots, prompts and answers together, in tokens written a second. No
 * answer ends before its time.
 *
 * Each configuration has its own sessions; models are mapped once however often they are open. */
#ifndef LAB_TUNE_SPEED_H
#define LAB_TUNE_SPEED_H

#include "lab/tune.h"

typedef struct tune_speed tune_speed;

typedef struct tune_speed_settings {
    tune_goal goal;            /* not TUNE_QUALITY */
    const char *const *models; /* names, files or folders; borrowed */
    size_t n_models;
    size_t n_prompt;           /* tokens that are read first; 0 = what suits the goal */
    uint64_t memory;           /* bytes for the process; 0 = no limit */
    double max_loss; /* most that the perplexity of a text of our own may grow beside the first
                      * model's with an F16 cache: 0.02 is 2 %; negative = whatever */
    bool (*go_on)(void *context); /* asked between tokens; may be NULL */
    void *context;
} tune_speed_settings;

hone_status tune_speed_open(tune_speed **out, const tune_speed_settings *settings);
void tune_speed_close(tune_speed *s); /* NULL is allowed */

/* Runs once to see how long it takes, and chooses how many tokens a run writes (reads), so that
 * so many runs fit into the time. */
hone_status tune_speed_choose_work(tune_speed *s, const tune_config *baseline, double budget_ms,
                                   size_t n_runs);
size_t tune_speed_work(const tune_speed *s);
void tune_speed_set_work(tune_speed *s, size_t n_tokens); /* as chosen before an interruption */

/* Belongs to `s`. */
tune_meter tune_speed_meter(tune_speed *s);

#endif
