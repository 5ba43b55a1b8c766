/* /v1/chat/completions and /v1/completions: a request for each choice, whole or as a stream of
 * server-sent events. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "serve/job.h"
#include "serve/openai.h"
#include "serve/openai_request.h"
#include "serve/reply.h"
#include "serve/stream.h"

#define MAX_ANSWER_BYTES ((size_t)256 << 20)

typedef struct choice {
    buf text;
    json_t *logprobs;
    size_t text_offset; /* of /v1/completions' logprobs */
    const hone_result *result; /* once it is done */
} choice;

/* A request under way; the state of its stream where it streams. */
typedef struct answer {
    models *m;
    exchange *x;
    openai_request r;
    served_model served;
    hone_request requests[OPENAI_MAX_CHOICES];
    choice choices[OPENAI_MAX_CHOICES];
    job *job;
    char id[64];
    time_t created;
    bool begun; /* a stream */
} answer;

static void answer_close(void *state) {
    answer *a = state;
    job_close(a->job);
    for (size_t i = 0; i < a->r.n_choices; i++) {
        buf_release(&a->choices[i].text);
        json_decref(a->choices[i].logprobs);
    }
    openai_request_release(&a->r);
    if (a->served.name) models_return(a->m, &a->served);
    mem_free(a);
}

/* --- log-probabilities --- */

/* A token's bytes as text and as numbers; ids of half characters show as U+FFFD. */
static json_t *token_json(const answer *a, int32_t id, double logprob) {
    char *text = NULL;
    size_t n = 0;
    if (hone_detokenize(a->served.model, &id, 1, true, &text, &n) != HONE_OK) return NULL;
    json_t *bytes = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(bytes, json_integer((unsigned char)text[i]));
    json_t *token = json_pack("{s:s%, s:f, s:o}", "token", text, n, "logprob", logprob, "bytes",
                              bytes);
    hone_free(text);
    return token;
}

static json_t *chat_logprob(const answer *a, const hone_piece *p) {
    json_t *token = token_json(a, p->token, p->logprob), *top = json_array();
    for (size_t i = 0; i < p->n_top; i++)
        json_array_append_new(top, token_json(a, p->top_ids[i], p->top_logprobs[i]));
    json_object_set_new(token, "top_logprobs", top);
    return token;
}

/* /v1/completions has parallel lists instead. */
static void add_completion_logprob(const answer *a, choice *c, const hone_piece *p) {
    json_t *token = token_json(a, p->token, p->logprob), *top = json_object();
    for (size_t i = 0; i < p->n_top; i++) {
        json_t *other = token_json(a, p->top_ids[i], p->top_logprobs[i]);
        json_object_set_new(top, json_string_value(json_object_get(other, "token")),
                            json_real(p->top_logprobs[i]));
        json_decref(other);
    }
    json_array_append(json_object_get(c->logprobs, "tokens"), json_object_get(token, "token"));
    json_array_append_new(json_object_get(c->logprobs, "token_logprobs"), json_real(p->logprob));
    json_array_append_new(json_object_get(c->logprobs, "top_logprobs"), top);
    json_array_append_new(json_object_get(c->logprobs, "text_offset"),
                          json_integer((json_int_t)c->text_offset));
    c->text_offset += p->n_bytes;
    json_decref(token);
}

static json_t *empty_logprobs(const answer *a) {
    if (!a->r.logprobs) return json_null();
    if (a->r.chat) return json_pack("{s:[]}", "content");
    return json_pack("{s:[], s:[], s:[], s:[]}", "tokens", "token_logprobs", "top_logprobs",
                     "text_offset");
}

static void add_logprob(const answer *a, choice *c, const hone_piece *p) {
    if (!a->r.logprobs || p->token < 0) return;
    if (a->r.chat)
        json_array_append_new(json_object_get(c->logprobs, "content"), chat_logprob(a, p));
    else
        add_completion_logprob(a, c, p);
}

/* --- parts of answers --- */

static const char *finish_reason(const hone_result *r) {
    return r->finish == HONE_FINISH_LENGTH ? "length" : "stop";
}

