/* An answer's way through its prompt, and what is wanted of the prompt (infer/answer_int.h). */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "infer/answer_int.h"

/* --- before any work --- */

static hone_status read_prompt(hone_answer *a) {
    const hone_request *r = a->request;
    token_list *ids = &a->prompt;
    int n_forms = (r->n_messages > 0) + (r->prompt != NULL) + (r->n_prompt_ids > 0);
    if (n_forms == 0) return fail(HONE_ERR_ARGUMENT, "the prompt is empty");
    if (n_forms > 1)
        return fail(HONE_ERR_ARGUMENT, "give one of messages, prompt and prompt_ids");
    if (r->n_messages)
        return hone_render_chat(a->model, r->messages, r->n_messages, r->tools_json,
                                r->variables_json, NULL, &ids->ids, &ids->n);
    if (r->prompt)
        return tokenizer_encode(a->model->tokenizer, r->prompt, r->prompt_bytes, NULL, 0,
                                ENCODE_ADD_SPECIAL, ids);
    ids->ids = mem_calloc(r->n_prompt_ids, sizeof *ids->ids);
    if (!ids->ids) return mem_fail("prompt", r->n_prompt_ids * sizeof *ids->ids);
    memcpy(ids->ids, r->prompt_ids, r->n_prompt_ids * sizeof *ids->ids);
    ids->n = r->n_prompt_ids;
    return HONE_OK;
}

static hone_status prompt_ids(hone_answer *a) {
    const hone_request *r = a->request;
    token_list *ids = &a->prompt;
    TRY(read_prompt(a));
    if (r->n_begun == 0) return HONE_OK;
    int32_t *all = mem_realloc(ids->ids, ids->n + r->n_begun, sizeof *all);
    if (!all) return mem_fail("prompt", (ids->n + r->n_begun) * sizeof *all);
    memcpy(all + ids->n, r->begun, r->n_begun * sizeof *all);
    ids->ids = all;
    ids->n += r->n_begun;
    return HONE_OK;
}

hone_status answer_begin_prompt(hone_answer *a) {
    const hone_request *r = a->request;
    size_t n_context = a->session->n_context, n_embd = a->model->net.h.n_embd;
    bool only = r->prompt_only || r->embedding;
    TRY(prompt_ids(a));
    if (a->prompt.n == 0) return fail(HONE_ERR_ARGUMENT, "the prompt is empty");
    if (a->prompt.n + !only > n_context)
        return fail(HONE_ERR_CONTEXT_FULL, "the prompt has %zu tokens%s; the context holds %zu",
                    a->prompt.n, only ? "" : " and needs room for an answer", n_context);
    if (r->embedding) {
        a->state_sums = mem_calloc(n_embd, sizeof *a->state_sums);
        if (!a->state_sums) return mem_fail("embedding", n_embd * sizeof *a->state_sums);
    }
    if (r->embedding || r->prompt_logprobs) TRY(hone_session_rewind(a->session, 0));
    return session_reuse_prefix(a->session, a->prompt.ids, a->prompt.n, &a->n_cached);
}

/* --- log-probabilities of the prompt's tokens --- */

/* Shows the next token of the prompt; `logits` are those behind the one before it, NULL for the
 * first. */
static void tell(hone_answer *a, const float *logits) {
    hone_piece piece = {.text = "", .token = a->prompt.ids[a->n_told++], .in_prompt = true,
                        .logprob = NAN};
    answer_show(a, &piece, logits);
}

/* --- embeddings --- */

static void add_states(hone_answer *a) {
    size_t n_embd = a->model->net.h.n_embd;
    const float *state;
    for (size_t i = 0; (state = hone_session_states(a->session, i)) != NULL; i++)
        for (size_t k = 0; k < n_embd; k++) a->state_sums[k] += (double)state[k];
}

hone_status answer_make_embedding(const hone_answer *a, float **embedding) {
    size_t n = a->model->net.h.n_embd;
    float *out = mem_calloc(n, sizeof *out);
    if (!out) return mem_fail("embedding", n * sizeof *out);
    double squares = 0; /* the mean's own length does not matter */
    for (size_t k = 0; k < n; k++) squares += a->state_sums[k] * a->state_sums[k];
    for (size_t k = 0; k < n && squares > 0; k++)
        out[k] = (float)(a->state_sums[k] / sqrt(squares));
    *embedding = out;
    return HONE_OK;
}

/* --- pieces --- */

hone_status answer_offer_prompt(hone_answer *a, size_t *budget, hone_step_item *item) {
    const hone_request *r = a->request;
    hone_session *s = a->session;
    size_t n = a->prompt.n - s->n_tokens;
    if (n > s->prefill_chunk) n = s->prefill_chunk;
    if (a->share && n > a->share) n = a->share;
    if (n > *budget) n = *budget;
    if (r->prompt_logprobs && n > LOGIT_ROWS_PER_PASS) n = LOGIT_ROWS_PER_PASS;
    *budget -= n;
    bool whole = s->n_tokens + n == a->prompt.n;
    hone_logits kind = r->embedding         ? HONE_LOGITS_STATES
                       : r->prompt_logprobs ? HONE_LOGITS_ALL
                       : whole              ? HONE_LOGITS_LAST
                                            : HONE_LOGITS_NONE;
    *item = (hone_step_item){s, a->prompt.ids + s->n_tokens, n, kind};
    /* the piece's first token follows logits that the step will drop; a step may be tried again */
    if (r->prompt_logprobs && n && a->n_told == s->n_tokens) tell(a, session_last_logits(s));
    return HONE_OK;
}

hone_status answer_receive_prompt(hone_answer *a) {
    const hone_request *r = a->request;
    const hone_session *s = a->session;
    if (r->on_prefill) r->on_prefill(r->user, s->n_tokens, a->prompt.n);
    for (size_t row = 0; r->prompt_logprobs && a->n_told < s->n_tokens && !a->finished; row++)
        tell(a, hone_session_logits(s, row));
    if (r->embedding) add_states(a);
    if ((r->prompt_only || r->embedding) && s->n_tokens == a->prompt.n && !a->finished) {
        a->prefill_ms = clock_ms() - a->started_ms;
        answer_end(a, HONE_FINISH_LENGTH);
    }
    return HONE_OK;
}
