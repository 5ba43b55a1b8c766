/* Running a request (include/hone/request.h): prompt to ids, prefill, then draw, check, emit. */
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "infer/engine.h"
#include "infer/ngram_draft.h"
#include "infer/sampler.h"
#include "infer/text_stream.h"

#define DEFAULT_DRAFT 5

typedef struct generation {
    hone_session *session;
    const hone_model *model;
    const hone_request *request;
    size_t n_prompt;
    sampler *sampler;
    text_stream *stream;
    buf piece, text;         /* what the last push released; the whole answer */
    int32_t *tokens;         /* generated so far */
    size_t n_tokens, capacity;
    uint64_t *mask, *padding; /* [mask_words]; NULL where nothing is forbidden */
    size_t mask_words;
    uint64_t *grammar_mask; /* [mask_words] */
    hone_grammar_cursor cursor;
    bool finished;
    bool receiver_left; /* on_piece wants no more */
    hone_finish finish;
    size_t n_drafted, n_accepted;
    double started_ms, first_token_ms;
} generation;

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
    *result = (hone_result){0};
}

/* --- before any work --- */

static hone_status prompt_ids(const generation *g, token_list *ids) {
    const hone_request *r = g->request;
    int n_forms = (r->n_messages > 0) + (r->prompt != NULL) + (r->n_prompt_ids > 0);
    if (n_forms == 0) return fail(HONE_ERR_ARGUMENT, "the prompt is empty");
    if (n_forms > 1)
        return fail(HONE_ERR_ARGUMENT, "give one of messages, prompt and prompt_ids");
    if (r->n_messages)
        return hone_render_chat(g->model, r->messages, r->n_messages, r->tools_json, NULL,
                                &ids->ids, &ids->n);
    if (r->prompt)
        return tokenizer_encode(g->model->tokenizer, r->prompt, r->prompt_bytes, NULL, 0,
                                ENCODE_ADD_SPECIAL, ids);
    ids->ids = mem_calloc(r->n_prompt_ids, sizeof *ids->ids);
    if (!ids->ids) return mem_fail("prompt", r->n_prompt_ids * sizeof *ids->ids);
    memcpy(ids->ids, r->prompt_ids, r->n_prompt_ids * sizeof *ids->ids);
    ids->n = r->n_prompt_ids;
    return HONE_OK;
}

/* Drafts are ids of the other model: every id must mean the same text in both. */
static hone_status check_same_vocabulary(const hone_model *a, const hone_model *b) {
    size_t n = tokenizer_size(a->tokenizer);
    bool same = tokenizer_size(b->tokenizer) == n;
    for (size_t i = 0; same && i < n; i++) {
        const char *text_a, *text_b;
        size_t n_a, n_b;
        TRY(tokenizer_piece(a->tokenizer, (int32_t)i, true, &text_a, &n_a));
        TRY(tokenizer_piece(b->tokenizer, (int32_t)i, true, &text_b, &n_b));
        same = n_a == n_b && memcmp(text_a, text_b, n_a) == 0;
    }
    if (same) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "%s cannot draft here: its vocabulary differs from the model's",
                b->source.path);
}

static hone_status check_request(const generation *g) {
    const hone_request *r = g->request;
    if (r->n_top_logprobs > HONE_MAX_TOP_LOGPROBS || r->n_top_logprobs > g->model->net.h.n_vocab)
        return fail(HONE_ERR_ARGUMENT, "%zu alternatives per token, at most %d", r->n_top_logprobs,
                    HONE_MAX_TOP_LOGPROBS);
    if (r->n_draft > HONE_MAX_DRAFT)
        return fail(HONE_ERR_ARGUMENT, "%zu drafted tokens, at most %d", r->n_draft,
                    HONE_MAX_DRAFT);
    if (r->grammar && hone_grammar_model(r->grammar) != g->model)
        return fail(HONE_ERR_ARGUMENT, "the grammar belongs to another model");
    if (r->draft_kind != HONE_DRAFT_MODEL) return HONE_OK;
    if (!r->draft || r->draft == g->session)
        return fail(HONE_ERR_ARGUMENT, "drafting by a model needs a session of its own");
    return check_same_vocabulary(g->model, r->draft->model);
}

