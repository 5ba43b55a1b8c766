/* Who computes the draws of a strategy: the sessions of a program (local_draws_open), a server's
 * scheduler, a script in a test. */
#ifndef STRATEGY_DRAWS_H
#define STRATEGY_DRAWS_H

#include "hone/strategy.h"

/* Takes over what the result holds; `status` is that of this request alone. */
typedef void draws_done(void *user, size_t i, hone_status status, hone_result *result);

typedef struct draw_service {
    void *self;
    size_t n_models;
    /* Answers requests[n] of one model together and calls done(user, i, …) for each, as soon as it
     * has ended; a request whose on_piece returns another value than 0 ends as cancelled, and what
     * it held is free. Returns an error where the whole failed (HONE_ERR_CANCELLED: somebody asked
     * to stop); those that had not ended are done with that error before it returns. */
    hone_status (*run)(void *self, size_t model, const hone_request *requests, size_t n,
                       draws_done *done, void *user);
    /* The model behind the draws; NULL where there is none (a script). */
    const hone_model *(*model)(void *self, size_t model);
    /* What a token says; freed with hone_free. */
    hone_status (*token_text)(void *self, size_t model, int32_t id, char **text);
} draw_service;

/* hone_strategy_run with draws from anywhere. */
hone_status strategy_run_on(const hone_strategy *s, const draw_service *service,
                            const hone_request *request, const hone_strategy_options *options,
                            hone_strategy_result *result);

/* The request by token ids: *by_ids borrows from `r` and from *ids,
 * which is freed with hone_free. */
hone_status draw_by_ids(const hone_model *m, const hone_request *r, hone_request *by_ids,
                        int32_t **ids);

/* Draws on sessions[n_models], borrowed. What the prompts of a call have in common is computed once
 * and stays in the session; the draws are forks. */
typedef struct local_draws {
    hone_session **sessions;
    size_t n;
} local_draws;

draw_service local_draws_service(local_draws *l);

#endif
