/* Running requests (include/hone/answer.h, request.h): prompt to ids, prefill, then draw, check,
 * emit; any number of them in one step. */
#include "infer/answer_int.h"

#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "infer/draft.h"
#include "infer/logprobs.h"

#define DEFAULT_PROMPT_TOKENS 512

const char *hone_finish_name(hone_finish finish) {
    switch (finish) {
    case HONE_FINISH_STOP: return "stop";
    case HONE_FINISH_LENGTH: return "length";
    case HONE_FINISH_CANCELLED: return "cancelled";
    }
    return "unknown";
}

void hone_result_release(hone_result *result) {
    mem_free(result->text);
    mem_free(result->tokens);
    mem_free(result->embedding);
    *result = (hone_result){0};
}

/* --- before any work --- */

static hone_status check_tokens(const hone_answer *a, const int32_t *tokens, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= tokenizer_size(a->model->tokenizer))
            return fail(HONE_ERR_ARGUMENT, "token %d is none of this model's", tokens[i]);
    return HONE_OK;
}

static hone_status check_request(const hone_answer *a) {
    const hone_request *r = a->request;
    if (r->n_top_logprobs > HONE_MAX_TOP_LOGPROBS ||
        r->n_top_logprobs > tokenizer_size(a->model->tokenizer))
        return fail(HONE_ERR_ARGUMENT, "%zu alternatives per token, at most %d", r->n_top_logprobs,
                    HONE_MAX_TOP_LOGPROBS);
    if (r->grammar && hone_grammar_model(r->grammar) != a->model)
        return fail(HONE_ERR_ARGUMENT, "the grammar belongs to another model");
    if (r->embedding && r->prompt_logprobs)
        return fail(HONE_ERR_ARGUMENT,
                    "an embedding and the prompt's log-probabilities are two requests");
    TRY(check_tokens(a, r->forced, r->n_forced));
    TRY(check_tokens(a, r->begun, r->n_begun));
    return draft_check(r, a->session);
}

/* Rows of the embedding behind the tokenizer's last id mean nothing and are never drawn. */
static hone_status open_masks(hone_answer *a) {
    size_t n_vocab = a->model->net.h.n_vocab, n_known = tokenizer_size(a->model->tokenizer);
    a->mask_words = (n_vocab + 63) / 64;
    if (n_known < n_vocab || a->request->token_mask || a->request->grammar) {
        a->mask = mem_calloc(3 * a->mask_words, sizeof *a->mask);
        if (!a->mask) return mem_fail("token mask", 3 * a->mask_words * sizeof *a->mask);
        a->padding = a->mask + a->mask_words;
        a->grammar_mask = a->padding + a->mask_words;
        for (size_t i = 0; i < n_known; i++) a->padding[i / 64] |= (uint64_t)1 << (i % 64);
        memcpy(a->mask, a->padding, a->mask_words * sizeof *a->mask);
    }
    return HONE_OK;
}

static hone_status begin(hone_answer *a) {
    const hone_request *r = a->request;
    const token_list *ids = &a->prompt;
    TRY(check_request(a));
    TRY(answer_begin_prompt(a));
    TRY(sampler_open(&a->sampler, &r->sampling, a->model->net.h.n_vocab));
    /* After a bare BOS the answer is the whole text, whose first space is the tokenizer's own. */
    bool whole_text = ids->n == 1 && ids->ids[0] == tokenizer_bos(a->model->tokenizer) &&
                      tokenizer_drops_first_space(a->model->tokenizer);
    TRY(text_stream_open(&a->stream, r->stop, r->n_stop, whole_text));
    TRY(open_masks(a));
    TRY(thinking_init(&a->thinking, a->model, ids->ids, ids->n - r->n_begun));
    for (size_t i = 0; i < r->n_begun; i++)
        TRY(thinking_take(&a->thinking, a->model, r->begun[i]));
    a->n_thought_before = a->thinking.n_tokens;
    /* under a grammar that holds from the beginning the answer opens no thought */
    if (r->grammar && a->thinking.state == THINKING_NOT_YET && !hone_grammar_is_lazy(r->grammar))
        a->thinking.state = THINKING_OVER;
    return HONE_OK;
}

