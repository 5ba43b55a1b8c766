/* Drafts by look-up or by a smaller model (infer/draft.h). */
#include "infer/draft.h"

#include <string.h>

#include "base/mem.h"
#include "infer/logprobs.h"
#include "infer/ngram_draft.h"

#define DEFAULT_DRAFT 5

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

hone_status draft_check(const hone_request *r, const hone_session *session) {
    if (r->n_draft > HONE_MAX_DRAFT)
        return fail(HONE_ERR_ARGUMENT, "%zu drafted tokens, at most %d", r->n_draft,
                    HONE_MAX_DRAFT);
    if (r->draft_kind != HONE_DRAFT_MODEL) return HONE_OK;
    if (!r->draft || r->draft == session)
        return fail(HONE_ERR_ARGUMENT, "drafting by a model needs a session of its own");
    return check_same_vocabulary(session->model, r->draft->model);
}

/* The draft model's most probable continuation of history[n]. */
static hone_status model_draft(hone_session *draft, const int32_t *history, size_t n, int32_t *out,
                               size_t k, size_t *n_out) {
    *n_out = 0;
    if (n + k > draft->n_context) return HONE_OK;
    TRY(hone_prefill(draft, history, n, NULL, NULL, NULL));
    while (*n_out < k) {
        /* never a row of padding: the two models may have different numbers of those */
        int32_t token = logits_best(session_last_logits(draft),
                                    tokenizer_size(draft->model->tokenizer));
        out[(*n_out)++] = token;
        if (*n_out < k) TRY(hone_step(&(hone_step_item){draft, &token, 1, HONE_LOGITS_LAST}, 1));
    }
    return HONE_OK;
}

hone_status draft_propose(const hone_request *r, const hone_session *s, int32_t *feed, size_t most,
                          size_t *n_drafted) {
    size_t k = r->n_draft ? r->n_draft : DEFAULT_DRAFT;
    if (k > most) k = most;
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
    return status;
}
