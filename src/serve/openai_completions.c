/* /v1/completions: prompts without a template, each gone on with once or several times. */
#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"
#include "serve/openai.h"
#include "serve/openai_answer.h"
#include "serve/openai_completions_request.h"
#include "serve/prompts.h"
#include "serve/token_json.h"

#define MAX_ANSWER_BYTES ((size_t)256 << 20)

/* What one request of the job has brought. */
typedef struct completion {
    buf text;
    json_t *logprobs; /* null where not asked for; of a stream: of the piece at hand */
    size_t text_offset; /* characters told */
    double sum;       /* of the answer's log-probabilities */
} completion;

typedef struct completions {
    openai_answer base;
    prompts prompts;
    openai_completions_request q;
    completion *all; /* [base.n_requests]: the tries of each prompt, one prompt after the other */
    bool begun;
} completions;

static void completions_close(void *state) {
    completions *a = state;
    for (size_t i = 0; a->all && i < a->base.n_requests; i++) {
        buf_release(&a->all[i].text);
        json_decref(a->all[i].logprobs);
    }
    mem_free(a->all);
    openai_answer_release(&a->base);
    prompts_release(&a->prompts);
    mem_free(a);
}

/* --- log-probabilities: lists side by side --- */

static json_t *empty_logprobs(const completions *a) {
    if (!a->q.logprobs) return json_null();
    return json_pack("{s:[], s:[], s:[], s:[]}", "tokens", "token_logprobs", "top_logprobs",
                     "text_offset");
}

/* The most probable tokens and the one that came, by their texts; null for a prompt's first. */
static json_t *top_of(const completions *a, const hone_piece *p, const json_t *token) {
    const json_t *own = json_object_get(token, "logprob");
    if (json_is_null(own)) return json_null();
    json_t *top = json_object();
    for (size_t i = 0; i < p->n_top; i++) {
        json_t *other = token_json(a->base.served.model, p->top_ids[i], p->top_logprobs[i]);
        const char *text = json_string_value(json_object_get(other, "token"));
        if (text && !json_object_get(top, text))
            json_object_set(top, text, json_object_get(other, "logprob"));
        json_decref(other);
    }
    const char *text = json_string_value(json_object_get(token, "token"));
    if (text && a->q.n_logprobs && !json_object_get(top, text))
        json_object_set(top, text, json_object_get(token, "logprob"));
    return top;
}

