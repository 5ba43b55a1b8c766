/* /api/generate and /api/chat: one answer, whole or as lines of JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/auto.h"
#include "serve/fields.h"
#include "serve/job.h"
#include "serve/ollama.h"
#include "serve/ollama_request.h"
#include "serve/reply.h"
#include "serve/stream.h"
#include "serve/token_json.h"

#define MAX_ANSWER_BYTES ((size_t)256 << 20)

/* A request under way; the state of its stream where it streams. What the parser tells apart is
 * gathered here until it is sent: at once in a stream, at the end otherwise. */
typedef struct answer {
    models *m;
    route_files *files;
    exchange *x;
    ollama_request r;
    served_model served;
    json_t *route; /* how "auto" was chosen; NULL: the request names a model */
    job *job;
    answer_parser *parser; /* NULL: everything is text */
    buf text, thought;
    buf call_name, call_arguments; /* of the call that is being read */
    bool in_call;
    json_t *calls, *logprobs;      /* NULL: none */
    double begin_ms;
} answer;

static void answer_close(void *state) {
    answer *a = state;
    job_close(a->job);
    answer_parser_close(a->parser);
    buf_release(&a->text);
    buf_release(&a->thought);
    buf_release(&a->call_name);
    buf_release(&a->call_arguments);
    json_decref(a->calls);
    json_decref(a->logprobs);
    json_decref(a->route);
    ollama_request_release(&a->r);
    if (a->served.name) models_return(a->m, &a->served);
    mem_free(a);
}

/* --- reading the model's text --- */

static hone_status finish_call(answer *a) {
    json_t *arguments = NULL;
    if (!a->in_call) return HONE_OK;
    a->in_call = false;
    const char *text = a->call_arguments.data ? a->call_arguments.data : "{}";
    size_t n = a->call_arguments.data ? a->call_arguments.len : 2;
    if (json_parse(&arguments, text, n, "arguments") != HONE_OK) arguments = json_object();
    json_t *one = json_pack("{s:{s:s, s:o}}", "function", "name",
                            a->call_name.data ? a->call_name.data : "", "arguments", arguments);
    if (!a->calls) a->calls = json_array();
    a->call_name.len = a->call_arguments.len = 0;
    return one && json_array_append_new(a->calls, one) == 0 ? HONE_OK : mem_fail("tool_calls", 1);
}

static hone_status take_span(void *user, answer_span_kind kind, const char *text, size_t n) {
    answer *a = user;
    if (kind == ANSWER_ARGUMENTS) return buf_add(&a->call_arguments, text, n);
    TRY(finish_call(a));
    if (kind == ANSWER_TEXT) return buf_add(&a->text, text, n);
    if (kind == ANSWER_THOUGHT) return buf_add(&a->thought, text, n);
    a->in_call = true;
    a->call_arguments.len = 0;
    return buf_add(&a->call_name, text, n);
}

static hone_status take_event(void *user, const job_event *e) {
    answer *a = user;
    if (e->kind == JOB_DONE) {
        if (a->parser) TRY(answer_parser_finish(a->parser));
        return finish_call(a);
    }
    if (a->r.logprobs && e->piece.token >= 0) {
        if (!a->logprobs) a->logprobs = json_array();
        json_array_append_new(a->logprobs, token_piece_json(a->served.model, &e->piece));
    }
    if (a->parser) return chat_read(a->parser, &a->r.prompt, &e->piece);
    return buf_add(&a->text, e->piece.text, e->piece.n_bytes);
}

/* --- parts of answers --- */

static json_t *head(const answer *a, bool done) {
    return json_pack("{s:s, s:s, s:b}", "model", a->r.model, "created_at", ollama_now().text,
                     "done", (int)done);
}

/* What has been gathered, which is then gone. */
static void add_content(answer *a, json_t *root) {
    json_t *at = a->r.chat ? json_pack("{s:s}", "role", "assistant") : root;
    json_object_set_new(at, a->r.chat ? "content" : "response",
                        json_stringn(a->text.data ? a->text.data : "", a->text.len));
    if (a->thought.len)
        json_object_set_new(at, "thinking", json_stringn(a->thought.data, a->thought.len));
    if (a->calls) json_object_set_new(at, "tool_calls", a->calls);
    if (a->r.chat) json_object_set_new(root, "message", at);
    if (a->logprobs) json_object_set_new(root, "logprobs", a->logprobs);
    a->calls = a->logprobs = NULL;
    a->text.len = a->thought.len = 0;
}

static json_int_t to_ns(double milliseconds) { return (json_int_t)(milliseconds * 1e6); }

static void set_integer(json_t *root, const char *key, json_int_t value) {
    json_object_set_new(root, key, json_integer(value));
}