/* Rows of the embedding behind the tokenizer's last id mean nothing and are never drawn. */
static hone_status open_masks(generation *g) {
    size_t n_vocab = g->model->net.h.n_vocab, n_known = tokenizer_size(g->model->tokenizer);
    g->mask_words = (n_vocab + 63) / 64;
    if (n_known < n_vocab || g->request->token_mask || g->request->grammar) {
        g->mask = mem_calloc(3 * g->mask_words, sizeof *g->mask);
        if (!g->mask) return mem_fail("token mask", 3 * g->mask_words * sizeof *g->mask);
        g->padding = g->mask + g->mask_words;
        g->grammar_mask = g->padding + g->mask_words;
        for (size_t i = 0; i < n_known; i++) g->padding[i / 64] |= (uint64_t)1 << (i % 64);
        memcpy(g->mask, g->padding, g->mask_words * sizeof *g->mask);
    }
    return HONE_OK;
}

static hone_status begin(generation *g, token_list *ids) {
    const hone_request *r = g->request;
    TRY(check_request(g));
    TRY(prompt_ids(g, ids));
    if (ids->n == 0) return fail(HONE_ERR_ARGUMENT, "the prompt is empty");
    if (ids->n >= g->session->n_context)
        return fail(HONE_ERR_CONTEXT_FULL,
                    "the prompt has %zu tokens and needs room for an answer; "
                    "the context holds %zu", ids->n, g->session->n_context);
    g->n_prompt = ids->n;
    TRY(sampler_open(&g->sampler, &r->sampling, g->model->net.h.n_vocab));
    /* After a bare BOS the answer is the whole text, whose first space is the tokenizer's own. */
    bool whole_text = ids->n == 1 && ids->ids[0] == tokenizer_bos(g->model->tokenizer) &&
                      tokenizer_drops_first_space(g->model->tokenizer);
    TRY(text_stream_open(&g->stream, r->stop, r->n_stop, whole_text));
    return open_masks(g);
}

/* --- one token --- */

static void end(generation *g, hone_finish finish) {
    g->finished = true;
    g->finish = finish;
}

/* What the caller's mask and the grammar both allow, among the tokens that there are. */
static hone_status set_mask(generation *g) {
    const hone_request *r = g->request;
    if (!r->token_mask && !r->grammar) return HONE_OK;
    memset(g->mask, 0xFF, g->mask_words * sizeof *g->mask);
    if (r->token_mask) TRY(r->token_mask(r->user, g->tokens, g->n_tokens, g->mask));
    if (r->grammar) {
        TRY(hone_grammar_mask(r->grammar, &g->cursor, g->tokens, g->n_tokens, g->grammar_mask));
        for (size_t i = 0; i < g->mask_words; i++) g->mask[i] &= g->grammar_mask[i];
    }
    for (size_t i = 0; i < g->mask_words; i++) g->mask[i] &= g->padding[i];
    return HONE_OK;
}

static hone_status pick(generation *g, const float *logits, int32_t *token) {
    const hone_request *r = g->request;
    TRY(set_mask(g));
    /* During speculation the session holds drafted tokens, too: of those only the accepted
     * count. */
    sampler_place place = {
        .history = g->session->tokens, .n_history = g->n_prompt + g->n_tokens,
        .n_generated = g->n_tokens, .step = (uint32_t)g->n_tokens, .sequence = r->sequence,
        .mask = g->mask};
    return sampler_pick(g->sampler, logits, &place, token);
}

static hone_status keep_token(generation *g, int32_t token) {
    if (g->n_tokens == g->capacity) {
        size_t capacity = g->capacity * 2 + 64;
        int32_t *tokens = mem_realloc(g->tokens, capacity, sizeof *tokens);
        if (!tokens) return mem_fail("answer", capacity * sizeof *tokens);
        g->tokens = tokens;
        g->capacity = capacity;
    }
    g->tokens[g->n_tokens++] = token;
    return HONE_OK;
}

