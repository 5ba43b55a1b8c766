/* What OpenAI's text endpoints share (serve/openai_answer.h). */
#include "serve/openai_answer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "hone/strategy.h"
#include "serve/auto.h"
#include "serve/fields.h"
#include "serve/ollama_options.h"
#include "serve/own_words.h"
#include "serve/reply.h"
#include "serve/token_json.h"

/* --- life --- */

hone_status openai_answer_init(openai_answer *a, const call *c, const char *prefix) {
    size_t n;
    const char *body = exchange_body(c->x, &n);
    *a = (openai_answer){.models = c->models, .files = c->files, .description = c->description,
                         .x = c->x, .client = c->client, .runs_code = c->runs_code,
                         .created = time(NULL)};
    snprintf(a->id, sizeof a->id, "%s%s", prefix, exchange_id(c->x) + 4);
    return openai_request_read(&a->r, body, n);
}

void openai_answer_release(openai_answer *a) {
    job_close(a->job);
    mem_free(a->requests);
    json_decref(a->messages);
    json_decref(a->hone);
    openai_request_release(&a->r);
    if (a->served.name) models_return(a->models, &a->served);
}

/* --- what the model brings along --- */

/* Names of OpenAI's fields for Ollama's parameters, where they differ. */
static const char *const other_names[][2] = {{"repeat_penalty", "repetition_penalty"},
                                             {"num_predict", "max_tokens"},
                                             {"num_predict", "max_completion_tokens"},
                                             {"num_predict", "max_output_tokens"}};

/* What the request does not say itself. */
static bool is_left_open(const void *body, const char *name) {
    for (size_t i = 0; i < sizeof other_names / sizeof *other_names; i++)
        if (!strcmp(other_names[i][0], name) && field_find(body, other_names[i][1])) return false;
    return !field_find(body, name);
}

static hone_status apply_parameters(openai_answer *a) {
    hone_request *q = &a->r.request;
    ollama_options o = {.sampling = q->sampling};
    hone_status status =
        ollama_options_apply_where(&o, a->served.settings->parameters, is_left_open, a->r.body);
    if (status == HONE_OK) q->sampling = o.sampling;
    if (status == HONE_OK && !q->max_tokens) q->max_tokens = o.max_tokens;
    if (status != HONE_OK || !o.n_stops || q->n_stop) {
        ollama_options_release(&o);
        return status;
    }
    mem_free((void *)(uintptr_t)a->r.stops); /* an empty list */
    a->r.stops = q->stop = o.stops;
    q->n_stop = o.n_stops;
    return HONE_OK;
}

/* --- a model that is chosen --- */

/* Sets a number of the request that it leaves open. */
static bool take_number(openai_answer *a, const char *name, double value) {
    if (isnan(value) || !is_left_open(a->r.body, name)) return false;
    json_object_set_new(a->r.body, name, json_real(value));
    return true;
}

/* The exchange is one with /v1/responses. */
static bool answers_input(const openai_answer *a) { return field_find(a->r.body, "input") != NULL; }

static void take_settings(openai_answer *a, const route_settings *s) {
    hone_sampling *sampling = &a->r.request.sampling;
    if (take_number(a, "temperature", s->temperature))
        sampling->temperature = (float)s->temperature;
    if (take_number(a, "top_p", s->top_p)) sampling->top_p = (float)s->top_p;
    if (s->max_tokens && is_left_open(a->r.body, "num_predict"))
        json_object_set_new(a->r.body, answers_input(a) ? "max_output_tokens" : "max_tokens",
                            json_integer((json_int_t)s->max_tokens));
}

static hone_status take_system(openai_answer *a, route_choice *c) {
    json_t *body = a->r.body, *messages = json_object_get(body, "messages");
    if (auto_has_system(messages) || auto_has_system(field_find(body, "input"))) return HONE_OK;
    if (messages)
        json_array_insert_new(messages, 0,
                              json_pack("{s:s, s:s}", "role", "system", "content", c->system));
    else if (!answers_input(a))
        return route_reason(c, "the system text is left out: a prompt that is gone on with has no "
                               "place for it");
    else if (!field_find(body, "instructions"))
        json_object_set_new(body, "instructions", json_string(c->system));
    return HONE_OK;
}

