/* /v1/chat/completions: messages in; text, thoughts and calls of tools out, whole or as a stream of
 * server-sent events. */
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/chat.h"
#include "serve/fields.h"
#include "serve/openai.h"
#include "serve/openai_answer.h"
#include "serve/openai_chat_request.h"
#include "serve/openai_strategy.h"
#include "serve/spoken.h"
#include "serve/token_json.h"

#define MAX_ANSWER_BYTES ((size_t)256 << 20)

typedef struct chat_answer chat_answer;

/* One of the n answers. */
typedef struct choice {
    chat_answer *a;
    size_t index;
    answer_parser *parser;
    buf text, thought;
    json_t *calls;    /* [{id, type, function: {name, arguments}}] */
    buf arguments;    /* of the last call, as far as they have come */
    size_t n_calls;
    json_t *logprobs; /* {content: […]}; of a stream: of the piece at hand */
} choice;

struct chat_answer {
    openai_answer base;
    openai_chat_request q;
    chat_prompt prompt;
    choice choices[OPENAI_MAX_CHOICES];
    buf *out; /* of a stream, during a call */
    bool begun;
};

static void answer_close(void *state) {
    chat_answer *a = state;
    for (size_t i = 0; i < a->base.r.n_choices; i++) {
        choice *c = &a->choices[i];
        answer_parser_close(c->parser);
        buf_release(&c->text);
        buf_release(&c->thought);
        buf_release(&c->arguments);
        json_decref(c->calls);
        json_decref(c->logprobs);
    }
    openai_answer_release(&a->base);
    chat_prompt_release(&a->prompt);
    mem_free(a);
}

/* --- log-probabilities --- */

static json_t *empty_logprobs(const chat_answer *a) {
    return a->q.logprobs ? json_pack("{s:[], s:n}", "content", "refusal") : json_null();
}

static void add_logprob(choice *c, const hone_piece *p) {
    const chat_answer *a = c->a;
    if (!a->q.logprobs || p->token < 0) return;
    json_array_append_new(json_object_get(c->logprobs, "content"),
                          token_piece_json(a->base.served.model, p));
}

/* --- calls --- */

static json_t *new_call(const char *name, size_t n, const char *arguments) {
    char id[32];
    snprintf(id, sizeof id, "call_%016llx", (unsigned long long)system_random());
    return json_pack("{s:s, s:s, s:{s:s%, s:s}}", "id", id, "type", "function", "function", "name",
                     name, n, "arguments", arguments);
}

/* The call that came last has all of its arguments. */
static void finish_call(choice *c) {
    if (c->n_calls == 0) return;
    json_t *function = json_object_get(json_array_get(c->calls, c->n_calls - 1), "function");
    json_object_set_new(function, "arguments",
                        json_stringn(c->arguments.data ? c->arguments.data : "", c->arguments.len));
    c->arguments.len = 0;
}

/* --- whole answers --- */

static hone_status keep_span(void *user, answer_span_kind kind, const char *text, size_t n) {
    choice *c = user;
    switch (kind) {
    case ANSWER_TEXT: return buf_add(&c->text, text, n);
    case ANSWER_THOUGHT: return buf_add(&c->thought, text, n);
    case ANSWER_ARGUMENTS: return buf_add(&c->arguments, text, n);
    case ANSWER_CALL:
        finish_call(c);
        json_array_append_new(c->calls, new_call(text, n, ""));
        c->n_calls++;
    }
    return HONE_OK;
}

static hone_status take_event(void *user, const job_event *e) {
    chat_answer *a = user;
    choice *c = &a->choices[e->index];
    if (e->kind == JOB_PIECE) {
        add_logprob(c, &e->piece);
        return chat_read(c->parser, &a->prompt, &e->piece);
    }
    TRY(answer_parser_finish(c->parser));
    finish_call(c);
    return HONE_OK;
}

static const char *finish_reason(const choice *c) {
    const hone_result *r = job_result(c->a->base.job, c->index);
    if (c->n_calls && r->finish == HONE_FINISH_STOP) return "tool_calls";
    return openai_finish_reason(r);
}

static json_t *message_of(const choice *c) {
    json_t *message = json_pack("{s:s, s:n, s:n}", "role", "assistant", "content", "refusal");
    if (c->text.len || c->n_calls == 0)
        json_object_set_new(message, "content",
                            json_stringn(c->text.data ? c->text.data : "", c->text.len));
    if (c->thought.len)
        json_object_set_new(message, "reasoning_content",
                            json_stringn(c->thought.data, c->thought.len));
    if (c->n_calls) json_object_set(message, "tool_calls", c->calls);
    return message;
}

static hone_status make_whole(void *state, json_t **reply) {
    const chat_answer *a = state;
    json_t *choices = json_array();
    for (size_t i = 0; i < a->base.r.n_choices; i++) {
        const choice *c = &a->choices[i];
        json_array_append_new(choices, json_pack("{s:I, s:o, s:O, s:s}", "index", (json_int_t)i,
                                                 "message", message_of(c), "logprobs", c->logprobs,
                                                 "finish_reason", finish_reason(c)));
    }
    json_t *root = openai_envelope(&a->base, "chat.completion", choices);
    json_object_set_new(root, "usage", openai_usage(&a->base, a->base.r.n_choices));
    openai_add_costs(&a->base, root);
    *reply = root;
    return HONE_OK;
}

