/* A strategy at work: what it may spend, the draws that it orders, the trace that they leave. */
#ifndef STRATEGY_RUN_H
#define STRATEGY_RUN_H

#include "base/status.h"
#include "hone/strategy.h"
#include "strategy/chat.h"
#include "strategy/draws.h"

enum { RUN_FIRST_TOP = 32, RUN_MAX_WINDOW = 2048 };

/* How far the most probable token was ahead of the second, in probability,
 * when a token was drawn. */
typedef struct token_margin {
    size_t end; /* bytes of the text with this token */
    double margin;
} token_margin;

/* What the trace does not show of a draw. */
typedef struct draw_detail {
    size_t n_first; /* alternatives to its first token, most probable first */
    int32_t first_ids[RUN_FIRST_TOP];
    double first_logprobs[RUN_FIRST_TOP];
    token_margin *margins; /* where they were ordered */
    size_t n_margins, margins_capacity;
    int32_t *tokens; /* all of it, where they were ordered */
    size_t n_tokens;
    bool closed_thought; /* it ended because of that */
} draw_detail;

typedef struct strategy_run {
    const hone_request *request;
    const hone_strategy_options *options;
    const draw_service *service;
    hone_strategy_result *result;
    draw_detail *details; /* [result->n_draws] */
    size_t capacity;
    chat prompt;          /* of the branch, transforms applied */
    size_t branch;
    double bar;           /* of the program at work */
    uint32_t n_sequences; /* random streams given out */
    double started_ms;
    size_t n_spent_tokens, n_ended; /* draws that have */
    bool killing;         /* the draws under way are no longer wanted */
    bool cancelled;       /* by the caller */
    bool streamed;        /* the caller has the answer's text already */
    size_t best;          /* the draw to return if nothing better comes; SIZE_MAX = none */
    char *text;           /* the answer, where it is not the whole text of `best` */
} strategy_run;

/* --- ordering draws --- */

/* Zero-initialise and set what differs. */
typedef struct draw_order {
    const char *stage;
    const chat *prompt;    /* NULL = the run's */
    size_t model;
    const hone_sampling *sampling; /* NULL = the request's, whose seed always counts */
    size_t max_tokens;     /* 0 = as the request says */
    bool free_form;        /* without the request's grammar and stop strings */
    hone_grammar *grammar; /* instead of the request's */
    bool streams;          /* its text is the answer: pieces go to the caller */
    size_t n_top;          /* alternatives looked at for each token, at most RUN_FIRST_TOP */
    size_t window;         /* tokens that its confidence is averaged over; 0 = not measured */
    double least_confidence; /* ends the draw where its confidence falls below; 0 = never */
    size_t think_tokens;   /* most tokens of thoughts; 0 = as the request says */
    bool margins;          /* keep them; n_top is at least 2 */
    const int32_t *forced; /* tokens that it begins with */
    size_t n_forced;
    const int32_t *begun;  /* tokens that stand before it already: it goes on with these */
    size_t n_begun;
    bool until_closed;     /* ends by itself once a thought is closed */
    bool keeps_tokens;
} draw_order;

/* Called when a draw of the stage has ended: false ends all others of it. */
typedef bool run_watch(strategy_run *r, size_t draw, void *user);

/* Draws orders[n] together, fewer where the budget says so, and waits for their end. They are the
 * draws *first … n_draws − 1 of the trace, in order. Those of one model run together, one model
 * after the other; where one of several fails, the others go on. `watch` may be NULL.
 * HONE_ERR_CANCELLED when the budget is spent or the caller wants no more; the trace is complete
 * then, too. */
hone_status run_draws(strategy_run *r, const draw_order *orders, size_t n, run_watch *watch,
                      void *user, size_t *first);

/* The failure of one model alone, where others may go on: neither short memory nor an end that
 * somebody asked for. */
bool run_fails_alone(hone_status status);

/* n draws to one prompt, alike but for their sampling: samplings[n], or NULL for the request's. */
hone_status run_alike(strategy_run *r, const draw_order *order, const hone_sampling *samplings,
                      size_t n, run_watch *watch, void *user, size_t *first);

/* One draw. */
hone_status run_draw(strategy_run *r, const draw_order *order, size_t *draw);

/* One draw to a conversation of its own, of which `text` is the only message. `sampling` may be
 * NULL. */
hone_status run_fresh(strategy_run *r, const char *label, const char *text,
                      const hone_sampling *sampling, size_t *draw);

/* --- reading them --- */

hone_draw *run_trace(strategy_run *r, size_t draw);

/* What it says behind its thoughts, whole or not; "" where there is nothing. */
const char *run_said(strategy_run *r, size_t draw);

/* It ended by itself and says something besides its thoughts. */
bool draw_is_whole(const hone_draw *d);

/* Reads the answers of the draws first … n − 1 that are whole. */
hone_status run_read_answers(strategy_run *r, size_t first);

/* Whether what may be spent of tokens and seconds is spent; the reason is noted. */
bool run_is_spent(strategy_run *r);

/* Why nothing more was drawn; the first reason stays. */
void run_stop(strategy_run *r, const char *reason);

/* probabilities[k] = that of the tokens that say words[k] (folded, without space around) among the
 * alternatives to the draw's first token; they do not add up to 1. */
hone_status run_first_words(strategy_run *r, size_t draw, const char *const *words, size_t n_words,
                            double *probabilities);

#endif