hone_status hone_answer_open(hone_answer **out, hone_session *session,
                             const hone_request *request) {
    *out = NULL;
    hone_answer *a = mem_calloc(1, sizeof *a);
    if (!a) return mem_fail("answer", sizeof *a);
    a->session = session;
    a->model = session->model;
    a->request = request;
    a->started_ms = clock_ms();
    buf_init(&a->piece, SIZE_MAX / 2);
    buf_init(&a->text, SIZE_MAX / 2);
    hone_status status = begin(a);
    if (status != HONE_OK) {
        hone_answer_close(a);
        return status;
    }
    *out = a;
    return HONE_OK;
}

void hone_answer_close(hone_answer *a) {
    if (!a) return;
    mem_free(a->tokens);
    mem_free(a->mask);
    mem_free(a->state_sums);
    mem_free(a->error_text);
    buf_release(&a->piece);
    buf_release(&a->text);
    text_stream_close(a->stream);
    sampler_close(a->sampler);
    token_list_release(&a->prompt);
    thinking_release(&a->thinking);
    mem_free(a);
}

void hone_answer_set_share(hone_answer *a, size_t n_tokens) { a->share = n_tokens; }

bool hone_answer_finished(const hone_answer *a) { return a->finished; }

size_t hone_answer_prompt(const hone_answer *a, size_t *n_done) {
    size_t held = a->session->n_tokens;
    *n_done = held < a->prompt.n ? held : a->prompt.n;
    return a->prompt.n;
}

hone_status hone_answer_error(const hone_answer *a, const char **message) {
    *message = a->error == HONE_OK           ? ""
               : a->error_text               ? a->error_text
               : a->error == HONE_ERR_MEMORY ? "memory is short"
                                             : "the answer failed";
    return a->error;
}

/* --- one token --- */

void answer_end(hone_answer *a, hone_finish finish) {
    a->finished = true;
    a->finish = finish;
}

/* What the caller's mask and the grammar both allow, among the tokens that there are. */
static hone_status set_mask(hone_answer *a) {
    const hone_request *r = a->request;
    if (!r->token_mask && !r->grammar) return HONE_OK;
    memset(a->mask, 0xFF, a->mask_words * sizeof *a->mask);
    if (r->token_mask) TRY(r->token_mask(r->user, a->tokens, a->n_tokens, a->mask));
    if (r->grammar && a->thinking.state != THINKING_NOW) {
        TRY(hone_grammar_mask(r->grammar, &a->cursor, a->tokens + a->grammar_from,
                              a->n_tokens - a->grammar_from, a->grammar_mask));
        for (size_t i = 0; i < a->mask_words; i++) a->mask[i] &= a->grammar_mask[i];
    }
    for (size_t i = 0; i < a->mask_words; i++) a->mask[i] &= a->padding[i];
    return HONE_OK;
}

static hone_status pick(hone_answer *a, const float *logits, int32_t *token) {
    const hone_request *r = a->request;
    if (a->n_tokens < r->n_forced) {
        *token = r->forced[a->n_tokens];
        return HONE_OK;
    }
    if (r->limit_thinking) {
        TRY(thinking_force(&a->thinking, a->model, r->thinking_budget, token));
        if (*token >= 0) return HONE_OK;
    }
    TRY(set_mask(a));
    /* During speculation the session holds drafted tokens, too: of those only the accepted
     * count. */
    sampler_place place = {
        .history = a->session->tokens, .n_history = a->prompt.n + a->n_tokens,
        .n_generated = a->n_tokens, .step = (uint32_t)a->n_tokens, .sequence = r->sequence,
        .mask = a->mask};
    return sampler_pick(a->sampler, logits, &place, token);
}

static hone_status keep_token(hone_answer *a, int32_t token) {
    TRY(mem_grow(&a->tokens, &a->capacity, a->n_tokens + 1, sizeof *a->tokens, "answer"));
    a->tokens[a->n_tokens++] = token;
    return HONE_OK;
}

void answer_show(hone_answer *a, hone_piece *piece, const float *logits) {
    const hone_request *r = a->request;
    const hone_model *m = a->model;
    top_logprobs top;
    if (!r->on_piece) return;
    if (logits)
        logits_describe(logits, m->net.h.n_vocab, tokenizer_size(m->tokenizer),
                        r->n_top_logprobs, piece, &top);
    if (r->on_piece(r->user, piece) == 0) return;
    a->receiver_left = true;
    answer_end(a, HONE_FINISH_CANCELLED);
}

