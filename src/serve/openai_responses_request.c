/* From a response's fields to a chat's (serve/openai_responses_request.h). */
#include "serve/openai_responses_request.h"

#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"

static hone_status append(json_t *list, json_t *value) {
    return json_array_append_new(list, value) == 0 ? HONE_OK : mem_fail("input", 1);
}

/* --- input --- */

/* The parts of a content as a chat knows them. */
static hone_status read_part(json_t *parts, const json_t *part) {
    const char *type = NULL, *text = NULL;
    if (!json_is_object(part))
        return fail(HONE_ERR_ARGUMENT, "input: a part of content is no object");
    TRY(json_get_string(part, "type", &type));
    if (!type) return fail(HONE_ERR_ARGUMENT, "input: a part of content has no type");
    if (!strcmp(type, "input_image"))
        return fail(HONE_ERR_UNSUPPORTED, "input_image: this model takes no images");
    const char *key = !strcmp(type, "refusal") ? "refusal" : "text";
    if (*key == 't' && strcmp(type, "input_text") != 0 && strcmp(type, "output_text") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "input: content of type %s is not supported", type);
    TRY(json_get_string(part, key, &text));
    if (!text) return fail(HONE_ERR_ARGUMENT, "input: a part of type %s has no %s", type, key);
    return append(parts, json_pack("{s:s, s:s}", "type", "text", "text", text));
}

static hone_status read_content(json_t **out, const json_t *content) {
    size_t i;
    const json_t *part;
    if (json_is_string(content)) {
        *out = json_incref((json_t *)(uintptr_t)content);
        return HONE_OK;
    }
    if (!json_is_array(content))
        return fail(HONE_ERR_ARGUMENT, "input: content must be a text or a list of parts");
    json_t *parts = json_array();
    hone_status status = parts ? HONE_OK : mem_fail("input", 1);
    json_array_foreach(content, i, part) if (status == HONE_OK) status = read_part(parts, part);
    if (status == HONE_OK) *out = parts;
    else json_decref(parts);
    return status;
}

static hone_status read_message(json_t *messages, const json_t *item) {
    const char *role = NULL;
    json_t *content;
    TRY(json_get_string(item, "role", &role));
    if (!role) return fail(HONE_ERR_ARGUMENT, "input: a message has no role");
    TRY(read_content(&content, json_object_get(item, "content")));
    return append(messages, json_pack("{s:s, s:o}", "role", role, "content", content));
}

/* Calls that follow each other, or an assistant's words, belong to one message. */
static hone_status read_call(json_t *messages, const json_t *item) {
    const char *id = NULL, *name = NULL, *arguments = "{}";
    TRY(json_get_string(item, "call_id", &id));
    TRY(json_get_string(item, "name", &name));
    TRY(json_get_string(item, "arguments", &arguments));
    if (!id || !name)
        return fail(HONE_ERR_ARGUMENT, "input: a function_call needs call_id and name");
    json_t *call = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "function", "function",
                             "name", name, "arguments", arguments);
    json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    if (!role || strcmp(role, "assistant") != 0)
        return append(messages, json_pack("{s:s, s:n, s:[o]}", "role", "assistant", "content",
                                          "tool_calls", call));
    json_t *calls = json_object_get(last, "tool_calls");
    if (calls) return append(calls, call);
    bool set = json_object_set_new(last, "tool_calls", json_pack("[o]", call)) == 0;
    return set ? HONE_OK : mem_fail("input", 1);
}

static hone_status read_call_output(json_t *messages, const json_t *item) {
    const char *id = NULL;
    json_t *content;
    TRY(json_get_string(item, "call_id", &id));
    if (!id) return fail(HONE_ERR_ARGUMENT, "input: a function_call_output needs call_id");
    TRY(read_content(&content, json_object_get(item, "output")));
    return append(messages, json_pack("{s:s, s:s, s:o}", "role", "tool", "tool_call_id", id,
                                      "content", content));
}

