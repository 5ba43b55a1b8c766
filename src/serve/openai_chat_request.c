/* Fields of chats (serve/openai_chat_request.h). */
#include "serve/openai_chat_request.h"

#include <string.h>

#include "serve/example_list.h"
#include "serve/fields.h"

static hone_status read_logprobs(openai_chat_request *q, openai_request *r) {
    uint64_t top = 0;
    TRY(json_get_bool(r->body, "logprobs", &q->logprobs));
    TRY(field_whole(r->body, "top_logprobs", 0, 20, &top));
    if (top && !q->logprobs)
        return fail(HONE_ERR_ARGUMENT, "top_logprobs needs logprobs to be true");
    r->request.logprobs = q->logprobs;
    r->request.n_top_logprobs = (size_t)top;
    return HONE_OK;
}

static hone_status read_schema(chat_settings *s, const json_t *format) {
    const json_t *described = field_find(format, "json_schema");
    const char *name = NULL;
    bool strict = true;
    if (!json_is_object(described))
        return fail(HONE_ERR_ARGUMENT, "response_format: json_schema is missing");
    TRY(json_get_string(described, "name", &name));
    TRY(json_get_bool(described, "strict", &strict));
    s->schema = field_find(described, "schema");
    if (!json_is_object(s->schema) && !json_is_boolean(s->schema))
        return fail(HONE_ERR_ARGUMENT, "response_format.json_schema.schema is missing");
    s->form = CHAT_FORM_SCHEMA;
    return HONE_OK;
}

static hone_status read_format(chat_settings *s, const json_t *format) {
    const char *type = NULL;
    if (!format) return HONE_OK;
    if (!json_is_object(format)) return fail(HONE_ERR_ARGUMENT, "response_format is no object");
    TRY(json_get_string(format, "type", &type));
    if (!type) return fail(HONE_ERR_ARGUMENT, "response_format has no type");
    if (!strcmp(type, "text")) return HONE_OK;
    if (!strcmp(type, "json_schema")) return read_schema(s, format);
    if (!strcmp(type, "json_object")) {
        s->form = CHAT_FORM_JSON;
        return HONE_OK;
    }
    return fail(HONE_ERR_UNSUPPORTED, "response_format %s is not supported", type);
}

static hone_status read_named_tool(chat_settings *s, const json_t *choice) {
    const char *type = NULL;
    TRY(json_get_string(choice, "type", &type));
    if (!type || strcmp(type, "function") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "tool_choice of type %s is not supported",
                    type ? type : "(none)");
    s->tool_name = json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    if (!s->tool_name) return fail(HONE_ERR_ARGUMENT, "tool_choice names no function");
    s->choice = CHAT_TOOLS_NAMED;
    s->one_call = true;
    return HONE_OK;
}

static hone_status read_tools(chat_settings *s, const json_t *body) {
    const json_t *choice = field_find(body, "tool_choice");
    bool parallel = true;
    s->tools = field_find(body, "tools");
    TRY(json_get_bool(body, "parallel_tool_calls", &parallel));
    s->one_call = !parallel;
    if (!choice) return HONE_OK;
    if (json_is_object(choice)) return read_named_tool(s, choice);
    const char *word = json_string_value(choice);
    if (word && !strcmp(word, "auto")) s->choice = CHAT_TOOLS_AUTO;
    else if (word && !strcmp(word, "none")) s->choice = CHAT_TOOLS_NONE;
    else if (word && !strcmp(word, "required")) s->choice = CHAT_TOOLS_REQUIRED;
    else return fail(HONE_ERR_ARGUMENT, "tool_choice is neither none, auto, required nor an "
                                        "object");
    return HONE_OK;
}

static hone_status read_thinking(chat_settings *s, const json_t *body) {
    TRY(json_get_string(body, "reasoning_effort", &s->effort));
    s->limit_thinking = field_find(body, "thinking_budget") != NULL;
    TRY(field_whole(body, "thinking_budget", 0, 1 << 24, &s->thinking_budget));
    s->variables = field_find(body, "chat_template_kwargs");
    return HONE_OK;
}

/* Fields of which only the usual value can be had. */
static hone_status check_usual(const json_t *body) {
    const json_t *modalities = field_find(body, "modalities");
    const char *kind = json_string_value(json_array_get(modalities, 0)), *verbosity = "medium";
    if (modalities && (json_array_size(modalities) != 1 || !kind || strcmp(kind, "text") != 0))
        return fail(HONE_ERR_UNSUPPORTED, "modalities: only [\"text\"] is supported");
    TRY(json_get_string(body, "verbosity", &verbosity));
    if (strcmp(verbosity, "medium") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "verbosity: only \"medium\" is supported");
    return HONE_OK;
}

/* Of what only some requests use: it is right in all of them. */
static hone_status check_examples(const json_t *body) {
    example_list l = {.n = 0};
    json_t *examples = json_object_get(body, "strategy_examples");
    bool given = examples && !json_is_null(examples);
    hone_status status = given ? example_list_init(&l, examples) : HONE_OK;
    example_list_release(&l);
    return status;
}

hone_status openai_chat_request_read(openai_chat_request *q, openai_request *r) {
    uint64_t max_tokens = 0;
    *q = (openai_chat_request){.chat.messages = json_object_get(r->body, "messages")};
    TRY(check_usual(r->body));
    TRY(check_examples(r->body));
    TRY(field_whole(r->body, "max_tokens", 1, 1 << 24, &max_tokens));
    TRY(field_whole(r->body, "max_completion_tokens", 1, 1 << 24, &max_tokens));
    r->request.max_tokens = (size_t)max_tokens;
    TRY(read_logprobs(q, r));
    TRY(read_format(&q->chat, field_find(r->body, "response_format")));
    TRY(read_tools(&q->chat, r->body));
    TRY(read_thinking(&q->chat, r->body));
    return chat_check(&q->chat);
}