/* Whether the store has the models that a strategy asks beside the first. */
static bool has_models(const models *m, const char *expression) {
    hone_strategy *s;
    const char *name;
    bool has = hone_strategy_parse(&s, expression) == HONE_OK;
    if (!has) return false;
    for (size_t i = 0; has && (name = hone_strategy_model(s, i)); i++) {
        store_entry entry;
        has = store_find(models_store(m), name, &entry) == HONE_OK;
        if (has) manifest_release(&entry.manifest);
    }
    hone_strategy_close(s);
    return has;
}

/* A strategy gives one answer in words; a request that wants something else goes without. */
static hone_status take_strategy(openai_answer *a, route_choice *c) {
    const json_t *b = a->r.body;
    bool fits = a->r.n_choices == 1 && !json_array_size(field_find(b, "tools")) &&
                !json_is_true(field_find(b, "logprobs"));
    if (field_find(b, "strategy") || field_find(b, "optillm_approach")) return HONE_OK;
    if (!field_find(b, "messages"))
        return route_reason(c, "the strategy %s is left out: only chat completions take one",
                            c->strategy);
    if (!fits)
        return route_reason(c, "the strategy %s is left out: the request wants tools, "
                               "log-probabilities or several answers", c->strategy);
    if (!has_models(a->models, c->strategy))
        return route_reason(c, "the strategy %s is left out: the store lacks one of its models",
                            c->strategy);
    json_object_set_new(a->r.body, "strategy", json_string(c->strategy));
    return HONE_OK;
}

hone_status openai_answer_choose(openai_answer *a) {
    route_choice c;
    TRY(auto_check(a->r.body));
    if (!auto_is_wanted(a->r.model)) return HONE_OK;
    TRY(auto_borrow(&c, &a->served, a->models, a->files, a->r.body));
    a->r.model = a->served.name;
    take_settings(a, &c.settings);
    hone_status status = c.system ? take_system(a, &c) : HONE_OK;
    if (status == HONE_OK && c.strategy) status = take_strategy(a, &c);
    json_build_begin();
    a->hone = json_pack("{s:o}", "route", auto_to_json(&c, a->r.body));
    route_choice_release(&c);
    hone_status told = json_build_end("choice");
    return status == HONE_OK ? told : status;
}

hone_status openai_answer_borrow(openai_answer *a) {
    TRY(description_check(a->description, exchange_method(a->x), exchange_path(a->x), a->r.body));
    if (!a->served.name) TRY(models_borrow(a->models, a->r.model, &a->served));
    if (!a->served.scheduler)
        return fail(HONE_ERR_UNSUPPORTED, "%s takes no text", a->served.name);
    return apply_parameters(a);
}

hone_status openai_answer_converse(openai_answer *a, chat_settings *chat) {
    const model_settings *own = a->served.settings;
    if (!own_words_are_there(own)) return HONE_OK;
    TRY(own_words_join(&a->messages, own, chat->messages, true));
    chat->messages = a->messages;
    return HONE_OK;
}

hone_status openai_answer_plan(openai_answer *a, size_t n) {
    a->requests = mem_calloc(n, sizeof *a->requests);
    if (!a->requests) return mem_fail("request", n * sizeof *a->requests);
    for (size_t i = 0; i < n; i++) a->requests[i] = a->r.request;
    a->n_requests = n;
    return HONE_OK;
}

hone_status openai_answer_submit(openai_answer *a) {
    return job_open(&a->job, a->served.scheduler, a->x, a->client, a->requests, a->n_requests);
}

