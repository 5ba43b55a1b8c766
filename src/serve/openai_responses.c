/* /v1/responses, without a memory: items in; reasoning, messages and calls out as items, whole or
 * as OpenAI's stream of typed events. */
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/fields.h"
#include "serve/openai.h"
#include "serve/openai_answer.h"
#include "serve/openai_responses_request.h"
#include "serve/token_json.h"

#define MAX_ANSWER_BYTES ((size_t)256 << 20)

typedef enum item_kind { ITEM_NONE, ITEM_REASONING, ITEM_MESSAGE, ITEM_CALL } item_kind;

typedef struct response {
    openai_answer base;
    openai_responses_request q;
    chat_prompt prompt;
    answer_parser *parser;
    json_t *output; /* items that are finished */
    item_kind kind; /* of the item under way: */
    char item_id[32];
    json_t *name, *call_id; /* of a call */
    buf text;               /* its text, thoughts or arguments so far */
    json_t *logprobs;       /* all of the message's */
    json_t *new_logprobs;   /* those not yet in an event */
    /* Of a stream. */
    buf *out;
    json_int_t sequence;
    bool begun;
} response;

static void response_close(void *state) {
    response *a = state;
    answer_parser_close(a->parser);
    buf_release(&a->text);
    json_decref(a->output);
    json_decref(a->name);
    json_decref(a->call_id);
    json_decref(a->logprobs);
    json_decref(a->new_logprobs);
    openai_answer_release(&a->base);
    chat_prompt_release(&a->prompt);
    openai_responses_request_release(&a->q);
    mem_free(a);
}

/* --- the response as an object --- */

static json_t *echo(const response *a, const char *key, json_t *otherwise) {
    const json_t *given = field_find(a->base.r.body, key);
    if (!given) return otherwise;
    json_decref(otherwise);
    return json_incref((json_t *)(uintptr_t)given);
}

static json_t *usage(const response *a) {
    const hone_result *r = job_result(a->base.job, 0);
    json_int_t in = (json_int_t)r->n_prompt_tokens, made = (json_int_t)r->n_tokens;
    return json_pack("{s:I, s:{s:I, s:I}, s:I, s:{s:I}, s:I}", "input_tokens", in,
                     "input_tokens_details", "cached_tokens", (json_int_t)r->n_cached_tokens,
                     "cache_write_tokens", in - (json_int_t)r->n_cached_tokens, "output_tokens",
                     made, "output_tokens_details", "reasoning_tokens",
                     (json_int_t)r->n_thought_tokens, "total_tokens", in + made);
}

static bool is_cut(const response *a) {
    return job_result(a->base.job, 0)->finish == HONE_FINISH_LENGTH;
}

static json_t *response_json(const response *a) {
    bool done = job_is_done(a->base.job), cut = done && is_cut(a);
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:s, s:n, s:s, s:O, s:b}", "id", a->base.id, "object", "response",
        "created_at", (json_int_t)a->base.created, "status",
        !done ? "in_progress" : cut ? "incomplete" : "completed", "error", "model",
        a->base.served.name, "output", a->output, "store", 0);
    json_object_set_new(root, "incomplete_details",
                        cut ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null());
    json_object_set_new(root, "instructions", echo(a, "instructions", json_null()));
    json_object_set_new(root, "metadata", echo(a, "metadata", json_object()));
    json_object_set_new(root, "tools", echo(a, "tools", json_array()));
    json_object_set_new(root, "tool_choice", echo(a, "tool_choice", json_string("auto")));
    json_object_set_new(root, "parallel_tool_calls", echo(a, "parallel_tool_calls", json_true()));
    json_object_set_new(root, "temperature", echo(a, "temperature", json_real(1)));
    json_object_set_new(root, "top_p", echo(a, "top_p", json_real(1)));
    json_object_set_new(root, "max_output_tokens", echo(a, "max_output_tokens", json_null()));
    json_object_set_new(root, "reasoning", echo(a, "reasoning", json_null()));
    json_object_set_new(root, "text",
                        echo(a, "text", json_pack("{s:{s:s}}", "format", "type", "text")));
    json_object_set_new(root, "truncation", json_string("disabled"));
    json_object_set_new(root, "previous_response_id", json_null());
    if (a->base.hone) json_object_set(root, "hone", a->base.hone);
    if (!done) return root;
    json_object_set_new(root, "usage", usage(a));
    json_object_set_new(root, "completed_at", json_integer((json_int_t)time(NULL)));
    openai_add_costs(&a->base, root);
    return root;
}

/* --- events --- */

