/* Ordering draws and keeping their trace (strategy/run.h). */
#include "strategy/run.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/system.h"
#include "strategy/answer_text.h"
#include "text/thoughts.h"

enum { DEFAULT_MAX_TOKENS = 1024 };

const char *hone_draw_end_name(hone_draw_end end) {
    switch (end) {
    case HONE_DRAW_STOP: return "stop";
    case HONE_DRAW_LENGTH: return "length";
    case HONE_DRAW_KILLED: return "killed";
    case HONE_DRAW_FAILED: return "failed";
    }
    return "unknown";
}

hone_draw *run_trace(strategy_run *r, size_t draw) { return &r->result->draws[draw]; }

const char *run_said(strategy_run *r, size_t draw) {
    const hone_draw *d = run_trace(r, draw);
    if (!d->text || !answer_is_there(d->text, d->n_thought_tokens > 0)) return "";
    return answer_behind_thoughts(d->text);
}

bool draw_is_whole(const hone_draw *d) {
    return d->end == HONE_DRAW_STOP && d->text && answer_is_there(d->text, d->n_thought_tokens > 0);
}

void run_stop(strategy_run *r, const char *reason) {
    if (!r->result->stop_reason) r->result->stop_reason = reason;
}

/* --- a draw under way --- */

/* What is measured of one draw; `confidences` is a ring of the last `window` tokens. */
typedef struct watcher {
    strategy_run *run;
    const draw_order *order;
    size_t draw, n_pieces, n_bytes; /* of text so far */
    double logprob, certainty, window_sum;
    float *confidences;
    char tail[THOUGHT_TAG_BYTES]; /* of the text, with `until_closed` */
    bool killed, closed_thought;
} watcher;

typedef struct stage {
    strategy_run *run;
    watcher *watchers;
    hone_request *requests;
    chat *prompts;
    size_t n, first;
    run_watch *watch;
    void *user;
} stage;

/* DeepConf (Fu et al. 2025): a token's confidence is −mean ln p of its k most probable
 * alternatives; a group's that of its window. */
static bool confidence_holds(watcher *w, const hone_piece *p) {
    size_t window = w->order->window;
    double sum = 0;
    for (size_t i = 0; i < p->n_top; i++) sum -= p->top_logprobs[i];
    float confidence = (float)(sum / (double)p->n_top);
    float *place = &w->confidences[w->n_pieces % window];
    w->window_sum += confidence - (w->n_pieces < window ? 0 : *place);
    *place = confidence;
    if (w->n_pieces + 1 < window) return true;
    hone_draw *d = run_trace(w->run, w->draw);
    double mean = w->window_sum / (double)window;
    if (d->confidence == 0 || mean < d->confidence) d->confidence = mean;
    return mean >= w->order->least_confidence;
}

static void note_first(watcher *w, const hone_piece *p) {
    draw_detail *detail = &w->run->details[w->draw];
    detail->n_first = p->n_top;
    memcpy(detail->first_ids, p->top_ids, p->n_top * sizeof *p->top_ids);
    memcpy(detail->first_logprobs, p->top_logprobs, p->n_top * sizeof *p->top_logprobs);
}

static hone_status note_margin(watcher *w, const hone_piece *p) {
    draw_detail *detail = &w->run->details[w->draw];
    TRY(mem_grow(&detail->margins, &detail->margins_capacity,
                 detail->n_margins + 1, sizeof *detail->margins, "margins"));
    double margin = exp(p->top_logprobs[0]) - (p->n_top > 1 ? exp(p->top_logprobs[1]) : 0);
    detail->margins[detail->n_margins++] = (token_margin){w->n_bytes, margin};
    return HONE_OK;
}

bool run_is_spent(strategy_run *r) {
    const hone_strategy_options *o = r->options;
    if (o->max_tokens && r->n_spent_tokens >= o->max_tokens) run_stop(r, "budget of tokens");
    else if (o->max_seconds > 0 && clock_ms() - r->started_ms >= 1000 * o->max_seconds)
        run_stop(r, "budget of seconds");
    else return false;
    return true;
}