/* Hands on what the stream released; `logits` are those the token was drawn from (NULL at the
 * end). */
static hone_status emit(hone_answer *a, int32_t token, const float *logits) {
    const hone_request *r = a->request;
    hone_piece piece = {.text = a->piece.data ? a->piece.data : "", .n_bytes = a->piece.len,
                        .token = token};
    TRY(buf_add(&a->text, piece.text, piece.n_bytes));
    answer_show(a, &piece, r->logprobs || r->n_top_logprobs ? logits : NULL);
    a->piece.len = 0;
    return HONE_OK;
}

/* Takes a drawn token into the answer and decides whether the answer ends with it. */
static hone_status deliver(hone_answer *a, int32_t token, const float *logits) {
    const hone_request *r = a->request;
    if (a->n_tokens == 0) a->first_token_ms = clock_ms();
    TRY(keep_token(a, token));
    bool over = a->thinking.state == THINKING_OVER && !a->thinking.forced;
    TRY(thinking_take(&a->thinking, a->model, token));
    if (!over && a->thinking.tags) a->grammar_from = a->n_tokens;
    if (!r->ignore_eos && tokenizer_is_stop(a->model->tokenizer, token)) {
        answer_end(a, HONE_FINISH_STOP);
        return emit(a, token, logits);
    }
    const char *bytes;
    size_t n;
    bool stopped;
    TRY(tokenizer_piece(a->model->tokenizer, token, false, &bytes, &n));
    TRY(text_stream_push(a->stream, bytes, n, &a->piece, &stopped));
    TRY(emit(a, token, logits));
    if (a->finished) return HONE_OK; /* the receiver wants no more */
    if (stopped)
        answer_end(a, HONE_FINISH_STOP);
    else if (a->n_tokens == r->max_tokens || a->prompt.n + a->n_tokens > a->session->n_context)
        answer_end(a, HONE_FINISH_LENGTH);
    return HONE_OK;
}

/* --- a step --- */

/* The prompt is in, and what comes next is drawn from the session's last logits. */
static bool awaits_first_token(const hone_answer *a) {
    return a->n_tokens == 0 && a->session->n_tokens == a->prompt.n &&
           session_last_logits(a->session);
}

static hone_status draw_first(hone_answer *a) {
    int32_t token;
    const float *logits = session_last_logits(a->session);
    a->prefill_ms = clock_ms() - a->started_ms;
    if (a->request->prompt_only) {
        answer_end(a, HONE_FINISH_LENGTH);
        return HONE_OK;
    }
    TRY(pick(a, logits, &token));
    return deliver(a, token, logits);
}

/* The token drawn last, and its drafts. */
static hone_status offer_token(hone_answer *a, hone_step_item *item) {
    const hone_request *r = a->request;
    hone_session *s = a->session;
    size_t most = s->n_context - s->n_tokens - 1, n_drafted;
    if (r->max_tokens && most > r->max_tokens - a->n_tokens) most = r->max_tokens - a->n_tokens;
    a->feed[0] = a->tokens[a->n_tokens - 1];
    TRY(draft_propose(r, s, a->feed, most, &n_drafted));
    a->n_drafted += n_drafted;
    a->n_fed = 1 + n_drafted;
    a->base = s->n_tokens;
    *item = (hone_step_item){s, a->feed, a->n_fed, HONE_LOGITS_ALL};
    return HONE_OK;
}

static hone_status offer(hone_answer *a, size_t *budget, hone_step_item *item) {
    item->n_tokens = 0;
    if (awaits_first_token(a)) TRY(draw_first(a));
    if (a->finished) return HONE_OK;
    return a->n_tokens ? offer_token(a, item) : answer_offer_prompt(a, budget, item);
}

/* Draws a token from each position as long as the draft foresaw it. */
static hone_status receive_tokens(hone_answer *a) {
    for (size_t i = 0;; i++) {
        const float *logits = hone_session_logits(a->session, i);
        int32_t token;
        TRY(pick(a, logits, &token));
        bool foreseen = i + 1 < a->n_fed && token == a->feed[1 + i];
        a->n_accepted += foreseen;
        TRY(deliver(a, token, logits));
        if (!foreseen || a->finished) return hone_session_rewind(a->session, a->base + 1 + i);
    }
}