/* Adds an event with these members; nothing where the answer is told as a whole. */
static hone_status tell(response *a, const char *type, json_t *members) {
    if (!a->out) {
        json_decref(members);
        return HONE_OK;
    }
    json_t *event = json_pack("{s:s, s:I}", "type", type, "sequence_number", a->sequence++);
    if (!event || json_object_update(event, members) != 0) {
        json_decref(event);
        event = NULL;
    }
    json_decref(members);
    return stream_add_sse(a->out, type, event);
}

static json_int_t output_index(const response *a) { return (json_int_t)json_array_size(a->output); }

/* Members that say where in the output something happens. */
static json_t *place(const response *a, bool in_content) {
    json_t *at = json_pack("{s:s, s:I}", "item_id", a->item_id, "output_index", output_index(a));
    if (in_content) json_object_set_new(at, "content_index", json_integer(0));
    return at;
}

static hone_status tell_at(response *a, const char *type, bool in_content, const char *key,
                           json_t *value) {
    json_t *at = place(a, in_content);
    json_object_set_new(at, key, value);
    return tell(a, type, at);
}

/* --- items --- */

static json_t *text_of(const response *a) {
    return json_stringn(a->text.data ? a->text.data : "", a->text.len);
}

static json_t *content_part(const response *a) {
    if (a->kind == ITEM_REASONING)
        return json_pack("{s:s, s:o}", "type", "reasoning_text", "text", text_of(a));
    return json_pack("{s:s, s:o, s:[], s:O}", "type", "output_text", "text", text_of(a),
                     "annotations", "logprobs", a->logprobs);
}

static json_t *item_json(const response *a, bool done) {
    const char *status = done ? "completed" : "in_progress";
    bool filled = done && a->kind != ITEM_CALL;
    json_t *content = filled ? json_pack("[o]", content_part(a)) : json_array();
    switch (a->kind) {
    case ITEM_REASONING:
        return json_pack("{s:s, s:s, s:[], s:o, s:s}", "id", a->item_id, "type", "reasoning",
                         "summary", "content", content, "status", status);
    case ITEM_MESSAGE:
        return json_pack("{s:s, s:s, s:s, s:o, s:s}", "id", a->item_id, "type", "message", "role",
                         "assistant", "content", content, "status", status);
    default: json_decref(content);
    }
    return json_pack("{s:s, s:s, s:O, s:O, s:o, s:s}", "id", a->item_id, "type", "function_call",
                     "call_id", a->call_id, "name", a->name, "arguments", text_of(a), "status",
                     status);
}

static hone_status begin_item(response *a, item_kind kind) {
    static const char *const prefixes[] = {"", "rs", "msg", "fc"};
    a->kind = kind;
    a->text.len = 0;
    snprintf(a->item_id, sizeof a->item_id, "%s_%016llx", prefixes[kind],
             (unsigned long long)system_random());
    TRY(tell(a, "response.output_item.added",
             json_pack("{s:I, s:o}", "output_index", output_index(a), "item",
                       item_json(a, false))));
    if (kind == ITEM_CALL) return HONE_OK;
    return tell_at(a, "response.content_part.added", true, "part", content_part(a));
}

static hone_status tell_text_done(response *a) {
    json_t *at = place(a, a->kind != ITEM_CALL);
    json_object_set_new(at, a->kind == ITEM_CALL ? "arguments" : "text", text_of(a));
    switch (a->kind) {
    case ITEM_REASONING: return tell(a, "response.reasoning_text.done", at);
    case ITEM_CALL:
        json_object_set(at, "name", a->name);
        return tell(a, "response.function_call_arguments.done", at);
    default:
        json_object_set(at, "logprobs", a->logprobs);
        return tell(a, "response.output_text.done", at);
    }
}

static hone_status end_item(response *a) {
    if (a->kind == ITEM_NONE) return HONE_OK;
    TRY(tell_text_done(a));
    if (a->kind != ITEM_CALL)
        TRY(tell_at(a, "response.content_part.done", true, "part", content_part(a)));
    json_t *item = item_json(a, true);
    TRY(tell(a, "response.output_item.done",
             json_pack("{s:I, s:O}", "output_index", output_index(a), "item", item)));
    a->kind = ITEM_NONE;
    return json_array_append_new(a->output, item) == 0 ? HONE_OK : mem_fail("output", 1);
}

