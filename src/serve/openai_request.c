/* Fields of OpenAI's text endpoints (serve/openai_request.h). */
#include "serve/openai_request.h"

#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"

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

static hone_status read_sampling(openai_request *r) {
    const json_t *b = r->body;
    hone_sampling *s = &r->request.sampling;
    uint64_t top_k = 0;
    *s = hone_sampling_greedy();
    s->temperature = 1;
    TRY(field_float(b, "temperature", 0, 2, &s->temperature));
    TRY(field_float(b, "top_p", 0, 1, &s->top_p));
    TRY(field_float(b, "min_p", 0, 1, &s->min_p));
    TRY(field_float(b, "repetition_penalty", 0.01, 100, &s->repetition_penalty));
    TRY(field_float(b, "presence_penalty", -2, 2, &s->presence_penalty));
    TRY(field_float(b, "frequency_penalty", -2, 2, &s->frequency_penalty));
    TRY(field_whole(b, "top_k", 0, INT32_MAX, &top_k));
    s->top_k = (int32_t)top_k;
    s->repeat_last_n = s->repetition_penalty != 1 ? 64 : 0;
    TRY(field_biases(b, "logit_bias", &r->biases, &s->n_biases));
    s->biases = r->biases;
    return field_seed(b, &s->seed);
}

static hone_status read_logprobs(openai_request *r) {
    uint64_t top = 0;
    if (r->chat) {
        TRY(json_get_bool(r->body, "logprobs", &r->logprobs));
        TRY(field_whole(r->body, "top_logprobs", 0, 20, &top));
        if (top && !r->logprobs)
            return fail(HONE_ERR_ARGUMENT, "top_logprobs needs logprobs to be true");
    } else {
        const json_t *given = json_object_get(r->body, "logprobs");
        r->logprobs = given && !json_is_null(given);
        TRY(field_whole(r->body, "logprobs", 0, 20, &top));
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
    TRY(field_whole(r->body, "n", 1, OPENAI_MAX_CHOICES, &choices));
    TRY(field_whole(r->body, "max_tokens", 0, 1 << 24, &max_tokens));
    TRY(field_whole(r->body, "max_completion_tokens", 0, 1 << 24, &max_tokens));
    TRY(json_get_bool(r->body, "ignore_eos", &r->request.ignore_eos));
    r->n_choices = (size_t)choices;
    if (!max_tokens && !r->chat) max_tokens = 16; /* as OpenAI's */
    r->request.max_tokens = (size_t)max_tokens;
    TRY(read_streaming(r));
    TRY(read_sampling(r));
    TRY(field_stops(r->body, "stop", &r->stops, &r->request.n_stop));
    r->request.stop = r->stops;
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
        status = hone_render_chat(model, list, n, NULL, NULL, NULL, &r->prompt_ids,
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