/* Whether a thought is closed with this piece. */
static bool closes_thought(watcher *w, const hone_piece *p) {
    bool closes = false;
    for (size_t i = 0; i < p->n_bytes && !closes; i++) {
        memmove(w->tail, w->tail + 1, sizeof w->tail - 1);
        w->tail[sizeof w->tail - 1] = p->text[i];
        closes = thoughts_closed_by(w->tail, sizeof w->tail);
    }
    return closes;
}

static int on_piece(void *user, const hone_piece *p) {
    watcher *w = user;
    strategy_run *r = w->run;
    if (w->order->streams && r->request->on_piece) {
        r->streamed = true;
        if (r->request->on_piece(r->request->user, p) != 0) r->cancelled = true;
    }
    w->n_bytes += p->n_bytes;
    if (p->token >= 0) {
        if (w->order->margins && p->n_top && note_margin(w, p) != HONE_OK) w->killed = true;
        if (w->n_pieces == 0 && p->n_top) note_first(w, p);
        if (w->order->window && p->n_top && !confidence_holds(w, p)) w->killed = true;
        w->logprob += p->logprob;
        w->certainty += p->certainty;
        w->n_pieces++;
        r->n_spent_tokens++;
    }
    if (r->killing || run_is_spent(r)) w->killed = true;
    if (w->order->until_closed && closes_thought(w, p)) w->closed_thought = true;
    return w->killed || w->closed_thought || r->cancelled;
}

static void keep_tokens(const watcher *w, hone_result *result) {
    draw_detail *detail = &w->run->details[w->draw];
    detail->tokens = result->tokens;
    detail->n_tokens = result->n_tokens;
    detail->closed_thought = w->closed_thought;
    result->tokens = NULL;
}

static void end_draw(void *user, size_t i, hone_status status, hone_result *result) {
    stage *s = user;
    strategy_run *r = s->run;
    watcher *w = &s->watchers[i];
    hone_draw *d = run_trace(r, w->draw);
    d->ms = clock_ms() - d->ms;
    if (status == HONE_OK) {
        d->text = result->text;
        result->text = NULL;
        d->n_prompt_tokens = result->n_prompt_tokens;
        d->n_cached_tokens = result->n_cached_tokens;
        d->n_tokens = result->n_tokens;
        d->n_thought_tokens = result->n_thought_tokens;
        bool ended = result->finish == HONE_FINISH_STOP || (w->closed_thought && !w->killed);
        d->end = ended                                  ? HONE_DRAW_STOP
                 : result->finish == HONE_FINISH_LENGTH ? HONE_DRAW_LENGTH
                                                        : HONE_DRAW_KILLED;
        if (w->order->keeps_tokens) keep_tokens(w, result);
        r->n_spent_tokens += result->n_prompt_tokens - result->n_cached_tokens;
        r->result->n_prefill_tokens += result->n_prompt_tokens - result->n_cached_tokens;
        r->result->n_decode_tokens += result->n_tokens;
    }
    if (w->n_pieces) {
        d->logprob = w->logprob / (double)w->n_pieces;
        d->certainty = w->certainty / (double)w->n_pieces;
    }
    hone_result_release(result);
    r->n_ended++;
    if (!r->killing && s->watch && !s->watch(r, w->draw, s->user)) r->killing = true;
    /* behind the watch, which may have read the answer */
    if (r->options->on_draw) r->options->on_draw(r->options->user, d, r->n_ended);
}

/* --- a stage --- */

static hone_status reserve_trace(strategy_run *r, size_t n) {
    hone_strategy_result *t = r->result;
    if (t->n_draws + n <= r->capacity) return HONE_OK;
    size_t capacity = r->capacity * 2 + n;
    hone_draw *draws = mem_realloc(t->draws, capacity, sizeof *draws);
    if (!draws) return mem_fail("trace", capacity * sizeof *draws);
    t->draws = draws;
    draw_detail *details = mem_realloc(r->details, capacity, sizeof *details);
    if (!details) return mem_fail("trace", capacity * sizeof *details);
    r->details = details;
    r->capacity = capacity;
    return HONE_OK;
}