/* Hands on what the stream released; `logits` are those the token was drawn from (NULL at the
 * end). */
static hone_status emit(generation *g, int32_t token, const float *logits) {
    const hone_request *r = g->request;
    int32_t top_ids[HONE_MAX_TOP_LOGPROBS];
    double top_logprobs[HONE_MAX_TOP_LOGPROBS];
    hone_piece piece = {.text = g->piece.data ? g->piece.data : "", .n_bytes = g->piece.len,
                        .token = token, .top_ids = top_ids, .top_logprobs = top_logprobs};
    if (logits && (r->logprobs || r->n_top_logprobs)) {
        size_t n_vocab = g->model->net.h.n_vocab;
        piece.logprob = logits_logprob(logits, n_vocab, token);
        piece.n_top = r->n_top_logprobs;
        logits_top(logits, n_vocab, piece.n_top, top_ids, top_logprobs);
    }
    TRY(buf_add(&g->text, piece.text, piece.n_bytes));
    if (r->on_piece && r->on_piece(r->user, &piece) != 0) {
        g->receiver_left = true;
        end(g, HONE_FINISH_CANCELLED);
    }
    g->piece.len = 0;
    return HONE_OK;
}

/* Takes a drawn token into the answer and decides whether the answer ends with it. */
static hone_status deliver(generation *g, int32_t token, const float *logits) {
    const hone_request *r = g->request;
    if (g->n_tokens == 0) g->first_token_ms = clock_ms();
    TRY(keep_token(g, token));
    if (!r->ignore_eos && tokenizer_is_stop(g->model->tokenizer, token)) {
        end(g, HONE_FINISH_STOP);
        return emit(g, token, logits);
    }
    const char *bytes;
    size_t n;
    bool stopped;
    TRY(tokenizer_piece(g->model->tokenizer, token, false, &bytes, &n));
    TRY(text_stream_push(g->stream, bytes, n, &g->piece, &stopped));
    TRY(emit(g, token, logits));
    if (g->finished) return HONE_OK; /* the receiver wants no more */
    if (stopped)
        end(g, HONE_FINISH_STOP);
    else if (g->n_tokens == r->max_tokens || g->n_prompt + g->n_tokens > g->session->n_context)
        end(g, HONE_FINISH_LENGTH);
    return HONE_OK;
}

/* --- drafting --- */

static int32_t argmax(const float *x, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return (int32_t)best;
}

/* The draft model's most probable continuation of history[n]. */
static hone_status model_draft(hone_session *draft, const int32_t *history, size_t n, int32_t *out,
                               size_t k, size_t *n_out) {
    *n_out = 0;
    if (n + k > draft->n_context) return HONE_OK;
    TRY(hone_prefill(draft, history, n, NULL, NULL, NULL));
    while (*n_out < k) {
        /* never a row of padding: the two models may have different numbers of those */
        int32_t token = argmax(session_last_logits(draft), tokenizer_size(draft->model->tokenizer));
        out[(*n_out)++] = token;
        if (*n_out < k) TRY(hone_step(&(hone_step_item){draft, &token, 1, HONE_LOGITS_LAST}, 1));
    }
    return HONE_OK;
}

/* feed[0] is the token just drawn; puts drafted ones behind it. */
static hone_status draft_tokens(generation *g, int32_t *feed, size_t *n_drafted) {
    const hone_request *r = g->request;
    hone_session *s = g->session;
    size_t k = r->n_draft ? r->n_draft : DEFAULT_DRAFT, room = s->n_context - s->n_tokens - 1;
    if (k > room) k = room;
    if (r->max_tokens && k > r->max_tokens - g->n_tokens) k = r->max_tokens - g->n_tokens;
    *n_drafted = 0;
    if (r->draft_kind == HONE_DRAFT_NONE || k == 0) return HONE_OK;
    size_t n = s->n_tokens + 1;
    int32_t *history = mem_alloc(n * sizeof *history);
    if (!history) return mem_fail("draft", n * sizeof *history);
    memcpy(history, s->tokens, s->n_tokens * sizeof *history);
    history[s->n_tokens] = feed[0];
    hone_status status = HONE_OK;
    if (r->draft_kind == HONE_DRAFT_NGRAM)
        *n_drafted = ngram_draft(history, n, feed + 1, k);
    else
        status = model_draft(r->draft, history, n, feed + 1, k, n_drafted);
    mem_free(history);
    g->n_drafted += *n_drafted;
    return status;
}