static json_t *usage(const answer *a) {
    size_t prompt = 0, cached = 0, made = 0;
    for (size_t i = 0; i < a->r.n_choices; i++) {
        const hone_result *r = a->choices[i].result;
        prompt = r->n_prompt_tokens;
        if (i == 0) cached = r->n_cached_tokens;
        made += r->n_tokens;
    }
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)prompt,
                     "completion_tokens", (json_int_t)made, "total_tokens",
                     (json_int_t)(prompt + made), "prompt_tokens_details", "cached_tokens",
                     (json_int_t)cached);
}

/* llama-server's names, of the first choice. */
static json_t *timings(const answer *a) {
    const hone_result *r = a->choices[0].result;
    size_t computed = r->n_prompt_tokens - r->n_cached_tokens;
    size_t decoded = r->n_tokens > 1 ? r->n_tokens - 1 : 0;
    return json_pack("{s:I, s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:f}", "cache_n",
                     (json_int_t)r->n_cached_tokens, "prompt_n", (json_int_t)computed, "prompt_ms",
                     r->prefill_ms, "prompt_per_second",
                     r->prefill_ms > 0 ? 1000.0 * (double)computed / r->prefill_ms : 0.0,
                     "predicted_n", (json_int_t)r->n_tokens, "predicted_ms", r->decode_ms,
                     "predicted_per_second",
                     r->decode_ms > 0 ? 1000.0 * (double)decoded / r->decode_ms : 0.0, "ttft_ms",
                     r->ttft_ms, "load_ms", a->served.load_ms);
}

static json_t *envelope(const answer *a, const char *object, json_t *choices) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", a->id, "object", object, "created",
                     (json_int_t)a->created, "model", a->served.name, "system_fingerprint",
                     "hone-" HONE_VERSION, "choices", choices);
}

static json_t *whole_choice(const answer *a, size_t i) {
    const choice *c = &a->choices[i];
    json_t *logprobs = json_incref(c->logprobs);
    if (a->r.chat)
        return json_pack("{s:I, s:{s:s, s:s%, s:n}, s:o, s:s}", "index", (json_int_t)i, "message",
                         "role", "assistant", "content", c->text.data ? c->text.data : "",
                         c->text.len, "refusal", "logprobs", logprobs, "finish_reason",
                         finish_reason(c->result));
    return json_pack("{s:I, s:s%, s:o, s:s}", "index", (json_int_t)i, "text",
                     c->text.data ? c->text.data : "", c->text.len, "logprobs", logprobs,
                     "finish_reason", finish_reason(c->result));
}

static void reply_whole(answer *a) {
    json_t *choices = json_array();
    for (size_t i = 0; i < a->r.n_choices; i++)
        json_array_append_new(choices, whole_choice(a, i));
    json_t *root = envelope(a, a->r.chat ? "chat.completion" : "text_completion", choices);
    json_object_set_new(root, "usage", usage(a));
    json_object_set_new(root, "timings", timings(a));
    reply_json(a->x, 200, root);
}

static hone_status take_event(void *user, const job_event *e) {
    answer *a = user;
    choice *c = &a->choices[e->index];
    if (e->kind == JOB_DONE) {
        c->result = e->result;
        return HONE_OK;
    }
    add_logprob(a, c, &e->piece);
    return buf_add(&c->text, e->piece.text, e->piece.n_bytes);
}

/* --- streams --- */

static hone_status add_chunk(answer *a, buf *out, size_t i, json_t *delta, const char *text, size_t n,
                             json_t *logprobs, const char *finish) {
    json_t *one;
    if (a->r.chat)
        one = json_pack("{s:I, s:o, s:o, s:s?}", "index", (json_int_t)i, "delta", delta, "logprobs",
                        logprobs, "finish_reason", finish);
    else
        one = json_pack("{s:I, s:s%, s:o, s:s?}", "index", (json_int_t)i, "text", text, n,
                        "logprobs", logprobs, "finish_reason", finish);
    json_t *root = envelope(a, a->r.chat ? "chat.completion.chunk" : "text_completion",
                            json_pack("[o]", one));
    if (a->r.include_usage) json_object_set_new(root, "usage", json_null());
    return stream_add_sse(out, NULL, root);
}

