/* Draws as forks of a session (strategy/draws.h). */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "hone/answer.h"
#include "strategy/draws.h"

typedef struct fork_draw {
    hone_request request; /* by token ids */
    int32_t *ids;
    hone_session *fork; /* NULL: the session itself */
    hone_answer *answer;
} fork_draw;

typedef struct batch {
    hone_session *session;
    hone_session *own; /* whose cancellation ends the draws of every model */
    fork_draw *draws;
    hone_answer **running; /* [n_running] */
    size_t *index;         /* of each running one */
    size_t n, n_running;
    size_t n_shared; /* tokens of the common beginning that were computed */
    draws_done *done;
    void *user;
    bool passed_on; /* the session was cancelled from here */
} batch;

hone_status draw_by_ids(const hone_model *m, const hone_request *r, hone_request *by_ids,
                        int32_t **ids) {
    size_t n;
    *by_ids = *r;
    if (r->n_messages)
        TRY(hone_render_chat(m, r->messages, r->n_messages, r->tools_json, r->variables_json, NULL,
                             ids, &n));
    else
        TRY(hone_tokenize(m, r->prompt, r->prompt_bytes, true, ids, &n));
    by_ids->messages = NULL;
    by_ids->n_messages = 0;
    by_ids->prompt = NULL;
    by_ids->prompt_ids = *ids;
    by_ids->n_prompt_ids = n;
    return HONE_OK;
}

/* The common beginning was computed for all of them; the first one answers for it. */
static void end_draw(batch *b, size_t i, hone_status status, hone_result *result) {
    fork_draw *d = &b->draws[i];
    if (i == 0 && status == HONE_OK) result->n_cached_tokens -= b->n_shared;
    hone_answer_close(d->answer);
    hone_session_close(d->fork);
    hone_free(d->ids);
    *d = (fork_draw){0};
    b->done(b->user, i, status, result);
}

/* Ends what has finished, so that its cache is free before the next step. */
static void reap(batch *b) {
    size_t kept = 0;
    for (size_t k = 0; k < b->n_running; k++) {
        size_t i = b->index[k];
        if (!hone_answer_finished(b->running[k])) {
            b->running[kept] = b->running[k];
            b->index[kept++] = i;
            continue;
        }
        hone_result result = {0};
        hone_status status = hone_answer_conclude(b->running[k], &result);
        end_draw(b, i, status, &result);
    }
    b->n_running = kept;
}

static size_t common_tokens(const batch *b) {
    size_t common = b->draws[0].request.n_prompt_ids;
    for (size_t i = 1; i < b->n; i++) {
        const fork_draw *d = &b->draws[i];
        size_t n = 0;
        while (n < common && n < d->request.n_prompt_ids && d->ids[n] == b->draws[0].ids[n]) n++;
        common = n;
    }
    return common;
}

static hone_status open_draw(batch *b, size_t i) {
    fork_draw *d = &b->draws[i];
    if (b->n > 1) TRY(hone_session_fork(&d->fork, b->session));
    TRY(hone_answer_open(&d->answer, d->fork ? d->fork : b->session, &d->request));
    b->running[b->n_running] = d->answer;
    b->index[b->n_running++] = i;
    return HONE_OK;
}

/* Between the chunks of a prompt: who cancels the first session means all of them. */
static void pass_cancel_on(void *user, size_t n_done, size_t n) {
    batch *b = user;
    (void)n_done, (void)n;
    if (b->session == b->own || !hone_session_is_cancelled(b->own)) return;
    hone_session_cancel(b->session);
    b->passed_on = true;
}

/* Prompts to ids, their common beginning into the session, a fork for each. */
static hone_status open_draws(batch *b, const hone_request *requests) {
    const hone_model *m = hone_session_model(b->session);
    for (size_t i = 0; i < b->n; i++)
        TRY(draw_by_ids(m, &requests[i], &b->draws[i].request, &b->draws[i].ids));
    size_t common = common_tokens(b);
    if (b->n > 1 && common) {
        size_t n_reused;
        TRY(hone_prefill(b->session, b->draws[0].ids, common, &n_reused, pass_cancel_on, b));
        b->n_shared = common - n_reused;
    }
    for (size_t i = 0; i < b->n; i++) TRY(open_draw(b, i));
    return HONE_OK;
}

static hone_status run_batch(batch *b, const hone_request *requests) {
    hone_status status = open_draws(b, requests);
    while (status == HONE_OK && b->n_running) {
        bool cancelled = hone_session_is_cancelled(b->own) || hone_session_is_cancelled(b->session);
        status = cancelled ? fail(HONE_ERR_CANCELLED, "cancelled")
                           : hone_answers_step(b->running, b->n_running, 0);
        if (status == HONE_OK) reap(b);
    }
    if (status == HONE_OK) return HONE_OK;
    /* what has not ended ends now, with the text that it has */
    for (size_t k = 0; k < b->n_running; k++) {
        hone_result result = {0};
        bool whole = status == HONE_ERR_CANCELLED &&
                     hone_answer_conclude(b->running[k], &result) == HONE_OK;
        end_draw(b, b->index[k], whole ? HONE_OK : status, &result);
    }
    return status;
}

static hone_status local_run(void *self, size_t model, const hone_request *requests, size_t n,
                             draws_done *done, void *user) {
    local_draws *l = self;
    batch b = {.session = l->sessions[model], .own = l->sessions[0],
               .n = n, .done = done, .user = user};
    b.draws = mem_calloc(n, sizeof *b.draws);
    b.running = mem_calloc(n, sizeof *b.running);
    b.index = mem_calloc(n, sizeof *b.index);
    hone_status status = b.draws && b.running && b.index ? run_batch(&b, requests)
                                                         : mem_fail("draws", n * sizeof *b.draws);
    for (size_t i = 0; b.draws && i < n; i++) { /* those that were never begun */
        hone_answer_close(b.draws[i].answer);
        hone_session_close(b.draws[i].fork);
        hone_free(b.draws[i].ids);
    }
    if (b.passed_on) hone_session_uncancel(b.session);
    mem_free(b.draws);
    mem_free(b.running);
    mem_free(b.index);
    return status;
}

static hone_status local_token_text(void *self, size_t model, int32_t id, char **text) {
    local_draws *l = self;
    size_t n;
    return hone_detokenize(hone_session_model(l->sessions[model]), &id, 1, false, text, &n);
}

static const hone_model *local_model(void *self, size_t model) {
    local_draws *l = self;
    return hone_session_model(l->sessions[model]);
}

draw_service local_draws_service(local_draws *l) {
    return (draw_service){l, l->n, local_run, local_model, local_token_text};
}
