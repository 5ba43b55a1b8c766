/* Running an expression (include/hone/strategy.h). */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/system.h"
#include "strategy/strategy_int.h"
#include "strategy/vote.h"

void hone_strategy_result_release(hone_strategy_result *t) {
    for (size_t i = 0; i < t->n_draws; i++) {
        mem_free(t->draws[i].text);
        mem_free(t->draws[i].answer);
        mem_free(t->draws[i].fault);
    }
    mem_free(t->draws);
    votes_free(t->votes, t->n_votes);
    mem_free(t->text);
    *t = (hone_strategy_result){0};
}

/* --- branches --- */

static hone_status run_main(strategy_run *r, const strategy_branch *b) {
    const strategy_def *def = b->main.def;
    r->bar = b->main.bar;
    if (def->program) return def->program(r, b->main.n);
    size_t first = r->result->n_draws;
    hone_status status = def->sample(r, b->main.n, &first);
    hone_status selected = run_select(r, first,
                                      status == HONE_OK ? b->selector->select : select_first);
    return status == HONE_OK ? selected : status;
}

static hone_status run_branch(strategy_run *r, const strategy_branch *b) {
    hone_status status = chat_init(&r->prompt, r->request);
    for (size_t i = 0; i < b->n_transforms && status == HONE_OK; i++)
        status = b->transforms[i].def->transform(r, b->transforms[i].n);
    if (status == HONE_OK) status = run_main(r, b);
    chat_release(&r->prompt);
    return status;
}

/* Each branch's choice, then one among these; the selector sees the prompt as it was asked. */
static hone_status run_branches(strategy_run *r, const hone_strategy *s) {
    size_t bests[MAX_BRANCHES], n = 0;
    if (s->n_branches == 1) return run_branch(r, &s->branches[0]);
    for (r->branch = 0; r->branch < s->n_branches; r->branch++) {
        r->best = SIZE_MAX;
        hone_status status = run_branch(r, &s->branches[r->branch]);
        if (r->best != SIZE_MAX && draw_is_whole(run_trace(r, r->best))) bests[n++] = r->best;
        if (status != HONE_OK) {
            if (n) r->best = bests[0];
            return status;
        }
        r->result->stop_reason = NULL;
    }
    if (n == 0) return HONE_OK;
    TRY(chat_init(&r->prompt, r->request));
    hone_status status = s->selector->select(r, bests, n, &r->best);
    chat_release(&r->prompt);
    return status;
}

/* --- the answer --- */

static hone_status tell_text(strategy_run *r) {
    hone_strategy_result *t = r->result;
    const hone_draw *d = r->best == SIZE_MAX || r->best >= t->n_draws ? NULL
                                                                      : run_trace(r, r->best);
    const char *text = r->text ? r->text : d && d->text ? d->text : "";
    t->text = mem_copy_string(text, strlen(text));
    if (!t->text) return mem_fail("answer", strlen(text));
    t->chosen = d ? r->best : SIZE_MAX;
    t->finish = r->cancelled ? HONE_FINISH_CANCELLED
                : !d || d->end == HONE_DRAW_LENGTH || d->end == HONE_DRAW_KILLED
                    ? HONE_FINISH_LENGTH
                    : HONE_FINISH_STOP;
    const hone_request *q = r->request;
    if (!q->on_piece || r->streamed || r->cancelled || !*t->text) return HONE_OK;
    hone_piece piece = {.text = t->text, .n_bytes = strlen(t->text), .token = -1};
    if (q->on_piece(q->user, &piece) != 0) t->finish = HONE_FINISH_CANCELLED;
    return HONE_OK;
}