static hone_status begin_stream(answer *a, buf *out) {
    a->begun = true;
    for (size_t i = 0; a->r.chat && i < a->r.n_choices; i++)
        TRY(add_chunk(a, out, i, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), "", 0,
                      json_null(), NULL));
    return HONE_OK;
}

static hone_status stream_event(answer *a, buf *out, const job_event *e) {
    choice *c = &a->choices[e->index];
    if (e->kind == JOB_PIECE) {
        const hone_piece *p = &e->piece;
        if (p->n_bytes == 0 && !(a->r.logprobs && p->token >= 0)) return HONE_OK;
        json_decref(c->logprobs);
        c->logprobs = empty_logprobs(a);
        add_logprob(a, c, p);
        return add_chunk(a, out, e->index,
                         a->r.chat ? json_pack("{s:s%}", "content", p->text, p->n_bytes) : NULL,
                         p->text, p->n_bytes, json_incref(c->logprobs), NULL);
    }
    TRY(take_event(a, e));
    return add_chunk(a, out, e->index, a->r.chat ? json_object() : NULL, "", 0, json_null(),
                     finish_reason(c->result));
}

static hone_status end_stream(answer *a, buf *out) {
    if (a->r.include_usage) {
        json_t *root = envelope(a, a->r.chat ? "chat.completion.chunk" : "text_completion",
                                json_array());
        json_object_set_new(root, "usage", usage(a));
        json_object_set_new(root, "timings", timings(a));
        TRY(stream_add_sse(out, NULL, root));
    }
    return buf_add_text(out, "data: [DONE]\n\n");
}

static hone_status make_events(void *state, buf *out, bool *ended) {
    answer *a = state;
    job_event e;
    if (!a->begun) return begin_stream(a, out);
    TRY(job_next(a->job, &e));
    if (e.kind != JOB_NOTHING) TRY(stream_event(a, out, &e));
    *ended = job_is_done(a->job);
    return *ended ? end_stream(a, out) : HONE_OK;
}

/* --- the endpoints --- */

static hone_status submit(answer *a, const char *client) {
    TRY(models_borrow(a->m, a->r.model, &a->served));
    if (!a->served.scheduler)
        return fail(HONE_ERR_UNSUPPORTED, "%s takes no text", a->served.name);
    TRY(openai_request_prepare(&a->r, a->served.model));
    for (size_t i = 0; i < a->r.n_choices; i++) {
        choice *c = &a->choices[i];
        a->requests[i] = a->r.request;
        a->requests[i].sequence = (uint32_t)i;
        c->logprobs = empty_logprobs(a);
        buf_init(&c->text, MAX_ANSWER_BYTES);
    }
    return job_open(&a->job, a->served.scheduler, a->x, client, a->requests, a->r.n_choices);
}

static void respond(answer *a, const char *client) {
    hone_status status = submit(a, client);
    if (status == HONE_OK && a->r.stream) {
        static const stream_maker maker = {make_events, openai_tell_failure, answer_close};
        reply_stream(a->x, "text/event-stream", &maker, a);
        return;
    }
    if (status == HONE_OK) status = job_wait(a->job, take_event, a);
    if (status == HONE_OK) reply_whole(a);
    else if (status == HONE_ERR_CANCELLED) reply_error(a->x, 499, "cancelled", NULL, "cancelled");
    else reply_failure(a->x, status);
    answer_close(a);
}

static void serve_text(const call *c, bool chat) {
    size_t n;
    const char *body = exchange_body(c->x, &n);
    answer *a = mem_calloc(1, sizeof *a);
    hone_status status = a ? openai_request_read(&a->r, chat, body, n) : mem_fail("request", n);
    if (status != HONE_OK) {
        mem_free(a);
        reply_failure(c->x, status);
        return;
    }
    a->m = c->models;
    a->x = c->x;
    a->created = time(NULL);
    snprintf(a->id, sizeof a->id, "%s-%s", chat ? "chatcmpl" : "cmpl", exchange_id(c->x) + 4);
    respond(a, c->client);
}

void openai_chat(const call *c) { serve_text(c, true); }
void openai_completions(const call *c) { serve_text(c, false); }