/* Earlier thoughts are left out, as the models' templates do. */
static hone_status read_item(json_t *messages, const json_t *item) {
    const char *type = "message";
    if (!json_is_object(item)) return fail(HONE_ERR_ARGUMENT, "input: an item is no object");
    TRY(json_get_string(item, "type", &type));
    if (!strcmp(type, "message")) return read_message(messages, item);
    if (!strcmp(type, "function_call")) return read_call(messages, item);
    if (!strcmp(type, "function_call_output")) return read_call_output(messages, item);
    if (!strcmp(type, "reasoning")) return HONE_OK;
    if (!strcmp(type, "item_reference"))
        return fail(HONE_ERR_UNSUPPORTED, "input: item_reference: this server stores nothing");
    return fail(HONE_ERR_UNSUPPORTED, "input: items of type %s are not supported", type);
}

static hone_status read_input(openai_responses_request *q, const json_t *body) {
    const char *instructions = NULL;
    const json_t *input = field_find(body, "input"), *item;
    size_t i;
    q->messages = json_array();
    if (!q->messages) return mem_fail("input", 1);
    TRY(json_get_string(body, "instructions", &instructions));
    if (instructions)
        TRY(append(q->messages,
                   json_pack("{s:s, s:s}", "role", "system", "content", instructions)));
    if (json_is_string(input))
        TRY(append(q->messages, json_pack("{s:s, s:O}", "role", "user", "content", input)));
    else if (json_is_array(input) && json_array_size(input) > 0)
        json_array_foreach(input, i, item) TRY(read_item(q->messages, item));
    else return fail(HONE_ERR_ARGUMENT, "input must be a text or a list of items, not empty");
    q->chat.messages = q->messages;
    return HONE_OK;
}

/* --- tools --- */

static hone_status read_tool(json_t *tools, const json_t *tool) {
    const char *type = NULL;
    if (!json_is_object(tool)) return fail(HONE_ERR_ARGUMENT, "tools: a tool is no object");
    TRY(json_get_string(tool, "type", &type));
    if (!type || strcmp(type, "function") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "tools of type %s are not supported",
                    type ? type : "(none)");
    json_t *function = json_copy((json_t *)(uintptr_t)tool);
    json_object_del(function, "type");
    return append(tools, json_pack("{s:s, s:o}", "type", "function", "function", function));
}

static hone_status read_choice(chat_settings *s, const json_t *choice) {
    static const char *const words[] = {"auto", "none", "required"};
    const char *word = json_string_value(choice), *type = NULL;
    if (!choice) return HONE_OK;
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i])) {
            s->choice = (int)i; /* AUTO, NONE, REQUIRED */
            return HONE_OK;
        }
    if (!json_is_object(choice))
        return fail(HONE_ERR_ARGUMENT, "tool_choice is neither none, auto, required nor an object");
    TRY(json_get_string(choice, "type", &type));
    TRY(json_get_string(choice, "name", &s->tool_name));
    if (!type || strcmp(type, "function") != 0 || !s->tool_name)
        return fail(HONE_ERR_UNSUPPORTED, "tool_choice: only a function can be named");
    s->choice = CHAT_TOOLS_NAMED;
    return HONE_OK;
}

static hone_status read_tools(openai_responses_request *q, const json_t *body) {
    const json_t *tools = field_find(body, "tools"), *tool;
    bool parallel = true;
    size_t i;
    if (tools && !json_is_array(tools)) return fail(HONE_ERR_ARGUMENT, "tools must be a list");
    q->tools = tools ? json_array() : NULL;
    if (tools && !q->tools) return mem_fail("tools", 1);
    json_array_foreach(tools, i, tool) TRY(read_tool(q->tools, tool));
    TRY(json_get_bool(body, "parallel_tool_calls", &parallel));
    TRY(read_choice(&q->chat, field_find(body, "tool_choice")));
    q->chat.tools = q->tools;
    q->chat.one_call = !parallel || q->chat.choice == CHAT_TOOLS_NAMED;
    return HONE_OK;
}

/* --- the rest --- */

