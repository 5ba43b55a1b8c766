/* Programs over several models: a vote of all, one that checks another, a cascade, a chain.
 *
 * Model 0 is the request's own, the others come in the order of the expression. A model that fails
 * is left out; what the others have said stands. */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "strategy/strategy_int.h"
#include "strategy/vote.h"

static hone_status need_models(const strategy_run *r, const char *name) {
    if (r->service->n_models > 1) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "%s asks several models: \"%s with MODEL\"", name, name);
}

/* --- a vote of all models; ties go to the one that comes first --- */

hone_status program_ensemble(strategy_run *r, size_t n) {
    size_t n_models = r->service->n_models, dealt = 0;
    TRY(need_models(r, "ensemble"));
    if (n < n_models) n = n_models;
    election e = {r->result->n_draws, n, false};
    hone_sampling sampling = varied_sampling(r);
    draw_order orders[HONE_MAX_DRAWS];
    for (size_t model = 0; model < n_models; model++)
        for (size_t end = n * (model + 1) / n_models; dealt < end; dealt++)
            orders[dealt] = (draw_order){.stage = "answer", .model = model, .sampling = &sampling};
    size_t first = e.first;
    hone_status status = run_draws(r, orders, n, vote_is_open, &e, &first);
    hone_status selected = run_select(r, e.first, select_vote);
    return status == HONE_OK ? selected : status;
}

/* --- the second model says how probable it is that the first one's answer is right --- */

/* The score of an earlier draw that gave the same answer; NaN where there is none. */
static double known_score(strategy_run *r, const size_t *draws, size_t n, const hone_draw *d) {
    for (size_t i = 0; i < n && d->answer; i++) {
        const hone_draw *other = run_trace(r, draws[i]);
        if (other->answer && !strcmp(other->answer, d->answer)) return other->score;
    }
    return NAN;
}

/* One answer more, with its score; draws[*n] keeps those that are whole. */
static hone_status draw_and_check(strategy_run *r, size_t *draws, size_t *n) {
    hone_sampling varied = varied_sampling(r);
    const draw_order order = {.stage = "answer", .sampling = *n ? &varied : NULL};
    size_t draw;
    TRY(run_draw(r, &order, &draw));
    TRY(run_read_answers(r, draw));
    hone_draw *d = run_trace(r, draw);
    if (!draw_is_whole(d)) return HONE_OK;
    d->score = known_score(r, draws, *n, d);
    draws[*n] = draw;
    *n += 1;
    if (r->best == SIZE_MAX) r->best = draw;
    return isnan(d->score) ? score_p_true(r, &draw, 1) : HONE_OK;
}

hone_status program_verify(strategy_run *r, size_t n) {
    size_t first = r->result->n_draws, draws[HONE_MAX_DRAWS], n_whole = 0;
    TRY(need_models(r, "verify"));
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK && !r->result->stop_reason; i++) {
        size_t before = n_whole;
        status = draw_and_check(r, draws, &n_whole);
        if (n_whole == before) continue;
        double score = run_trace(r, draws[before])->score, best = run_trace(r, r->best)->score;
        if (score > best || (isnan(best) && !isnan(score))) r->best = draws[before];
        if (score >= r->bar) run_stop(r, "the second model believes it");
        if (run_fails_alone(status) && n_whole) { /* the checker; the answers stand */
            run_stop(r, "the second model failed");
            status = HONE_OK;
        }
    }
    if (n_whole) return status;
    hone_status selected = run_select(r, first, select_first);
    return status == HONE_OK ? selected : status;
}

/* --- the cheap model first, the next one where its answers disagree --- */

/* An election in which a share of the draws must agree. */
typedef struct agreement {
    election e;
    size_t n_needed;
} agreement;

