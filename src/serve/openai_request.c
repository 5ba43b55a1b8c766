/* Fields of OpenAI's text endpoints (serve/openai_request.h). */
#include "serve/openai_request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"

/* RFC 8259, with white space as models write it and nesting without bound. */
static const char json_grammar[] =
    "root ::= object\n"
    "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ws (pair (\",\" ws pair)*)? ws \"}\"\n"
    "pair ::= string ws \":\" ws value\n"
    "array ::= \"[\" ws (value (\",\" ws value)*)? ws \"]\"\n"
    "string ::= \"\\\"\" ([^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4}))* "
    "\"\\\"\"\n"
    "number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15}) (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

/* --- plain fields --- */

static hone_status number(const json_t *body, const char *key, double low, double high,
                          double *value) {
    TRY(json_get_f64(body, key, value));
    if (*value >= low && *value <= high) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "%s is %g; it must be between %g and %g", key, *value, low, high);
}

static hone_status whole(const json_t *body, const char *key, uint64_t low, uint64_t high,
                         uint64_t *value) {
    TRY(json_get_u64(body, key, value));
    if (*value >= low && *value <= high) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "%s is %llu; it must be between %llu and %llu", key,
                (unsigned long long)*value, (unsigned long long)low, (unsigned long long)high);
}

static hone_status read_sampling(openai_request *r) {
    const json_t *b = r->body;
    hone_sampling *s = &r->request.sampling;
    double temperature = 1, top_p = 1, min_p = 0, repetition = 1, presence = 0, frequency = 0;
    uint64_t top_k = 0, seed = system_random() >> 1;
    TRY(number(b, "temperature", 0, 2, &temperature));
    TRY(number(b, "top_p", 0, 1, &top_p));
    TRY(number(b, "min_p", 0, 1, &min_p));
    TRY(number(b, "repetition_penalty", 0.01, 100, &repetition));
    TRY(number(b, "presence_penalty", -2, 2, &presence));
    TRY(number(b, "frequency_penalty", -2, 2, &frequency));
    TRY(whole(b, "top_k", 0, INT32_MAX, &top_k));
    const json_t *given = json_object_get(b, "seed");
    bool seeded = given && !json_is_null(given);
    if (seeded && !json_is_integer(given))
        return fail(HONE_ERR_ARGUMENT, "seed is no whole number");
    if (seeded) seed = (uint64_t)json_integer_value(given);
    *s = hone_sampling_greedy();
    s->temperature = (float)temperature;
    s->top_p = (float)top_p;
    s->min_p = (float)min_p;
    s->top_k = (int32_t)top_k;
    s->repetition_penalty = (float)repetition;
    s->repeat_last_n = repetition != 1 ? 64 : 0;
    s->presence_penalty = (float)presence;
    s->frequency_penalty = (float)frequency;
    s->seed = seed;
    return HONE_OK;
}

static hone_status read_stops(openai_request *r) {
    const json_t *stop = json_object_get(r->body, "stop");
    if (!stop || json_is_null(stop)) return HONE_OK;
    size_t n = json_is_array(stop) ? json_array_size(stop) : 1;
    if (n > 16) return fail(HONE_ERR_ARGUMENT, "stop has %zu texts, at most 16", n);
    const char **texts = mem_calloc(n, sizeof *texts);
    if (!texts) return mem_fail("stop", n * sizeof *texts);
    r->stops = texts;
    for (size_t i = 0; i < n; i++) {
        texts[i] = json_string_value(json_is_array(stop) ? json_array_get(stop, i) : stop);
        if (!texts[i]) return fail(HONE_ERR_ARGUMENT, "stop must be a text or a list of texts");
    }
    r->request.stop = texts;
    r->request.n_stop = n;
    return HONE_OK;
}