/* --- streams --- */

static hone_status add_chunk(choice *c, json_t *delta, const char *finish) {
    chat_answer *a = c->a;
    json_t *one = json_pack("{s:I, s:o, s:O, s:s?}", "index", (json_int_t)c->index, "delta", delta,
                            "logprobs", c->logprobs, "finish_reason", finish);
    json_t *root = openai_envelope(&a->base, "chat.completion.chunk", json_pack("[o]", one));
    if (a->base.r.include_usage) json_object_set_new(root, "usage", json_null());
    json_decref(c->logprobs); /* told */
    c->logprobs = empty_logprobs(a);
    return stream_add_sse(a->out, NULL, root);
}

static hone_status stream_span(void *user, answer_span_kind kind, const char *text, size_t n) {
    choice *c = user;
    json_int_t index = (json_int_t)c->n_calls;
    switch (kind) {
    case ANSWER_TEXT: return add_chunk(c, json_pack("{s:s%}", "content", text, n), NULL);
    case ANSWER_THOUGHT:
        return add_chunk(c, json_pack("{s:s%}", "reasoning_content", text, n), NULL);
    case ANSWER_ARGUMENTS:
        return add_chunk(c, json_pack("{s:[{s:I, s:{s:s%}}]}", "tool_calls", "index", index - 1,
                                      "function", "arguments", text, n), NULL);
    case ANSWER_CALL: break;
    }
    json_t *begin = new_call(text, n, "");
    json_object_set_new(begin, "index", json_integer(index));
    c->n_calls++;
    return add_chunk(c, json_pack("{s:[o]}", "tool_calls", begin), NULL);
}

static hone_status begin_stream(chat_answer *a) {
    a->begun = true;
    for (size_t i = 0; i < a->base.r.n_choices; i++)
        TRY(add_chunk(&a->choices[i],
                      json_pack("{s:s, s:s, s:n}", "role", "assistant", "content", "", "refusal"),
                      NULL));
    return HONE_OK;
}

static hone_status stream_event(chat_answer *a, const job_event *e) {
    choice *c = &a->choices[e->index];
    if (e->kind == JOB_PIECE) {
        add_logprob(c, &e->piece);
        return chat_read(c->parser, &a->prompt, &e->piece);
    }
    TRY(answer_parser_finish(c->parser));
    return add_chunk(c, json_object(), finish_reason(c));
}

static hone_status end_stream(chat_answer *a) {
    if (a->base.r.include_usage) {
        json_t *root = openai_envelope(&a->base, "chat.completion.chunk", json_array());
        json_object_set_new(root, "usage", openai_usage(&a->base, a->base.r.n_choices));
        openai_add_costs(&a->base, root);
        TRY(stream_add_sse(a->out, NULL, root));
    }
    return buf_add_text(a->out, "data: [DONE]\n\n");
}

static hone_status make_events(void *state, buf *out, bool *ended) {
    chat_answer *a = state;
    job_event e;
    a->out = out;
    if (!a->begun) return begin_stream(a);
    TRY(job_next(a->base.job, &e));
    if (e.kind != JOB_NOTHING) TRY(stream_event(a, &e));
    *ended = job_is_done(a->base.job);
    return *ended ? end_stream(a) : HONE_OK;
}

/* --- the endpoint --- */

static hone_status open_choices(chat_answer *a) {
    for (size_t i = 0; i < a->base.r.n_choices; i++) {
        choice *c = &a->choices[i];
        c->a = a;
        c->index = i;
        c->calls = json_array();
        c->logprobs = empty_logprobs(a);
        buf_init(&c->text, MAX_ANSWER_BYTES);
        buf_init(&c->thought, MAX_ANSWER_BYTES);
        buf_init(&c->arguments, MAX_ANSWER_BYTES);
        a->base.requests[i].sequence = (uint32_t)i;
        TRY(chat_open_parser(&c->parser, &a->prompt,
                             a->base.r.stream ? stream_span : keep_span, c));
    }
    return HONE_OK;
}

static hone_status submit(void *state) {
    chat_answer *a = state;
    TRY(openai_chat_request_read(&a->q, &a->base.r));
    TRY(openai_answer_borrow(&a->base));
    TRY(openai_answer_converse(&a->base, &a->q.chat));
    TRY(chat_prepare(&a->prompt, &a->q.chat, a->base.served.model));
    chat_fill_request(&a->prompt, &a->q.chat, &a->base.r.request);
    TRY(openai_answer_plan(&a->base, a->base.r.n_choices));
    TRY(open_choices(a));
    return openai_answer_submit(&a->base);
}

static const openai_endpoint endpoint = {
    "chatcmpl-", sizeof(chat_answer), submit, take_event, make_whole,
    {make_events, openai_tell_failure, answer_close},
};

void openai_chat(const call *c) {
    chat_answer *a = openai_answer_open(c, &endpoint);
    if (!a) return;
    hone_status status = spoken_parts_hear(a->base.models, a->base.r.body);
    if (status == HONE_OK) status = openai_answer_choose(&a->base);
    if (status != HONE_OK) {
        openai_answer_refuse(&a->base, status);
        answer_close(a);
    } else if (openai_strategy_is_wanted(&a->base.r)) {
        openai_strategy_answer(&a->base);
        mem_free(a);
    } else {
        openai_answer_give(a, &endpoint);
    }
}
