/* Programs that draw several answers to one prompt and choose. */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "strategy/answer_text.h"
#include "strategy/strategy_int.h"
#include "strategy/vote.h"

enum { WAVE = 4 };
#define SURE 0.95           /* of the leader's lead: stop */
#define LEAST_AGREEMENT 0.4 /* below it the vote says nothing, and the greedy answer stands */
#define LEAST_TEMPERATURE 0.7f

hone_sampling varied_sampling(const strategy_run *r) {
    hone_sampling s = r->request->sampling;
    if (s.temperature >= LEAST_TEMPERATURE) return s;
    s.temperature = LEAST_TEMPERATURE;
    s.top_k = 0;
    s.top_p = 0.95f;
    s.min_p = 0.05f;
    return s;
}

hone_status sample_alike(strategy_run *r, size_t n, size_t *first) {
    hone_sampling sampling = varied_sampling(r);
    return run_alike(r, &(draw_order){.stage = "answer", .sampling = &sampling}, NULL, n, NULL,
                     NULL, first);
}

hone_status sample_ladder(strategy_run *r, size_t n, size_t *first) {
    hone_sampling samplings[HONE_MAX_DRAWS];
    for (size_t i = 0; i < n; i++) {
        samplings[i] = varied_sampling(r);
        samplings[i].temperature = n == 1 ? 0.7f : 0.5f + 0.4f * (float)i / (float)(n - 1);
    }
    return run_alike(r, &(draw_order){.stage = "answer"}, samplings, n, NULL, NULL, first);
}

hone_status program_none(strategy_run *r, size_t n) {
    (void)n;
    r->best = r->result->n_draws;
    hone_status status = run_draw(r, &(draw_order){.stage = "answer", .streams = true}, &r->best);
    if (status == HONE_OK) status = run_read_answers(r, r->best);
    return status;
}

/* --- self-consistency --- */

hone_status vote_count(strategy_run *r, const election *e, hone_vote **votes, size_t *n_votes,
                       size_t *n_ended) {
    size_t n = r->result->n_draws - e->first;
    const char **answers = mem_calloc(n, sizeof *answers);
    if (!answers) return mem_fail("votes", n * sizeof *answers);
    *n_ended = 0;
    for (size_t i = 0; i < n; i++) {
        const hone_draw *d = run_trace(r, e->first + i);
        *n_ended += d->end != HONE_DRAW_FAILED || d->fault;
        answers[i] = d->answer;
    }
    hone_status status = votes_count(votes, n_votes, answers, NULL, n);
    mem_free(answers);
    return status;
}

/* A failure to count is found again by the selection. */
bool vote_is_open(strategy_run *r, size_t draw, void *user) {
    const election *e = user;
    hone_draw *d = run_trace(r, draw);
    hone_vote *votes = NULL;
    size_t n_votes = 0, n_ended = 0;
    if (!draw_is_whole(d)) return true;
    if (answer_read(d->text, r->options->form, &d->answer) != HONE_OK) return true;
    if (vote_count(r, e, &votes, &n_votes, &n_ended) != HONE_OK) return true;
    size_t leader = n_votes ? votes[0].n : 0, second = n_votes > 1 ? votes[1].n : 0;
    size_t undecided = e->n_planned - n_ended;
    votes_free(votes, n_votes);
    if (undecided == 0) return true;
    if (votes_decided(leader, second, undecided)) run_stop(r, "decided");
    else if (e->alike && votes_lead_probability(leader, second) >= SURE)
        run_stop(r, "the lead is sure");
    else return true;
    return false;
}

static hone_status fall_back(strategy_run *r) {
    const hone_strategy_result *t = r->result;
    size_t cast = 0, draw;
    for (size_t i = 0; i < t->n_votes; i++) cast += t->votes[i].n;
    if (cast && (double)t->votes[0].n >= LEAST_AGREEMENT * (double)cast) return HONE_OK;
    hone_sampling greedy = hone_sampling_greedy();
    TRY(run_draw(r, &(draw_order){.stage = "fallback", .sampling = &greedy}, &draw));
    TRY(run_read_answers(r, draw));
    if (draw_is_whole(run_trace(r, draw))) r->best = draw;
    return HONE_OK;
}

hone_status program_sc(strategy_run *r, size_t n) {
    election e = {r->result->n_draws, n, true};
    hone_sampling sampling = varied_sampling(r);
    draw_order order = {.stage = "answer", .sampling = &sampling};
    hone_status status = HONE_OK;
    for (size_t done = 0, first; done < n && status == HONE_OK && !r->result->stop_reason;) {
        size_t wave = n - done < WAVE ? n - done : WAVE;
        status = run_alike(r, &order, NULL, wave, vote_is_open, &e, &first);
        done += wave;
    }
    hone_status selected = run_select(r, e.first, select_vote);
    if (status == HONE_OK) status = selected;
    return status == HONE_OK ? fall_back(r) : status;
}

/* --- all draws, then one choice --- */

static hone_status sample_and_select(strategy_run *r, size_t n,
                                     hone_status (*select)(strategy_run *, const size_t *, size_t,
                                                           size_t *)) {
    size_t first = r->result->n_draws;
    hone_status status = sample_alike(r, n, &first);
    /* with the budget spent there is still a vote, which costs nothing */
    hone_status selected = run_select(r, first, status == HONE_OK ? select : select_vote);
    return status == HONE_OK ? selected : status;
}

hone_status program_cisc(strategy_run *r, size_t n) {
    return sample_and_select(r, n, select_weighted);
}

hone_status program_bon(strategy_run *r, size_t n) {
    return sample_and_select(r, n, r->options->check ? select_check : select_rating);
}