static hone_status read_biases(openai_request *r) {
    json_t *map = json_object_get(r->body, "logit_bias"), *value;
    if (!map || json_is_null(map)) return HONE_OK;
    size_t n = json_object_size(map), i = 0;
    if (!json_is_object(map) || n > 1024)
        return fail(HONE_ERR_ARGUMENT, "logit_bias must be an object of at most 1024 tokens");
    hone_logit_bias *biases = mem_calloc(n, sizeof *biases);
    if (!biases) return mem_fail("logit_bias", n * sizeof *biases);
    r->biases = biases;
    const char *key;
    json_object_foreach(map, key, value) {
        char *end;
        long token = strtol(key, &end, 10);
        double bias = json_number_value(value);
        if (*end || end == key || token < 0 || token > INT32_MAX || !json_is_number(value) ||
            !(fabs(bias) <= 100))
            return fail(HONE_ERR_ARGUMENT, "logit_bias maps token ids to numbers between -100 and 100");
        biases[i++] = (hone_logit_bias){(int32_t)token, (float)bias};
    }
    r->request.sampling.biases = biases;
    r->request.sampling.n_biases = n;
    return HONE_OK;
}

static hone_status read_logprobs(openai_request *r) {
    uint64_t top = 0;
    if (r->chat) {
        TRY(json_get_bool(r->body, "logprobs", &r->logprobs));
        TRY(whole(r->body, "top_logprobs", 0, 20, &top));
        if (top && !r->logprobs)
            return fail(HONE_ERR_ARGUMENT, "top_logprobs needs logprobs to be true");
    } else {
        const json_t *given = json_object_get(r->body, "logprobs");
        r->logprobs = given && !json_is_null(given);
        TRY(whole(r->body, "logprobs", 0, 20, &top));
    }
    r->request.logprobs = r->logprobs;
    r->request.n_top_logprobs = (size_t)top;
    return HONE_OK;
}

/* What hone cannot honour yet is refused, never passed over. */
static hone_status refuse_unsupported(const openai_request *r) {
    static const char *const fields[] = {"tools", "functions", "suffix", "best_of", "echo", "audio",
                                         "prediction", "web_search_options"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *given = json_object_get(r->body, fields[i]);
        bool empty = !given || json_is_null(given) ||
                     (json_is_array(given) && json_array_size(given) == 0) ||
                     json_is_false(given) ||
                     (json_is_integer(given) && json_integer_value(given) <= 1);
        if (!empty) return fail(HONE_ERR_UNSUPPORTED, "%s is not supported yet", fields[i]);
    }
    return HONE_OK;
}

/* The name of the response format, "text" where none is given, and its schema or NULL. */
static hone_status read_format(const openai_request *r, const char **type, const json_t **schema) {
    const json_t *format = json_object_get(r->body, "response_format");
    *type = "text";
    if (!format || json_is_null(format)) return HONE_OK;
    if (!json_is_object(format)) return fail(HONE_ERR_ARGUMENT, "response_format is no object");
    TRY(json_get_string(format, "type", type));
    if (!strcmp(*type, "text") || !strcmp(*type, "json_object")) return HONE_OK;
    if (strcmp(*type, "json_schema") != 0)
        return fail(HONE_ERR_ARGUMENT, "response_format.type is text, json_object or json_schema, "
                    "not %s", *type);
    *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
    if (*schema) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "response_format.json_schema.schema is missing");
}

/* Held to in full, whether `strict` is set or not. */
static hone_status open_schema(hone_grammar **grammar, const hone_model *model,
                               const json_t *schema) {
    char *text = json_dumps(schema, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text) return mem_fail("schema", 0);
    hone_status status = hone_grammar_open_schema(grammar, model, text, strlen(text), NULL);
    mem_free(text);
    if (status == HONE_OK) return HONE_OK;
    /* It came with the request: whatever is wrong with it is the request's fault. */
    fail_context(status, "response_format.json_schema.schema");
    return status == HONE_ERR_MEMORY ? status : HONE_ERR_ARGUMENT;
}