/* The request of one draw, and its line in the trace. */
static hone_status prepare(stage *s, size_t i, const draw_order *o) {
    strategy_run *r = s->run;
    hone_request *q = &s->requests[i];
    *q = *r->request;
    q->messages = NULL;
    q->n_messages = 0;
    q->prompt = NULL;
    TRY(chat_copy(&s->prompts[i], o->prompt ? o->prompt : &r->prompt));
    TRY(chat_fill(&s->prompts[i], q));
    if (o->sampling) q->sampling = *o->sampling;
    q->sampling.seed = r->request->sampling.seed;
    q->sequence = r->n_sequences++;
    if (o->max_tokens) q->max_tokens = o->max_tokens;
    if (!q->max_tokens) q->max_tokens = DEFAULT_MAX_TOKENS;
    if (o->free_form) q->grammar = NULL, q->n_stop = 0;
    if (o->grammar) q->grammar = o->grammar;
    if (o->think_tokens) q->limit_thinking = true, q->thinking_budget = o->think_tokens;
    q->forced = o->forced;
    q->n_forced = o->n_forced;
    q->begun = o->begun;
    q->n_begun = o->n_begun;
    q->logprobs = true;
    q->n_top_logprobs = o->n_top;
    q->on_piece = on_piece;
    q->on_prefill = NULL;
    q->user = &s->watchers[i];
    s->watchers[i] = (watcher){.run = r, .order = o, .draw = s->first + i};
    if (o->window) {
        s->watchers[i].confidences = mem_calloc(o->window, sizeof(float));
        if (!s->watchers[i].confidences) return mem_fail("confidences", o->window * sizeof(float));
    }
    r->result->draws[s->first + i] = (hone_draw){
        .stage = o->stage, .branch = r->branch, .model = o->model, .seed = q->sampling.seed,
        .sequence = q->sequence, .temperature = q->sampling.temperature, .end = HONE_DRAW_FAILED,
        .score = NAN};
    r->details[s->first + i] = (draw_detail){0};
    return HONE_OK;
}

bool run_fails_alone(hone_status status) {
    return status != HONE_OK && status != HONE_ERR_CANCELLED && status != HONE_ERR_MEMORY;
}

/* Those of the stage's draws from … to − 1 that have not ended never will. */
static void leave_out(stage *s, size_t from, size_t to, hone_draw_end end, const char *why) {
    for (size_t i = from; i < to; i++) {
        hone_draw *d = run_trace(s->run, s->first + i);
        if (d->end != HONE_DRAW_FAILED || d->fault) continue;
        d->end = end;
        d->ms = 0;
        if (why)
            d->fault = mem_copy_string(why, strlen(why)); /* without memory there are no words */
    }
}

static hone_status run_model(stage *s, size_t model, size_t from, size_t to) {
    const draw_service *service = s->run->service;
    stage part = *s;
    part.watchers += from;
    for (size_t i = from; i < to; i++) run_trace(s->run, s->first + i)->ms = clock_ms();
    return service->run(service->self, model, s->requests + from, to - from, end_draw, &part);
}

static hone_status run_models(stage *s, const draw_order *orders) {
    strategy_run *r = s->run;
    hone_status failure = HONE_OK;
    bool any = false;
    for (size_t from = 0, to; from < s->n; from = to) {
        size_t model = orders[from].model;
        for (to = from + 1; to < s->n && orders[to].model == model;) to++;
        if (from && (r->killing || r->cancelled || run_is_spent(r))) {
            leave_out(s, from, s->n, HONE_DRAW_KILLED, NULL);
            return HONE_OK;
        }
        hone_status status = run_model(s, model, from, to);
        if (run_fails_alone(status)) {
            leave_out(s, from, to, HONE_DRAW_FAILED, hone_error_message());
            failure = status;
            continue;
        }
        TRY(status);
        any = true;
    }
    return any ? HONE_OK : failure;
}

static hone_status run_stage(stage *s, const draw_order *orders) {
    strategy_run *r = s->run;
    TRY(reserve_trace(r, s->n));
    for (size_t i = 0; i < s->n; i++) {
        TRY(prepare(s, i, &orders[i]));
        r->result->n_draws++;
    }
    r->killing = false;
    hone_status status = run_models(s, orders);
    r->killing = false;
    return status;
}

/* How many of n draws the budget leaves. */
static size_t affordable(strategy_run *r, size_t n) {
    size_t most = r->options->max_draws;
    if (run_is_spent(r) || r->cancelled) return 0;
    if (!most || r->result->n_draws + n <= most) return n;
    run_stop(r, "budget of draws");
    return most > r->result->n_draws ? most - r->result->n_draws : 0;
}