hone_status strategy_run_on(const hone_strategy *s, const draw_service *service,
                            const hone_request *request, const hone_strategy_options *options,
                            hone_strategy_result *result) {
    static const hone_strategy_options none;
    hone_strategy_result trace = {0};
    strategy_run r = {.request = request, .options = options ? options : &none, .service = service,
                      .result = &trace, .started_ms = clock_ms(), .best = SIZE_MAX};
    if (request->n_prompt_ids)
        return fail(HONE_ERR_ARGUMENT, "a strategy needs messages or a prompt, not token ids");
    if (service->n_models < 1 + s->n_models)
        return fail(HONE_ERR_ARGUMENT,
                    "\"%s\" names %zu models beside the first, and %zu are at hand", s->text,
                    s->n_models, service->n_models - 1);
    hone_status status = run_branches(&r, s);
    if (status == HONE_ERR_CANCELLED) status = HONE_OK; /* what there is, is handed over */
    if (status == HONE_OK) {
        run_stop(&r, "all draws done");
        status = tell_text(&r);
    }
    trace.seconds = (clock_ms() - r.started_ms) / 1000;
    for (size_t i = 0; i < trace.n_draws; i++) {
        mem_free(r.details[i].margins);
        mem_free(r.details[i].tokens);
    }
    mem_free(r.details);
    mem_free(r.text);
    if (status == HONE_OK) *result = trace;
    else hone_strategy_result_release(&trace);
    return status;
}

hone_status hone_strategy_run(const hone_strategy *s, hone_session *session,
                              const hone_request *request, const hone_strategy_options *options,
                              hone_strategy_result *result) {
    size_t n = 1 + (options ? options->n_others : 0);
    hone_session **sessions = mem_calloc(n, sizeof *sessions);
    if (!sessions) return mem_fail("sessions", n * sizeof *sessions);
    sessions[0] = session;
    for (size_t i = 1; i < n; i++) sessions[i] = options->others[i - 1];
    local_draws local = {sessions, n};
    draw_service service = local_draws_service(&local);
    hone_status status = strategy_run_on(s, &service, request, options, result);
    mem_free(sessions);
    return status;
}

/* --- the trace --- */

static json_t *text_or_null(const char *text) { return text ? json_string(text) : json_null(); }

static json_t *draw_to_json(const hone_draw *d) {
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:s}", "stage", d->stage, "branch",
        (json_int_t)d->branch, "model", (json_int_t)d->model, "seed", (json_int_t)d->seed,
        "sequence", (json_int_t)d->sequence, "temperature", (double)d->temperature,
        "prompt_tokens", (json_int_t)d->n_prompt_tokens, "cached_tokens",
        (json_int_t)d->n_cached_tokens, "completion_tokens", (json_int_t)d->n_tokens,
        "thought_tokens", (json_int_t)d->n_thought_tokens, "finish", hone_draw_end_name(d->end));
    json_object_set_new(o, "text", text_or_null(d->text));
    json_object_set_new(o, "answer", text_or_null(d->answer));
    json_object_set_new(o, "error", text_or_null(d->fault));
    json_object_set_new(o, "logprob", json_finite(d->logprob));
    json_object_set_new(o, "certainty", json_finite(d->certainty));
    json_object_set_new(o, "confidence", json_finite(d->confidence));
    json_object_set_new(o, "score", json_finite(d->score));
    json_object_set_new(o, "ms", json_real(d->ms));
    return o;
}

static json_t *trace_to_json(const hone_strategy_result *t) {
    json_t *draws = json_array(), *votes = json_array();
    for (size_t i = 0; i < t->n_draws; i++)
        json_array_append_new(draws, draw_to_json(&t->draws[i]));
    for (size_t i = 0; i < t->n_votes; i++)
        json_array_append_new(votes, json_pack("{s:s, s:I, s:f}", "answer", t->votes[i].answer, "n",
                                               (json_int_t)t->votes[i].n, "weight",
                                               t->votes[i].weight));
    json_t *chosen = t->chosen < t->n_draws ? json_integer((json_int_t)t->chosen) : json_null();
    return json_pack("{s:o, s:s, s:o, s:o, s:I, s:I, s:f}", "chosen", chosen, "stop_reason",
                     t->stop_reason, "draws", draws, "votes", votes, "prefill_tokens",
                     (json_int_t)t->n_prefill_tokens, "decode_tokens",
                     (json_int_t)t->n_decode_tokens, "seconds", t->seconds);
}

hone_status hone_strategy_trace(const hone_strategy_result *t, char **json) {
    json_build_begin();
    json_t *trace = trace_to_json(t);
    hone_status status = json_build_end("trace");
    char *text = status == HONE_OK ? json_dumps(trace, JSON_COMPACT) : NULL;
    json_decref(trace);
    if (status == HONE_OK && !text) status = mem_fail("trace", 1);
    if (status == HONE_OK) *json = text;
    return status;
}