/* --- the loop --- */

/* Feeds the token and its drafts in one step, draws a token from each position as long as the draft
 * foresaw it, and leaves the first that it did not foresee in *token. */
static hone_status advance(generation *g, int32_t *token) {
    hone_session *s = g->session;
    int32_t feed[1 + HONE_MAX_DRAFT] = {*token};
    size_t n_drafted, base = s->n_tokens;
    TRY(draft_tokens(g, feed, &n_drafted));
    TRY(hone_step(&(hone_step_item){s, feed, 1 + n_drafted, HONE_LOGITS_ALL}, 1));
    for (size_t i = 0;; i++) {
        const float *logits = hone_session_logits(s, i);
        TRY(pick(g, logits, token));
        bool foreseen = i < n_drafted && *token == feed[1 + i];
        g->n_accepted += foreseen;
        TRY(deliver(g, *token, logits));
        if (!foreseen || g->finished) return hone_session_rewind(s, base + 1 + i);
    }
}

static hone_status generate(generation *g, const token_list *ids, hone_result *result) {
    const hone_request *r = g->request;
    TRY(hone_prefill(g->session, ids->ids, ids->n, &result->n_cached_tokens, r->on_prefill,
                     r->user));
    result->prefill_ms = clock_ms() - g->started_ms;
    int32_t token;
    const float *logits = session_last_logits(g->session);
    TRY(pick(g, logits, &token));
    TRY(deliver(g, token, logits));
    while (!g->finished) TRY(advance(g, &token));
    return HONE_OK;
}

/* Releases what the stream still holds and fills the result. */
static hone_status conclude(generation *g, hone_result *result) {
    bool stopped = false;
    if (!g->receiver_left) TRY(text_stream_finish(g->stream, &g->piece, &stopped));
    if (stopped && g->finish == HONE_FINISH_LENGTH) g->finish = HONE_FINISH_STOP;
    if (g->piece.len) TRY(emit(g, -1, NULL));
    double now = clock_ms();
    result->finish = g->finish;
    result->n_prompt_tokens = g->n_prompt;
    result->n_tokens = g->n_tokens;
    result->n_drafted = g->n_drafted;
    result->n_accepted = g->n_accepted;
    result->seed = g->request->sampling.seed;
    if (g->n_tokens) {
        result->ttft_ms = g->first_token_ms - g->started_ms;
        result->decode_ms = now - g->first_token_ms;
    }
    result->n_bytes = g->text.len;
    result->text = buf_take(&g->text);
    if (!result->text) return mem_fail("answer", 1);
    result->tokens = g->tokens;
    g->tokens = NULL;
    return HONE_OK;
}

hone_status hone_generate(hone_session *session, const hone_request *request, hone_result *result) {
    generation g = {.session = session, .model = session->model, .request = request,
                    .started_ms = clock_ms()};
    hone_result made = {0};
    token_list ids = {0};
    buf_init(&g.piece, SIZE_MAX / 2);
    buf_init(&g.text, SIZE_MAX / 2);
    hone_status status = begin(&g, &ids);
    if (status == HONE_OK) {
        status = generate(&g, &ids, &made);
        if (status == HONE_ERR_CANCELLED) {
            end(&g, HONE_FINISH_CANCELLED);
            status = HONE_OK;
        }
        if (status == HONE_OK) status = conclude(&g, &made);
    }
    if (status == HONE_OK) *result = made;
    mem_free(g.tokens);
    mem_free(g.mask);
    buf_release(&g.piece);
    buf_release(&g.text);
    text_stream_close(g.stream);
    sampler_close(g.sampler);
    token_list_release(&ids);
    return status;
}