static hone_status no_more(strategy_run *r) {
    if (r->cancelled) run_stop(r, "cancelled");
    return fail(HONE_ERR_CANCELLED, "%s", r->result->stop_reason);
}

hone_status run_draws(strategy_run *r, const draw_order *orders, size_t n, run_watch *watch,
                      void *user, size_t *first) {
    *first = r->result->n_draws;
    size_t n_wanted = n;
    n = affordable(r, n);
    if (n == 0) return no_more(r);
    stage s = {.run = r, .n = n, .first = *first, .watch = watch, .user = user};
    s.watchers = mem_calloc(n, sizeof *s.watchers);
    s.requests = mem_calloc(n, sizeof *s.requests);
    s.prompts = mem_calloc(n, sizeof *s.prompts);
    hone_status status = s.watchers && s.requests && s.prompts
                             ? run_stage(&s, orders) : mem_fail("draws", n * sizeof *s.requests);
    for (size_t i = 0; i < n; i++) {
        if (s.prompts) chat_release(&s.prompts[i]);
        if (s.watchers) mem_free(s.watchers[i].confidences);
    }
    mem_free(s.watchers);
    mem_free(s.requests);
    mem_free(s.prompts);
    if (status == HONE_ERR_CANCELLED) r->cancelled = true;
    if (status == HONE_OK && (r->cancelled || n < n_wanted || run_is_spent(r))) return no_more(r);
    return r->cancelled ? no_more(r) : status;
}

hone_status run_alike(strategy_run *r, const draw_order *order, const hone_sampling *samplings,
                      size_t n, run_watch *watch, void *user, size_t *first) {
    draw_order *orders = mem_calloc(n, sizeof *orders);
    if (!orders) return mem_fail("draws", n * sizeof *orders);
    for (size_t i = 0; i < n; i++) {
        orders[i] = *order;
        if (samplings) orders[i].sampling = &samplings[i];
    }
    hone_status status = run_draws(r, orders, n, watch, user, first);
    mem_free(orders);
    return status;
}

hone_status run_draw(strategy_run *r, const draw_order *order, size_t *draw) {
    return run_draws(r, order, 1, NULL, NULL, draw);
}

hone_status run_fresh(strategy_run *r, const char *label, const char *text,
                      const hone_sampling *sampling, size_t *draw) {
    const hone_part part = {HONE_PART_TEXT, text, strlen(text)};
    const hone_message message = {.role = "user", .parts = &part, .n_parts = 1};
    const hone_request request = {.messages = &message, .n_messages = 1};
    chat prompt;
    TRY(chat_init(&prompt, &request));
    hone_status status = run_draw(r, &(draw_order){.stage = label, .prompt = &prompt,
                                                   .sampling = sampling, .free_form = true}, draw);
    chat_release(&prompt);
    return status;
}

/* --- reading --- */

hone_status run_read_answers(strategy_run *r, size_t first) {
    for (size_t i = first; i < r->result->n_draws; i++) {
        hone_draw *d = run_trace(r, i);
        if (draw_is_whole(d) && !d->answer) TRY(answer_read(d->text, r->options->form, &d->answer));
    }
    return HONE_OK;
}

/* " Yes", "yes." and "YES" say yes. */
static bool says(const char *text, const char *word) {
    static const char around[] = " \t\n\"'(*.,:)";
    text += strspn(text, around);
    size_t n = strlen(word);
    return !strncasecmp(text, word, n) && text[n + strspn(text + n, around)] == 0;
}

hone_status run_first_words(strategy_run *r, size_t draw, const char *const *words, size_t n_words,
                            double *probabilities) {
    const draw_detail *detail = &r->details[draw];
    const draw_service *service = r->service;
    for (size_t k = 0; k < n_words; k++) probabilities[k] = 0;
    for (size_t i = 0; i < detail->n_first; i++) {
        char *text;
        TRY(service->token_text(service->self, run_trace(r, draw)->model, detail->first_ids[i],
                                &text));
        for (size_t k = 0; k < n_words; k++)
            if (says(text, words[k])) probabilities[k] += exp(detail->first_logprobs[i]);
        hone_free(text);
    }
    return HONE_OK;
}