static hone_status add_text(response *a, item_kind kind, const char *text, size_t n) {
    static const char *const events[] = {"", "response.reasoning_text.delta",
                                         "response.output_text.delta",
                                         "response.function_call_arguments.delta"};
    if (a->kind != kind) {
        TRY(end_item(a));
        TRY(begin_item(a, kind));
    }
    TRY(buf_add(&a->text, text, n));
    json_t *at = place(a, kind != ITEM_CALL);
    json_object_set_new(at, "delta", json_stringn(text, n));
    if (kind == ITEM_MESSAGE) {
        json_object_set(at, "logprobs", a->new_logprobs);
        json_decref(a->new_logprobs);
        a->new_logprobs = json_array();
    }
    return tell(a, events[kind], at);
}

static hone_status begin_call(response *a, const char *name, size_t n) {
    char id[32];
    TRY(end_item(a));
    snprintf(id, sizeof id, "call_%016llx", (unsigned long long)system_random());
    json_decref(a->name);
    json_decref(a->call_id);
    a->name = json_stringn(name, n);
    a->call_id = json_string(id);
    return begin_item(a, ITEM_CALL);
}

static hone_status take_span(void *user, answer_span_kind kind, const char *text, size_t n) {
    response *a = user;
    switch (kind) {
    case ANSWER_TEXT: return add_text(a, ITEM_MESSAGE, text, n);
    case ANSWER_THOUGHT: return add_text(a, ITEM_REASONING, text, n);
    case ANSWER_ARGUMENTS: return add_text(a, ITEM_CALL, text, n);
    case ANSWER_CALL: return begin_call(a, text, n);
    }
    return HONE_OK;
}

static void add_logprob(response *a, const hone_piece *p) {
    if (!a->q.logprobs || p->token < 0) return;
    json_t *token = token_piece_json(a->base.served.model, p);
    json_array_append(a->logprobs, token);
    json_array_append_new(a->new_logprobs, token);
}

static hone_status take_event(void *user, const job_event *e) {
    response *a = user;
    if (e->kind == JOB_PIECE) {
        add_logprob(a, &e->piece);
        return chat_read(a->parser, &a->prompt, &e->piece);
    }
    TRY(answer_parser_finish(a->parser));
    if (a->kind == ITEM_NONE && json_array_size(a->output) == 0) TRY(begin_item(a, ITEM_MESSAGE));
    return end_item(a);
}

/* --- streams --- */

static hone_status begin_stream(response *a) {
    a->begun = true;
    TRY(tell(a, "response.created", json_pack("{s:o}", "response", response_json(a))));
    return tell(a, "response.in_progress", json_pack("{s:o}", "response", response_json(a)));
}

static hone_status go_on(response *a, bool *ended) {
    job_event e;
    if (!a->begun) return begin_stream(a);
    TRY(job_next(a->base.job, &e));
    if (e.kind != JOB_NOTHING) TRY(take_event(a, &e));
    *ended = job_is_done(a->base.job);
    if (!*ended) return HONE_OK;
    return tell(a, is_cut(a) ? "response.incomplete" : "response.completed",
                json_pack("{s:o}", "response", response_json(a)));
}

static hone_status make_events(void *state, buf *out, bool *ended) {
    response *a = state;
    a->out = out;
    hone_status status = go_on(a, ended);
    if (status == HONE_OK || status == HONE_ERR_CANCELLED) return status;
    *ended = true; /* told here, for the event's number */
    return tell(a, "error", json_pack("{s:n, s:s, s:n}", "code", "message", hone_error_message(),
                                      "param"));
}

/* --- the endpoint --- */

static hone_status make_whole(void *state, json_t **reply) {
    *reply = response_json(state);
    return HONE_OK;
}

static hone_status submit(void *state) {
    response *a = state;
    TRY(openai_answer_choose(&a->base));
    TRY(openai_responses_request_read(&a->q, &a->base.r));
    TRY(openai_answer_borrow(&a->base));
    TRY(openai_answer_converse(&a->base, &a->q.chat));
    TRY(chat_prepare(&a->prompt, &a->q.chat, a->base.served.model));
    chat_fill_request(&a->prompt, &a->q.chat, &a->base.r.request);
    TRY(openai_answer_plan(&a->base, 1));
    TRY(chat_open_parser(&a->parser, &a->prompt, take_span, a));
    a->output = json_array();
    a->logprobs = json_array();
    a->new_logprobs = json_array();
    buf_init(&a->text, MAX_ANSWER_BYTES);
    return openai_answer_submit(&a->base);
}

void openai_responses(const call *c) {
    static const openai_endpoint endpoint = {
        "resp_", sizeof(response), submit, take_event, make_whole,
        {make_events, openai_tell_failure, response_close},
    };
    response *a = openai_answer_open(c, &endpoint);
    if (a) openai_answer_give(a, &endpoint);
}