/* Prompt and answer as tokens, for the next request of /api/generate. */
static void add_context(const answer *a, const hone_result *result, json_t *root) {
    const hone_request *q = &a->r.request;
    if (a->r.chat || a->r.raw) return;
    json_t *list = json_array();
    for (size_t i = 0; i < q->n_prompt_ids; i++)
        json_array_append_new(list, json_integer(q->prompt_ids[i]));
    for (size_t i = 0; i < result->n_tokens; i++)
        json_array_append_new(list, json_integer(result->tokens[i]));
    json_object_set_new(root, "context", list);
}

static json_t *last_object(answer *a) {
    const hone_result *r = job_result(a->job, 0);
    json_t *root = head(a, true);
    add_content(a, root);
    json_object_set_new(root, "done_reason",
                        json_string(r->finish == HONE_FINISH_LENGTH ? "length" : "stop"));
    set_integer(root, "total_duration", to_ns(clock_ms() - a->begin_ms));
    set_integer(root, "load_duration", to_ns(a->served.load_ms));
    set_integer(root, "prompt_eval_count", (json_int_t)r->n_prompt_tokens);
    set_integer(root, "prompt_eval_duration", to_ns(r->prefill_ms));
    set_integer(root, "eval_count", (json_int_t)r->n_tokens);
    set_integer(root, "eval_duration", to_ns(r->decode_ms));
    set_integer(root, "prompt_cached_count", (json_int_t)r->n_cached_tokens);
    if (a->route) json_object_set_new(root, "hone", json_pack("{s:O}", "route", a->route));
    add_context(a, r, root);
    return root;
}

/* --- whole or streamed --- */

static hone_status make_lines(void *state, buf *out, bool *ended) {
    answer *a = state;
    job_event e;
    TRY(job_next(a->job, &e));
    if (e.kind == JOB_NOTHING) return HONE_OK;
    TRY(take_event(a, &e));
    *ended = job_is_done(a->job);
    bool has_news = a->text.len || a->thought.len || a->calls || a->logprobs;
    if (has_news) {
        json_t *root = head(a, false);
        add_content(a, root);
        TRY(stream_add_line(out, root));
    }
    return *ended ? stream_add_line(out, last_object(a)) : HONE_OK;
}

static void add_note(buf *notes, const char *words) {
    size_t before = notes->len;
    if (buf_add_format(notes, "%s%s", before ? ", " : "", words) != HONE_OK) notes->len = before;
}

/* Fields of the request that have no meaning here; their names come from strangers. */
static void note_fields(const answer *a, buf *notes) {
    static const char *const known[] = {
        "model",    "prompt",       "suffix",   "images", "think",      "format",  "options",
        "system",   "template",     "stream",   "raw",    "keep_alive", "context", "truncate",
        "logprobs", "top_logprobs", "messages", "tools",  "priority"};
    const char *name;
    json_t *value;
    json_object_foreach(a->r.body, name, value) {
        bool found = json_is_null(value) || json_is_false(value);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || !strcmp(name, known[i]);
        bool fit = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
        if (!found) add_note(notes, fit ? name : "?");
    }
}

/* What the request wanted and did not get stands in the head of the answer. */
static void add_notes(const answer *a) {
    enum { MAX_NOTES_BYTES = 1000 };
    char number[48];
    buf notes;
    buf_init(&notes, MAX_NOTES_BYTES);
    if (a->r.options.ignored[0]) add_note(&notes, a->r.options.ignored);
    if (a->r.options.n_context > a->served.n_context) {
        snprintf(number, sizeof number, "num_ctx beyond %zu", a->served.n_context);
        add_note(&notes, number);
    }
    note_fields(a, &notes);
    if (notes.len) exchange_add_header(a->x, "X-Hone-Ignored-Options", notes.data);
    buf_release(&notes);
    if (!a->r.n_dropped) return;
    snprintf(number, sizeof number, "%zu", a->r.n_dropped);
    exchange_add_header(a->x, "X-Hone-Dropped-Messages", number);
}

static void take_number(json_t *options, const char *name, double value) {
    if (!isnan(value) && !field_find(options, name))
        json_object_set_new(options, name, json_real(value));
}

static void take_settings(json_t *body, const route_settings *s) {
    json_t *options = json_object_get(body, "options");
    if (!json_is_object(options)) {
        options = json_object();
        json_object_set_new(body, "options", options);
    }
    take_number(options, "temperature", s->temperature);
    take_number(options, "top_p", s->top_p);
    if (s->max_tokens && !field_find(options, "num_predict"))
        json_object_set_new(options, "num_predict", json_integer((json_int_t)s->max_tokens));
}