static size_t n_characters(const char *text, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* *token, of which the caller is the owner: for its text. */
static void add_logprob(const completions *a, completion *c, const hone_piece *p, json_t **token) {
    *token = NULL;
    if (p->token < 0) return;
    if (!p->in_prompt) c->sum += p->logprob;
    if (!a->q.logprobs) return;
    *token = token_json(a->base.served.model, p->token, p->logprob);
    const json_t *text = json_object_get(*token, "token");
    json_array_append(json_object_get(c->logprobs, "tokens"), json_object_get(*token, "token"));
    json_array_append(json_object_get(c->logprobs, "token_logprobs"),
                      json_object_get(*token, "logprob"));
    json_array_append_new(json_object_get(c->logprobs, "top_logprobs"), top_of(a, p, *token));
    json_array_append_new(json_object_get(c->logprobs, "text_offset"),
                          json_integer((json_int_t)c->text_offset));
    c->text_offset += p->in_prompt ? n_characters(json_string_value(text), json_string_length(text))
                                   : n_characters(p->text, p->n_bytes);
}

/* --- whole answers --- */

static hone_status take_event(void *user, const job_event *e) {
    completions *a = user;
    completion *c = &a->all[e->index];
    json_t *token;
    if (e->kind == JOB_DONE) return HONE_OK;
    add_logprob(a, c, &e->piece, &token);
    json_decref(token);
    return buf_add(&c->text, e->piece.text, e->piece.n_bytes);
}

static double mean_logprob(const completions *a, size_t i) {
    size_t n = job_result(a->base.job, i)->n_tokens;
    return n ? a->all[i].sum / (double)n : 0;
}

/* Sorts the tries of one prompt, the most probable first; insertion, of at most 16. */
static void rank(const completions *a, size_t first, size_t *order) {
    for (size_t i = 0; i < a->q.n_tries; i++) {
        size_t at = i;
        for (; at > 0 && mean_logprob(a, order[at - 1]) < mean_logprob(a, first + i); at--)
            order[at] = order[at - 1];
        order[at] = first + i;
    }
}

static json_t *choice_json(const completions *a, size_t index, size_t i) {
    completion *c = &a->all[i];
    return json_pack("{s:I, s:s%, s:O, s:s}", "index", (json_int_t)index, "text",
                     c->text.data ? c->text.data : "", c->text.len, "logprobs", c->logprobs,
                     "finish_reason", openai_finish_reason(job_result(a->base.job, i)));
}

static hone_status make_whole(void *state, json_t **reply) {
    const completions *a = state;
    json_t *choices = json_array();
    size_t n = a->base.r.n_choices, order[OPENAI_MAX_CHOICES];
    for (size_t p = 0; p < a->prompts.n; p++) {
        for (size_t k = 0; k < a->q.n_tries; k++) order[k] = p * a->q.n_tries + k;
        if (a->q.n_tries > n) rank(a, p * a->q.n_tries, order);
        for (size_t k = 0; k < n; k++)
            json_array_append_new(choices, choice_json(a, p * n + k, order[k]));
    }
    json_t *root = openai_envelope(&a->base, "text_completion", choices);
    json_object_set_new(root, "usage", openai_usage(&a->base, a->q.n_tries));
    openai_add_costs(&a->base, root);
    *reply = root;
    return HONE_OK;
}

/* --- streams --- */

static hone_status add_chunk(completions *a, buf *out, size_t i, const char *text, size_t n,
                             const char *finish) {
    completion *c = &a->all[i];
    json_t *one = json_pack("{s:I, s:s%, s:O, s:s?}", "index", (json_int_t)i, "text", text, n,
                            "logprobs", c->logprobs, "finish_reason", finish);
    json_t *root = openai_envelope(&a->base, "text_completion", json_pack("[o]", one));
    if (a->base.r.include_usage) json_object_set_new(root, "usage", json_null());
    json_decref(c->logprobs);
    c->logprobs = empty_logprobs(a);
    return stream_add_sse(out, NULL, root);
}

/* The echoed prompts, where they do not come token by token. */
static hone_status begin_stream(completions *a, buf *out) {
    a->begun = true;
    for (size_t i = 0; a->q.echo && !a->q.logprobs && i < a->base.n_requests; i++)
        TRY(add_chunk(a, out, i, a->all[i].text.data, a->all[i].text.len, NULL));
    return HONE_OK;
}

static hone_status stream_event(completions *a, buf *out, const job_event *e) {
    const hone_piece *p = &e->piece;
    json_t *token;
    if (e->kind == JOB_DONE)
        return add_chunk(a, out, e->index, "", 0,
                         openai_finish_reason(job_result(a->base.job, e->index)));
    add_logprob(a, &a->all[e->index], p, &token);
    const json_t *text = json_object_get(token, "token");
    hone_status status = HONE_OK;
    if (p->in_prompt)
        status = add_chunk(a, out, e->index, json_string_value(text), json_string_length(text),
                           NULL);
    else if (p->n_bytes || token)
        status = add_chunk(a, out, e->index, p->text, p->n_bytes, NULL);
    json_decref(token);
    return status;
}

static hone_status end_stream(completions *a, buf *out) {
    if (a->base.r.include_usage) {
        json_t *root = openai_envelope(&a->base, "text_completion", json_array());
        json_object_set_new(root, "usage", openai_usage(&a->base, a->q.n_tries));
        openai_add_costs(&a->base, root);
        TRY(stream_add_sse(out, NULL, root));
    }
    return buf_add_text(out, "data: [DONE]\n\n");
}

static hone_status make_events(void *state, buf *out, bool *ended) {
    completions *a = state;
    job_event e;
    if (!a->begun) return begin_stream(a, out);
    TRY(job_next(a->base.job, &e));
    if (e.kind != JOB_NOTHING) TRY(stream_event(a, out, &e));
    *ended = job_is_done(a->base.job);
    return *ended ? end_stream(a, out) : HONE_OK;
}

/* --- the endpoint --- */

/* The prompt as text, before the answer's: as it came, or what its ids stand for. */
static hone_status add_echo(const completions *a, completion *c, size_t prompt) {
    const json_t *given = field_find(a->base.r.body, "prompt");
    const prompt_ids *p = &a->prompts.items[prompt];
    char *text;
    size_t n;
    if (!json_is_string(given)) given = json_array_get(given, prompt);
    if (json_is_string(given))
        return buf_add(&c->text, json_string_value(given), json_string_length(given));
    TRY(hone_detokenize(a->base.served.model, p->ids, p->n, true, &text, &n));
    hone_status status = buf_add(&c->text, text, n);
    hone_free(text);
    return status;
}

static hone_status open_completions(completions *a) {
    size_t n = a->prompts.n * a->q.n_tries;
    TRY(openai_answer_plan(&a->base, n));
    a->all = mem_calloc(n, sizeof *a->all);
    if (!a->all) return mem_fail("completions", n * sizeof *a->all);
    for (size_t i = 0; i < n; i++) {
        size_t prompt = i / a->q.n_tries;
        a->base.requests[i].prompt_ids = a->prompts.items[prompt].ids;
        a->base.requests[i].n_prompt_ids = a->prompts.items[prompt].n;
        a->base.requests[i].sequence = (uint32_t)(i % a->q.n_tries);
        a->all[i].logprobs = empty_logprobs(a);
        buf_init(&a->all[i].text, MAX_ANSWER_BYTES);
        if (a->q.echo) TRY(add_echo(a, &a->all[i], prompt));
    }
    return HONE_OK;
}

static hone_status submit(void *state) {
    completions *a = state;
    TRY(openai_answer_choose(&a->base));
    TRY(openai_completions_request_read(&a->q, &a->base.r));
    TRY(openai_answer_borrow(&a->base));
    TRY(prompts_read(&a->prompts, field_find(a->base.r.body, "prompt"), "prompt",
                     a->base.served.model));
    TRY(open_completions(a));
    return openai_answer_submit(&a->base);
}

void openai_completions(const call *c) {
    static const openai_endpoint endpoint = {
        "cmpl-", sizeof(completions), submit, take_event, make_whole,
        {make_events, openai_tell_failure, completions_close},
    };
    completions *a = openai_answer_open(c, &endpoint);
    if (a) openai_answer_give(a, &endpoint);
}