static hone_status read_streaming(openai_request *r) {
    TRY(json_get_bool(r->body, "stream", &r->stream));
    const json_t *options = json_object_get(r->body, "stream_options");
    if (!options || json_is_null(options)) return HONE_OK;
    if (!json_is_object(options) || !r->stream)
        return fail(HONE_ERR_ARGUMENT, "stream_options needs stream to be true");
    return json_get_bool(options, "include_usage", &r->include_usage);
}

static hone_status read_fields(openai_request *r) {
    uint64_t choices = 1, max_tokens = 0;
    const char *format;
    const json_t *schema = NULL;
    TRY(json_get_string(r->body, "model", &r->model));
    TRY(whole(r->body, "n", 1, OPENAI_MAX_CHOICES, &choices));
    TRY(whole(r->body, "max_tokens", 0, 1 << 24, &max_tokens));
    TRY(whole(r->body, "max_completion_tokens", 0, 1 << 24, &max_tokens));
    TRY(json_get_bool(r->body, "ignore_eos", &r->request.ignore_eos));
    r->n_choices = (size_t)choices;
    if (!max_tokens && !r->chat) max_tokens = 16; /* as OpenAI's */
    r->request.max_tokens = (size_t)max_tokens;
    TRY(read_streaming(r));
    TRY(read_sampling(r));
    TRY(read_stops(r));
    TRY(read_biases(r));
    TRY(read_logprobs(r));
    TRY(read_format(r, &format, &schema));
    return refuse_unsupported(r);
}

hone_status openai_request_read(openai_request *r, bool chat, const char *body, size_t n) {
    *r = (openai_request){.chat = chat};
    hone_status status = json_parse(&r->body, body, n, "the request");
    if (status == HONE_OK && !json_is_object(r->body))
        status = fail(HONE_ERR_FORMAT, "the request is no JSON object");
    if (status == HONE_OK) status = read_fields(r);
    if (status != HONE_OK) openai_request_release(r);
    return status;
}

void openai_request_release(openai_request *r) {
    hone_grammar_close(r->grammar);
    hone_free(r->prompt_ids);
    mem_free((void *)(uintptr_t)r->stops);
    mem_free(r->biases);
    json_decref(r->body);
    *r = (openai_request){0};
}

/* --- the prompt --- */

/* Text parts of a content; others are refused by the engine, which knows what the model takes. */
static hone_status read_part(const json_t *value, hone_part *part) {
    const char *type = "text", *text = NULL;
    if (json_is_string(value)) {
        *part = (hone_part){HONE_PART_TEXT, json_string_value(value), json_string_length(value)};
        return HONE_OK;
    }
    if (!json_is_object(value)) return fail(HONE_ERR_ARGUMENT, "a part of content is no object");
    TRY(json_get_string(value, "type", &type));
    if (strcmp(type, "text") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "content of type %s is not supported by this model", type);
    TRY(json_get_string(value, "text", &text));
    if (!text) return fail(HONE_ERR_ARGUMENT, "a part of type text has no text");
    *part = (hone_part){HONE_PART_TEXT, text, strlen(text)};
    return HONE_OK;
}

static size_t count_parts(const json_t *messages) {
    size_t n = 0, i;
    json_t *message;
    json_array_foreach(messages, i, message) {
        const json_t *content = json_object_get(message, "content");
        n += json_is_array(content) ? json_array_size(content) : 1;
    }
    return n;
}

static hone_status read_message(const json_t *value, hone_message *message, hone_part *parts,
                                size_t *n_parts) {
    const char *role = NULL;
    if (!json_is_object(value)) return fail(HONE_ERR_ARGUMENT, "a message is no object");
    TRY(json_get_string(value, "role", &role));
    if (!role) return fail(HONE_ERR_ARGUMENT, "a message has no role");
    if (!strcmp(role, "developer")) role = "system";
    const json_t *content = json_object_get(value, "content");
    size_t n = json_is_array(content) ? json_array_size(content) : 1;
    if (!content || json_is_null(content))
        return fail(HONE_ERR_ARGUMENT, "a message has no content");
    for (size_t i = 0; i < n; i++)
        TRY(read_part(json_is_array(content) ? json_array_get(content, i) : content, &parts[i]));
    *message = (hone_message){role, parts, n};
    *n_parts = n;
    return HONE_OK;
}