static hone_status receive(hone_answer *a) {
    if (a->n_tokens) return receive_tokens(a);
    TRY(answer_receive_prompt(a));
    return !a->finished && awaits_first_token(a) ? draw_first(a) : HONE_OK;
}

static void settle(hone_answer *a, hone_status status) {
    if (status == HONE_OK) return;
    if (status == HONE_ERR_CANCELLED) { /* the draft's session */
        answer_end(a, HONE_FINISH_CANCELLED);
        return;
    }
    a->finished = true;
    a->error = status;
    const char *text = hone_error_message();
    a->error_text = mem_copy_string(text, strlen(text));
}

hone_status hone_answers_step(hone_answer *const *answers, size_t n, size_t n_prompt_tokens) {
    size_t budget = n_prompt_tokens ? n_prompt_tokens : DEFAULT_PROMPT_TOKENS, n_items = 0;
    size_t bytes = n * (sizeof(hone_step_item) + sizeof *answers);
    hone_step_item *items = mem_alloc(bytes);
    if (!items) return mem_fail("step", bytes);
    hone_answer **stepped = (hone_answer **)(items + n);
    for (size_t i = 0; i < n; i++) {
        if (answers[i]->finished) continue;
        settle(answers[i], offer(answers[i], &budget, &items[n_items]));
        if (answers[i]->finished || items[n_items].n_tokens == 0) continue;
        stepped[n_items++] = answers[i];
    }
    hone_status status = n_items ? hone_step(items, n_items) : HONE_OK;
    if (status == HONE_OK)
        for (size_t i = 0; i < n_items; i++) settle(stepped[i], receive(stepped[i]));
    mem_free(items);
    return status;
}

/* --- the end --- */

/* Releases what the stream still holds and fills the result. */
static hone_status conclude(hone_answer *a, hone_result *result) {
    bool stopped = false;
    if (!a->receiver_left) TRY(text_stream_finish(a->stream, &a->piece, &stopped));
    if (stopped && a->finish == HONE_FINISH_LENGTH) a->finish = HONE_FINISH_STOP;
    if (a->piece.len) TRY(emit(a, -1, NULL));
    double now = clock_ms();
    result->finish = a->finish;
    result->n_cached_tokens = a->n_cached;
    result->prefill_ms = a->prefill_ms;
    result->n_prompt_tokens = a->prompt.n;
    result->n_tokens = a->n_tokens;
    result->n_thought_tokens = a->thinking.n_tokens - a->n_thought_before;
    result->n_drafted = a->n_drafted;
    result->n_accepted = a->n_accepted;
    result->seed = a->request->sampling.seed;
    if (a->n_tokens) {
        result->ttft_ms = a->first_token_ms - a->started_ms;
        result->decode_ms = now - a->first_token_ms;
    }
    if (a->state_sums && a->finish != HONE_FINISH_CANCELLED)
        TRY(answer_make_embedding(a, &result->embedding));
    result->n_bytes = a->text.len;
    result->text = buf_take(&a->text);
    if (!result->text) return mem_fail("answer", 1);
    result->tokens = a->tokens;
    a->tokens = NULL;
    return HONE_OK;
}

hone_status hone_answer_conclude(hone_answer *a, hone_result *result) {
    const char *words;
    if (a->error != HONE_OK) {
        hone_answer_error(a, &words);
        return fail(a->error, "%s", words);
    }
    if (!a->finished) answer_end(a, HONE_FINISH_CANCELLED);
    hone_result made = {0};
    hone_status status = conclude(a, &made);
    if (status == HONE_OK) *result = made;
    else hone_result_release(&made);
    return status;
}

hone_status hone_generate(hone_session *session, const hone_request *request, hone_result *result) {
    hone_answer *a;
    hone_status status = hone_answer_open(&a, session, request);
    while (status == HONE_OK && !a->finished)
        status = hone_answers_step(&a, 1, session->prefill_chunk);
    if (status == HONE_OK || (a && status == HONE_ERR_CANCELLED))
        status = hone_answer_conclude(a, result);
    hone_answer_close(a);
    return status;
}