/* Ends a stage whose outcome is certain: enough agree, or no longer can. */
static bool agreement_is_open(strategy_run *r, size_t draw, void *user) {
    const agreement *a = user;
    hone_vote *votes = NULL;
    size_t n_votes = 0, n_ended = 0;
    if (run_read_answers(r, draw) != HONE_OK) return true;
    if (vote_count(r, &a->e, &votes, &n_votes, &n_ended) != HONE_OK) return true;
    size_t most = n_votes ? votes[0].n : 0, undecided = a->e.n_planned - n_ended;
    votes_free(votes, n_votes);
    return undecided == 0 || (most < a->n_needed && most + undecided >= a->n_needed);
}

/* n draws of one model and their vote; whether enough of them agree. */
static hone_status ask_stage(strategy_run *r, size_t model, size_t n, bool *agreed) {
    size_t kept = r->best, first = r->result->n_draws;
    agreement a = {{first, n, false}, (size_t)ceil(r->bar * (double)n - 1e-9)};
    hone_sampling sampling = varied_sampling(r);
    const draw_order order = {.stage = "answer", .model = model, .sampling = &sampling};
    hone_status status = run_alike(r, &order, NULL, n, agreement_is_open, &a, &first);
    hone_status selected = run_select(r, first, select_vote);
    bool is_whole = r->best != SIZE_MAX && draw_is_whole(run_trace(r, r->best));
    if (!is_whole && kept != SIZE_MAX) r->best = kept;
    if (is_whole && selected == HONE_OK && r->result->n_votes) {
        size_t most = r->result->votes[0].n;
        run_trace(r, r->best)->score = (double)most / (double)n;
        *agreed = most && most >= a.n_needed;
    }
    return status == HONE_OK ? selected : status;
}

/* The last model's one answer, which stands where it is whole. */
static hone_status ask_last(strategy_run *r, size_t model) {
    size_t draw;
    TRY(run_draw(r, &(draw_order){.stage = "answer", .model = model}, &draw));
    TRY(run_read_answers(r, draw));
    if (r->best == SIZE_MAX || draw_is_whole(run_trace(r, draw))) r->best = draw;
    return HONE_OK;
}

hone_status program_cascade(strategy_run *r, size_t n) {
    size_t n_models = r->service->n_models;
    hone_status status = HONE_OK;
    bool agreed = false;
    TRY(need_models(r, "cascade"));
    for (size_t model = 0; model < n_models && status == HONE_OK && !agreed; model++) {
        status = model + 1 < n_models ? ask_stage(r, model, n, &agreed) : ask_last(r, model);
        if (run_fails_alone(status) && (model + 1 < n_models || r->best != SIZE_MAX))
            status = HONE_OK;
    }
    if (agreed) run_stop(r, "enough draws agree");
    return status;
}

/* --- each model sees what the one before it has answered --- */

static hone_status ask_link(strategy_run *r, size_t model) {
    static const char task[] =
        "The answer above is another's and may be wrong, in parts or whole. Check it, and write "
        "the best answer to the question. Do not speak of the answer above.";
    bool has_answer = r->best != SIZE_MAX && draw_is_whole(run_trace(r, r->best));
    size_t draw, last = r->best;
    chat prompt = {0};
    const draw_order order = {.stage = model ? "link" : "answer", .model = model,
                              .prompt = has_answer ? &prompt : NULL};
    hone_status status = has_answer ? show_answers(&prompt, r, &last, 1, task) : HONE_OK;
    if (status == HONE_OK) status = run_draw(r, &order, &draw);
    if (status == HONE_OK) status = run_read_answers(r, draw);
    if (status == HONE_OK && (!has_answer || draw_is_whole(run_trace(r, draw)))) r->best = draw;
    chat_release(&prompt);
    return status;
}

hone_status program_chain(strategy_run *r, size_t n) {
    hone_status status = HONE_OK;
    (void)n;
    TRY(need_models(r, "chain"));
    for (size_t model = 0; model < r->service->n_models; model++) {
        status = ask_link(r, model);
        if (status != HONE_OK && !run_fails_alone(status)) return status;
    }
    return r->best != SIZE_MAX ? HONE_OK : status;
}