static hone_status render_messages(openai_request *r, const hone_model *model) {
    const json_t *messages = json_object_get(r->body, "messages");
    size_t n = json_array_size(messages), at = 0;
    if (n == 0) return fail(HONE_ERR_ARGUMENT, "messages is missing or empty");
    if (n > OPENAI_MAX_MESSAGES)
        return fail(HONE_ERR_ARGUMENT, "%zu messages, at most %d", n, OPENAI_MAX_MESSAGES);
    size_t n_parts = count_parts(messages);
    hone_message *list = mem_calloc(n, sizeof *list);
    hone_part *parts = mem_calloc(n_parts, sizeof *parts);
    hone_status status = list && parts ? HONE_OK : mem_fail("messages", n * sizeof *list);
    for (size_t i = 0, used = 0; i < n && status == HONE_OK; i++, at += used)
        status = read_message(json_array_get(messages, i), &list[i], parts + at, &used);
    if (status == HONE_OK)
        status = hone_render_chat(model, list, n, NULL, NULL, &r->prompt_ids,
                                  &r->request.n_prompt_ids);
    mem_free(list);
    mem_free(parts);
    return status;
}

static hone_status read_token_list(openai_request *r, const json_t *list, size_t n_vocab) {
    size_t n = json_array_size(list);
    r->prompt_ids = mem_calloc(n, sizeof *r->prompt_ids);
    if (!r->prompt_ids) return mem_fail("prompt", n * sizeof *r->prompt_ids);
    for (size_t i = 0; i < n; i++) {
        uint64_t id;
        if (!json_to_u64(json_array_get(list, i), &id) || id >= n_vocab)
            return fail(HONE_ERR_ARGUMENT, "prompt holds something that is no token of this model");
        r->prompt_ids[i] = (int32_t)id;
    }
    r->request.n_prompt_ids = n;
    return HONE_OK;
}

static hone_status read_prompt(openai_request *r, const hone_model *model) {
    const json_t *prompt = json_object_get(r->body, "prompt");
    if (json_is_array(prompt) && json_array_size(prompt) == 1 &&
        !json_is_integer(json_array_get(prompt, 0)))
        prompt = json_array_get(prompt, 0);
    if (json_is_array(prompt) && json_is_integer(json_array_get(prompt, 0)))
        return read_token_list(r, prompt, hone_model_describe(model)->n_vocab);
    if (json_is_array(prompt))
        return fail(HONE_ERR_UNSUPPORTED, "several prompts in one request are not supported yet");
    if (!json_is_string(prompt)) return fail(HONE_ERR_ARGUMENT, "prompt is missing");
    return hone_tokenize(model, json_string_value(prompt), json_string_length(prompt), true,
                         &r->prompt_ids, &r->request.n_prompt_ids);
}

hone_status openai_request_prepare(openai_request *r, hone_model *model) {
    const char *format;
    const json_t *schema = NULL;
    TRY(r->chat ? render_messages(r, model) : read_prompt(r, model));
    if (r->request.n_prompt_ids == 0) return fail(HONE_ERR_ARGUMENT, "the prompt is empty");
    r->request.prompt_ids = r->prompt_ids;
    TRY(read_format(r, &format, &schema));
    if (!strcmp(format, "json_object"))
        TRY(hone_grammar_open(&r->grammar, model, json_grammar, sizeof json_grammar - 1));
    if (schema) TRY(open_schema(&r->grammar, model, schema));
    r->request.grammar = r->grammar;
    return HONE_OK;
}