static void take_system(const answer *a, const char *text) {
    json_t *body = a->r.body, *messages = json_object_get(body, "messages");
    if (a->r.chat && !auto_has_system(messages))
        json_array_insert_new(messages, 0,
                              json_pack("{s:s, s:s}", "role", "system", "content", text));
    if (!a->r.chat && !field_find(body, "system"))
        json_object_set_new(body, "system", json_string(text));
}

/* What a rule says and the request leaves open; raw prompts have no place for a system text. */
static hone_status take_rule(answer *a, route_choice *c) {
    take_settings(a->r.body, &c->settings);
    if (c->system && !a->r.raw) take_system(a, c->system);
    if (!c->strategy) return HONE_OK;
    return route_reason(c, "the strategy %s is left out: Ollama's API has none", c->strategy);
}

/* The model that is named, or for "auto" the one that is chosen. */
static hone_status borrow(answer *a) {
    route_choice c;
    TRY(auto_check(a->r.body));
    if (!auto_is_wanted(a->r.model)) return models_borrow(a->m, a->r.model, &a->served);
    TRY(auto_borrow(&c, &a->served, a->m, a->files, a->r.body));
    a->r.model = a->served.name;
    json_build_begin();
    hone_status status = take_rule(a, &c);
    a->route = auto_to_json(&c, a->r.body);
    route_choice_release(&c);
    hone_status told = json_build_end("choice");
    return status == HONE_OK ? told : status;
}

static hone_status submit(answer *a, const char *client) {
    TRY(borrow(a));
    if (a->r.has_keep) models_keep(a->m, &a->served, a->r.keep_ms);
    if (!a->served.scheduler)
        return fail(HONE_ERR_UNSUPPORTED, "\"%s\" does not support %s", a->served.name,
                    a->r.chat ? "chat" : "generate");
    if (a->r.only_load) return HONE_OK;
    TRY(ollama_request_prepare(&a->r, &a->served));
    if (a->r.templated) TRY(chat_open_parser(&a->parser, &a->r.prompt, take_span, a));
    return job_open(&a->job, a->served.scheduler, a->x, client, &a->r.request, 1);
}

static void reply_loaded(answer *a, const char *reason) {
    json_t *root = head(a, true);
    add_content(a, root);
    json_object_set_new(root, "done_reason", json_string(reason));
    set_integer(root, "total_duration", to_ns(clock_ms() - a->begin_ms));
    set_integer(root, "load_duration", to_ns(a->served.load_ms));
    reply_json(a->x, 200, root);
}

/* keep_alive 0 and nothing to do: the model is closed, and not opened for that. */
static hone_status unload(answer *a) {
    store_entry entry;
    hone_status status = models_unload(a->m, a->r.model);
    if (status != HONE_ERR_NOT_FOUND) return status;
    TRY(store_find(models_store(a->m), a->r.model, &entry));
    manifest_release(&entry.manifest);
    return HONE_OK;
}

static void respond(answer *a, const char *client) {
    bool unloads = a->r.only_load && a->r.has_keep && a->r.keep_ms == 0;
    hone_status status = unloads ? unload(a) : submit(a, client);
    if (status == HONE_OK) add_notes(a);
    if (status == HONE_OK && a->r.stream && a->job) {
        static const stream_maker maker = {make_lines, ollama_tell_failure, answer_close};
        reply_stream(a->x, "application/x-ndjson", &maker, a);
        return;
    }
    if (status == HONE_OK && a->job) status = job_wait(a->job, take_event, a);
    if (status == HONE_ERR_CANCELLED) reply_error(a->x, 499, NULL, NULL, "cancelled");
    else if (status != HONE_OK) reply_failure(a->x, status);
    else if (a->job) reply_json(a->x, 200, last_object(a));
    else reply_loaded(a, unloads ? "unload" : "load");
    answer_close(a);
}

static void serve_text(const call *c, bool chat) {
    size_t n;
    const char *body = exchange_body(c->x, &n);
    answer *a = mem_calloc(1, sizeof *a);
    hone_status status = a ? ollama_request_read(&a->r, chat, body, n) : mem_fail("request", n);
    if (status == HONE_OK) {
        status = call_check_body(c, a->r.body);
        if (status != HONE_OK) ollama_request_release(&a->r);
    }
    if (status != HONE_OK) {
        mem_free(a);
        reply_failure(c->x, status);
        return;
    }
    a->m = c->models;
    a->files = c->files;
    a->x = c->x;
    a->begin_ms = clock_ms();
    buf_init(&a->text, MAX_ANSWER_BYTES);
    buf_init(&a->thought, MAX_ANSWER_BYTES);
    buf_init(&a->call_name, MAX_ANSWER_BYTES);
    buf_init(&a->call_arguments, MAX_ANSWER_BYTES);
    respond(a, c->client);
}

void ollama_generate(const call *c) { serve_text(c, false); }
void ollama_chat(const call *c) { serve_text(c, true); }