void openai_answer_refuse(const openai_answer *a, hone_status status) {
    if (status == HONE_ERR_CANCELLED && exchange_is_gone(a->x))
        reply_error(a->x, 499, "cancelled", NULL, "the client hung up");
    else reply_failure(a->x, status);
}

/* --- the road --- */

void *openai_answer_open(const call *c, const openai_endpoint *endpoint) {
    openai_answer *a = mem_calloc(1, endpoint->answer_bytes);
    hone_status status = a ? openai_answer_init(a, c, endpoint->id_prefix)
                           : mem_fail("request", endpoint->answer_bytes);
    if (status == HONE_OK) return a;
    mem_free(a);
    reply_failure(c->x, status);
    return NULL;
}

void openai_answer_give(void *answer, const openai_endpoint *endpoint) {
    openai_answer *a = answer;
    json_t *reply = NULL;
    hone_status status = endpoint->submit(answer);
    if (status == HONE_OK && a->r.stream) {
        reply_stream(a->x, "text/event-stream", &endpoint->stream, answer);
        return;
    }
    if (status == HONE_OK) status = job_wait(a->job, endpoint->take, answer);
    if (status == HONE_OK) status = endpoint->whole(answer, &reply);
    if (status == HONE_OK) reply_json(a->x, 200, reply);
    else openai_answer_refuse(a, status);
    endpoint->stream.close(answer);
}

/* --- parts --- */

json_t *openai_envelope(const openai_answer *a, const char *object, json_t *choices) {
    json_t *root = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", a->id, "object", object,
                             "created", (json_int_t)a->created, "model", a->served.name,
                             "system_fingerprint", "hone-" HONE_VERSION, "choices", choices);
    if (json_object_size(a->hone)) {
        json_object_set_new(root, "hone", json_copy(a->hone));
        json_object_clear(a->hone);
    }
    return root;
}

json_t *openai_usage(const openai_answer *a, size_t n_choices) {
    json_int_t prompt = 0, cached = 0, made = 0, thoughts = 0;
    for (size_t i = 0; i < a->n_requests; i++) {
        const hone_result *r = job_result(a->job, i);
        if (i % n_choices == 0) {
            prompt += (json_int_t)r->n_prompt_tokens;
            cached += (json_int_t)r->n_cached_tokens;
        }
        made += (json_int_t)r->n_tokens;
        thoughts += (json_int_t)r->n_thought_tokens;
    }
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens", prompt,
                     "completion_tokens", made, "total_tokens", prompt + made,
                     "prompt_tokens_details", "cached_tokens", cached, "completion_tokens_details",
                     "reasoning_tokens", thoughts);
}

static double per_second(size_t n, double ms) { return ms > 0 ? 1000.0 * (double)n / ms : 0; }

void openai_add_costs(const openai_answer *a, json_t *root) {
    const hone_result *r = job_result(a->job, 0);
    size_t computed = r->n_prompt_tokens - r->n_cached_tokens;
    size_t decoded = r->n_tokens > 1 ? r->n_tokens - 1 : 0;
    json_object_set_new(
        root, "timings",
        json_pack("{s:I, s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:f}", "cache_n",
                  (json_int_t)r->n_cached_tokens, "prompt_n", (json_int_t)computed, "prompt_ms",
                  r->prefill_ms, "prompt_per_second", per_second(computed, r->prefill_ms),
                  "predicted_n", (json_int_t)r->n_tokens, "predicted_ms", r->decode_ms,
                  "predicted_per_second", per_second(decoded, r->decode_ms), "ttft_ms", r->ttft_ms,
                  "load_ms", a->served.load_ms));
    scheduler_state state = scheduler_look(a->served.scheduler);
    json_object_set_new(root, "memory",
                        json_pack("{s:I, s:I}", "resident_bytes",
                                  (json_int_t)system_resident_bytes(), "cache_bytes",
                                  (json_int_t)state.cache_bytes));
}

const char *openai_finish_reason(const hone_result *r) {
    return r->finish == HONE_FINISH_LENGTH ? "length" : "stop";
}
