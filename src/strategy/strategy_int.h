/* The inside of strategies: what each name stands for, and what an expression is made of. */
#ifndef STRATEGY_INT_H
#define STRATEGY_INT_H

#include "strategy/run.h"

/* Exactly one of the functions is there, the one of info.kind. `n` is the number of draws. */
typedef struct strategy_def {
    hone_strategy_info info;
    const char *aliases; /* other names, parted by spaces; or NULL */
    /* Answers r->prompt and sets r->best. */
    hone_status (*program)(strategy_run *r, size_t n);
    /* Changes the run's prompt; the question stays in it. `n` is the number behind the name. */
    hone_status (*transform)(strategy_run *r, size_t n);
    /* Draws answers to r->prompt: the draws from *first on. */
    hone_status (*sample)(strategy_run *r, size_t n, size_t *first);
    /* Picks one of draws[n], all of them whole. */
    hone_status (*select)(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);
} strategy_def;

extern const strategy_def strategy_defs[];
extern const size_t n_strategy_defs;

enum { MAX_TRANSFORMS = 4, MAX_BRANCHES = 8 };

/* A name with what stands behind it. */
typedef struct strategy_word {
    const strategy_def *def;
    size_t n;   /* 0 = it takes none */
    double bar; /* likewise */
} strategy_word;

typedef struct strategy_branch {
    strategy_word transforms[MAX_TRANSFORMS];
    size_t n_transforms;
    strategy_word main; /* a program or a sampler; its def NULL while it is read */
    const strategy_def *selector; /* behind a sampler */
} strategy_branch;

struct hone_strategy {
    strategy_branch branches[MAX_BRANCHES];
    size_t n_branches;
    const strategy_def *selector; /* of several branches */
    char *models[HONE_MAX_OTHERS]; /* behind "with" */
    size_t n_models;
    char *text;
};

/* --- samplers (sampling.c) --- */

/* The request's sampling where it is random enough for draws to differ, else temperature 0.7,
 * top_p 0.95, min_p 0.05. */
hone_sampling varied_sampling(const strategy_run *r);
hone_status sample_alike(strategy_run *r, size_t n, size_t *first);
hone_status sample_ladder(strategy_run *r, size_t n, size_t *first);

/* --- selectors (select.c) --- */

hone_status select_first(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);
hone_status select_vote(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);
hone_status select_check(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);
hone_status select_rating(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);
hone_status select_p_true(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);
hone_status select_certainty(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);
hone_status select_weighted(strategy_run *r, const size_t *draws, size_t n, size_t *chosen);

/* P(True) of draws[n] into their scores, NaN where nothing was said; asked of the judge: the first
 * further model where there is one, else the request's own. */
hone_status score_p_true(strategy_run *r, const size_t *draws, size_t n);

/* The vote of draws[n] with weights[n] (NULL = 1 each): the table into the result, and the first
 * draw that gave the winning answer; the first of all where no answer could be read. */
hone_status vote_weighted(strategy_run *r, const size_t *draws, const double *weights, size_t n,
                          size_t *chosen);

/* The draws first … that are whole, into draws[] (room for all of the trace). */
size_t whole_draws(strategy_run *r, size_t first, size_t *draws);

/* Picks one of the draws from `first` on by `select`; the best there is where none is whole: one
 * that was cut, else any that has a text. */
hone_status run_select(strategy_run *r, size_t first,
                       hone_status (*select)(strategy_run *, const size_t *, size_t, size_t *));

/* --- transforms (shape.c, examples.c) --- */

hone_status shape_re2(strategy_run *r, size_t n);
hone_status shape_steps(strategy_run *r, size_t n);
hone_status shape_expert(strategy_run *r, size_t n);
hone_status shape_structure(strategy_run *r, size_t n);
hone_status shape_shots(strategy_run *r, size_t n);
hone_status shape_nearest(strategy_run *r, size_t n);

/* A prompt that shows the texts of draws[n] and then asks for something. The question stands in
 * front, so that all such prompts share their beginning. */
hone_status show_answers(chat *prompt, strategy_run *r, const size_t *draws, size_t n,
                         const char *task);

/* A vote under way, of the draws from `first` on; the user of vote_is_open. */
typedef struct election {
    size_t first, n_planned;
    bool alike; /* the draws are of one kind, so that a clear lead speaks for those to come */
} election;

/* A run_watch: whether there is anything left to decide. */
bool vote_is_open(strategy_run *r, size_t draw, void *user);

/* Votes so far; n_ended counts the draws that will give no other. */
hone_status vote_count(strategy_run *r, const election *e, hone_vote **votes, size_t *n_votes,
                       size_t *n_ended);

/* --- programs --- */

hone_status program_none(strategy_run *r, size_t n);
hone_status program_sc(strategy_run *r, size_t n);
hone_status program_cisc(strategy_run *r, size_t n);
hone_status program_bon(strategy_run *r, size_t n);
hone_status program_deepconf(strategy_run *r, size_t n);
hone_status program_cot_decode(strategy_run *r, size_t n);
hone_status program_moa(strategy_run *r, size_t n);
hone_status program_rsa(strategy_run *r, size_t n);
hone_status program_pvg(strategy_run *r, size_t n);
hone_status program_leap(strategy_run *r, size_t n);
hone_status program_plansearch(strategy_run *r, size_t n);
hone_status program_think_cap(strategy_run *r, size_t n);
hone_status program_reflection(strategy_run *r, size_t n);
hone_status program_code_bon(strategy_run *r, size_t n);
hone_status program_retry(strategy_run *r, size_t n);
hone_status program_round_trip(strategy_run *r, size_t n);
hone_status program_rstar(strategy_run *r, size_t n);
hone_status program_ensemble(strategy_run *r, size_t n);
hone_status program_verify(strategy_run *r, size_t n);
hone_status program_cascade(strategy_run *r, size_t n);
hone_status program_chain(strategy_run *r, size_t n);

#endif