static hone_status read_text(chat_settings *s, const json_t *body) {
    const json_t *text = field_find(body, "text"), *format = field_find(text, "format");
    const char *type = NULL, *verbosity = "medium";
    if (text && !json_is_object(text)) return fail(HONE_ERR_ARGUMENT, "text is no object");
    TRY(json_get_string(text, "verbosity", &verbosity));
    if (strcmp(verbosity, "medium") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "text.verbosity: only \"medium\" is supported");
    if (!format) return HONE_OK;
    if (!json_is_object(format)) return fail(HONE_ERR_ARGUMENT, "text.format is no object");
    TRY(json_get_string(format, "type", &type));
    if (!type) return fail(HONE_ERR_ARGUMENT, "text.format has no type");
    if (!strcmp(type, "text")) return HONE_OK;
    s->form = !strcmp(type, "json_object") ? CHAT_FORM_JSON : CHAT_FORM_SCHEMA;
    s->schema = field_find(format, "schema");
    if (s->form == CHAT_FORM_JSON) return HONE_OK;
    if (strcmp(type, "json_schema") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "text.format %s is not supported", type);
    if (!json_is_object(s->schema) && !json_is_boolean(s->schema))
        return fail(HONE_ERR_ARGUMENT, "text.format has no schema");
    return HONE_OK;
}

static hone_status read_reasoning(chat_settings *s, const json_t *body) {
    const json_t *reasoning = field_find(body, "reasoning");
    if (reasoning && !json_is_object(reasoning))
        return fail(HONE_ERR_ARGUMENT, "reasoning is no object");
    if (field_find(reasoning, "summary") || field_find(reasoning, "generate_summary"))
        return fail(HONE_ERR_UNSUPPORTED,
                    "reasoning.summary is not supported: thoughts come in full, as reasoning_text");
    TRY(json_get_string(reasoning, "effort", &s->effort));
    s->limit_thinking = field_find(body, "thinking_budget") != NULL;
    return field_whole(body, "thinking_budget", 0, 1 << 24, &s->thinking_budget);
}

static hone_status read_include(openai_responses_request *q, openai_request *r) {
    const json_t *include = field_find(r->body, "include"), *one;
    uint64_t top = 0;
    size_t i;
    if (include && !json_is_array(include))
        return fail(HONE_ERR_ARGUMENT, "include must be a list");
    json_array_foreach(include, i, one) {
        const char *name = json_string_value(one);
        if (!name || strcmp(name, "message.output_text.logprobs") != 0)
            return fail(HONE_ERR_UNSUPPORTED, "include: %s is not supported",
                        name ? name : "(no text)");
        q->logprobs = true;
    }
    TRY(field_whole(r->body, "top_logprobs", 0, 20, &top));
    r->request.logprobs = q->logprobs;
    r->request.n_top_logprobs = q->logprobs ? (size_t)top : 0;
    return HONE_OK;
}

static hone_status check_usual(const json_t *body) {
    const char *truncation = "disabled";
    const json_t *metadata = field_find(body, "metadata");
    TRY(json_get_string(body, "truncation", &truncation));
    if (strcmp(truncation, "disabled") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "truncation: only \"disabled\" is supported");
    if (metadata && !json_is_object(metadata))
        return fail(HONE_ERR_ARGUMENT, "metadata is no object");
    return HONE_OK;
}

hone_status openai_responses_request_read(openai_responses_request *q, openai_request *r) {
    uint64_t max_tokens = 0;
    *q = (openai_responses_request){0};
    TRY(check_usual(r->body));
    TRY(field_whole(r->body, "max_output_tokens", 1, 1 << 24, &max_tokens));
    r->request.max_tokens = (size_t)max_tokens;
    TRY(read_input(q, r->body));
    TRY(read_tools(q, r->body));
    TRY(read_text(&q->chat, r->body));
    TRY(read_reasoning(&q->chat, r->body));
    TRY(read_include(q, r));
    return chat_check(&q->chat);
}

void openai_responses_request_release(openai_responses_request *q) {
    json_decref(q->messages);
    json_decref(q->tools);
    *q = (openai_responses_request){0};
}
