/* From JSON messages to the engine's (serve/chat_messages.h). */
#include "serve/chat_messages.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "serve/fields.h"

#define MAX_TOOLS_BYTES ((size_t)16 << 20)

/* --- checks --- */

static hone_status check_part(const json_t *part) {
    const char *type = NULL, *text = NULL;
    if (!json_is_object(part)) return fail(HONE_ERR_ARGUMENT, "a part of content is no object");
    TRY(json_get_string(part, "type", &type));
    if (!type) return fail(HONE_ERR_ARGUMENT, "a part of content has no type");
    if (!strcmp(type, "image_url"))
        return fail(HONE_ERR_UNSUPPORTED, "image_url: this model takes no images");
    if (!strcmp(type, "input_audio"))
        return fail(HONE_ERR_UNSUPPORTED, "input_audio: this model takes no audio in a chat");
    if (strcmp(type, "text") != 0 && strcmp(type, "refusal") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "content of type %s is not supported", type);
    TRY(json_get_string(part, type, &text));
    return text ? HONE_OK : fail(HONE_ERR_ARGUMENT, "a part of type %s has no %s", type, type);
}

static hone_status check_content(const json_t *content) {
    if (json_is_string(content)) return HONE_OK;
    if (!json_is_array(content))
        return fail(HONE_ERR_ARGUMENT, "content must be a text or a list of parts");
    size_t i;
    const json_t *part;
    json_array_foreach(content, i, part) TRY(check_part(part));
    return HONE_OK;
}

static hone_status check_calls(const json_t *calls) {
    size_t i;
    const json_t *call;
    if (!json_is_array(calls)) return fail(HONE_ERR_ARGUMENT, "tool_calls must be a list");
    json_array_foreach(calls, i, call) {
        const json_t *function = json_object_get(call, "function");
        if (!json_is_string(json_object_get(function, "name")))
            return fail(HONE_ERR_ARGUMENT, "tool_calls[%zu] has no function with a name", i);
    }
    return HONE_OK;
}

static hone_status check_message(const json_t *message) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    const char *role = NULL;
    if (!json_is_object(message)) return fail(HONE_ERR_ARGUMENT, "a message is no object");
    TRY(json_get_string(message, "role", &role));
    if (!role) return fail(HONE_ERR_ARGUMENT, "a message has no role");
    size_t i = 0, n = sizeof roles / sizeof *roles;
    while (i < n && strcmp(role, roles[i]) != 0) i++;
    if (i == n)
        return fail(HONE_ERR_ARGUMENT,
                    "role %s is none of system, developer, user, assistant, tool", role);
    const json_t *content = field_find(message, "content");
    const json_t *calls = field_find(message, "tool_calls");
    if (field_find(message, "function_call"))
        return fail(HONE_ERR_UNSUPPORTED, "function_call is not supported; use tool_calls");
    if (calls && strcmp(role, "assistant") == 0) TRY(check_calls(calls));
    else if (calls) return fail(HONE_ERR_ARGUMENT, "only an assistant's message has tool_calls");
    if (!content && !calls && strcmp(role, "assistant") != 0)
        return fail(HONE_ERR_ARGUMENT, "a message has no content");
    return content ? check_content(content) : HONE_OK;
}

hone_status chat_check_messages(const json_t *messages) {
    size_t n = json_array_size(messages), i;
    const json_t *message;
    if (n == 0) return fail(HONE_ERR_ARGUMENT, "messages is missing or empty");
    if (n > CHAT_MAX_MESSAGES)
        return fail(HONE_ERR_ARGUMENT, "%zu messages, at most %d", n, CHAT_MAX_MESSAGES);
    json_array_foreach(messages, i, message) TRY(check_message(message));
    return HONE_OK;
}

static bool is_name(const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_-.:/", name[i])) return false;
    return n > 0 && n <= CHAT_MAX_NAME;
}

hone_status chat_check_tools(const json_t *tools) {
    size_t i;
    const json_t *tool;
    if (!json_is_array(tools)) return fail(HONE_ERR_ARGUMENT, "tools must be a list");
    if (json_array_size(tools) > CHAT_MAX_TOOLS)
        return fail(HONE_ERR_ARGUMENT, "%zu tools, at most %d", json_array_size(tools),
                    CHAT_MAX_TOOLS);
    json_array_foreach(tools, i, tool) {
        const char *type = "function", *name = NULL;
        if (!json_is_object(tool)) return fail(HONE_ERR_ARGUMENT, "tools[%zu] is no object", i);
        TRY(json_get_string(tool, "type", &type));
        if (strcmp(type, "function") != 0)
            return fail(HONE_ERR_UNSUPPORTED, "tools[%zu]: type %s is not supported", i, type);
        const json_t *function = json_object_get(tool, "function");
        const json_t *parameters = field_find(function, "parameters");
        if (!json_is_object(function))
            return fail(HONE_ERR_ARGUMENT, "tools[%zu] has no function", i);
        TRY(json_get_string(function, "name", &name));
        if (!name || !is_name(name))
            return fail(HONE_ERR_ARGUMENT, "tools[%zu]: the function needs a name of at most %d "
                        "letters, digits and _-.:/", i, CHAT_MAX_NAME);
        if (parameters && !json_is_object(parameters))
            return fail(HONE_ERR_ARGUMENT, "tools[%zu]: parameters is no JSON schema", i);
    }
    return HONE_OK;
}

const json_t *chat_find_tool(const json_t *tools, const char *name, size_t n) {
    size_t i;
    const json_t *tool;
    json_array_foreach(tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        const char *own = json_string_value(json_object_get(function, "name"));
        if (strlen(own) == n && !memcmp(own, name, n)) return function;
    }
    return NULL;
}

/* --- tools for templates that know none --- */

static const char tools_before[] =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
static const char tools_behind[] =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
    "\"arguments\": <args-json-object>}\n</tool_call>";

static hone_status describe_tools(buf *text, const json_t *tools) {
    size_t i;
    const json_t *tool;
    TRY(buf_add_text(text, tools_before));
    json_array_foreach(tools, i, tool) {
        char *line = json_dumps(tool, JSON_COMPACT);
        if (!line) return mem_fail("tools", 1);
        hone_status status = buf_add_text(text, "\n");
        if (status == HONE_OK) status = buf_add_text(text, line);
        mem_free(line);
        TRY(status);
    }
    return buf_add_text(text, tools_behind);
}

/* The texts of a content, joined. */
static hone_status add_content(buf *text, const json_t *content) {
    size_t i;
    const json_t *part;
    if (json_is_string(content))
        return buf_add(text, json_string_value(content), json_string_length(content));
    json_array_foreach(content, i, part) {
        const json_t *own = json_object_get(part, "text");
        if (!own) own = json_object_get(part, "refusal");
        TRY(buf_add(text, json_string_value(own), json_string_length(own)));
    }
    return HONE_OK;
}

static hone_status add_calls(buf *text, const json_t *calls) {
    size_t i;
    const json_t *call;
    json_array_foreach(calls, i, call) {
        const json_t *function = json_object_get(call, "function");
        const char *name = json_string_value(json_object_get(function, "name"));
        const char *arguments = json_string_value(json_object_get(function, "arguments"));
        TRY(buf_add_format(text, "%s<tool_call>\n{\"name\": \"%s\", \"arguments\": ",
                           text->len ? "\n" : "", name));
        TRY(buf_add_text(text, arguments ? arguments : "{}"));
        TRY(buf_add_text(text, "}\n</tool_call>"));
    }
    return HONE_OK;
}

static hone_status append_text(json_t *list, const char *role, const buf *text) {
    json_t *message = json_pack("{s:s, s:s%}", "role", role, "content",
                                text->data ? text->data : "", text->len);
    return message && json_array_append_new(list, message) == 0 ? HONE_OK : mem_fail("messages", 1);
}

static hone_status rewrite_message(json_t *list, const json_t *message) {
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = field_find(message, "content");
    const json_t *calls = field_find(message, "tool_calls");
    bool result = !strcmp(role, "tool");
    buf text;
    buf_init(&text, MAX_TOOLS_BYTES);
    hone_status status = result ? buf_add_text(&text, "<tool_response>\n") : HONE_OK;
    if (status == HONE_OK && content) status = add_content(&text, content);
    if (status == HONE_OK && calls) status = add_calls(&text, calls);
    if (status == HONE_OK && result) status = buf_add_text(&text, "\n</tool_response>");
    if (status == HONE_OK) status = append_text(list, result ? "user" : role, &text);
    buf_release(&text);
    return status;
}

/* Messages in which the tools are described and calls are written out, as Hermes was taught. */
static hone_status rewrite(json_t **out, const json_t *messages, const json_t *tools) {
    const json_t *first = json_array_get(messages, 0);
    const char *role = json_string_value(json_object_get(first, "role"));
    bool own_system = !strcmp(role, "system") || !strcmp(role, "developer");
    json_t *list = json_array();
    buf system;
    buf_init(&system, MAX_TOOLS_BYTES);
    hone_status status = list ? HONE_OK : mem_fail("messages", 1);
    if (status == HONE_OK && own_system && field_find(first, "content")) {
        status = add_content(&system, json_object_get(first, "content"));
        if (status == HONE_OK) status = buf_add_text(&system, "\n\n");
    }
    if (status == HONE_OK) status = describe_tools(&system, tools);
    if (status == HONE_OK) status = append_text(list, "system", &system);
    for (size_t i = own_system; i < json_array_size(messages) && status == HONE_OK; i++)
        status = rewrite_message(list, json_array_get(messages, i));
    buf_release(&system);
    if (status == HONE_OK) *out = list;
    else json_decref(list);
    return status;
}

/* --- the engine's messages --- */

/* Templates walk the arguments as an object; OpenAI's are the text of one. */
static json_t *call_for_template(const json_t *call) {
    json_t *copy = json_deep_copy(call), *function = json_object_get(copy, "function");
    const json_t *text = json_object_get(function, "arguments");
    json_t *arguments = NULL;
    if (json_is_string(text) &&
        json_parse(&arguments, json_string_value(text), json_string_length(text), "arguments") ==
            HONE_OK)
        json_object_set_new(function, "arguments", arguments);
    return copy;
}

/* The members beside role and content, as text; NULL where there are none. */
static hone_status make_fields(char **text, const json_t *message) {
    json_t *fields = json_object(), *value;
    const char *key;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)message, key, value) {
        if (!strcmp(key, "role") || !strcmp(key, "content") || json_is_null(value)) continue;
        if (strcmp(key, "tool_calls") != 0) {
            json_object_set(fields, key, value);
            continue;
        }
        json_t *calls = json_array(), *call;
        json_array_foreach(value, i, call) json_array_append_new(calls, call_for_template(call));
        json_object_set_new(fields, key, calls);
    }
    *text = json_object_size(fields) ? json_dumps(fields, JSON_COMPACT) : NULL;
    bool missing = !fields || (json_object_size(fields) && !*text);
    json_decref(fields);
    return missing ? mem_fail("message", 1) : HONE_OK;
}

static size_t n_parts_of(const json_t *message) {
    const json_t *content = field_find(message, "content");
    return 1 + (json_is_array(content) ? json_array_size(content) : content != NULL);
}

static hone_part text_part(const json_t *value) {
    const json_t *text = json_is_string(value)              ? value
                         : json_object_get(value, "text") ? json_object_get(value, "text")
                                                          : json_object_get(value, "refusal");
    return (hone_part){HONE_PART_TEXT, json_string_value(text), json_string_length(text)};
}

static hone_status make_message(chat_messages *m, size_t i, const json_t *message,
                                hone_part *parts) {
    const json_t *content = field_find(message, "content");
    const char *role = json_string_value(json_object_get(message, "role"));
    size_t n = 0, k;
    const json_t *part;
    if (json_is_string(content)) parts[n++] = text_part(content);
    else json_array_foreach(content, k, part) parts[n++] = text_part(part);
    TRY(make_fields(&m->fields[i], message));
    if (m->fields[i])
        parts[n++] = (hone_part){HONE_PART_FIELDS, m->fields[i], strlen(m->fields[i])};
    m->messages[i] = (hone_message){strcmp(role, "developer") ? role : "system", parts, n};
    return HONE_OK;
}

hone_status chat_messages_make(chat_messages *out, const json_t *messages, const json_t *tools) {
    chat_messages m = {0};
    hone_status status = tools ? rewrite(&m.own, messages, tools) : HONE_OK;
    if (m.own) messages = m.own;
    size_t n_parts = 0, at = 0;
    m.n = json_array_size(messages);
    for (size_t i = 0; i < m.n; i++) n_parts += n_parts_of(json_array_get(messages, i));
    m.messages = mem_calloc(m.n, sizeof *m.messages);
    m.parts = mem_calloc(n_parts, sizeof *m.parts);
    m.fields = mem_calloc(m.n, sizeof *m.fields);
    if (status == HONE_OK && !(m.messages && m.parts && m.fields))
        status = mem_fail("messages", m.n * sizeof *m.messages);
    for (size_t i = 0; i < m.n && status == HONE_OK; i++) {
        const json_t *message = json_array_get(messages, i);
        status = make_message(&m, i, message, m.parts + at);
        at += n_parts_of(message);
    }
    if (status == HONE_OK) *out = m;
    else chat_messages_release(&m);
    return status;
}

void chat_messages_release(chat_messages *m) {
    for (size_t i = 0; m->fields && i < m->n; i++) mem_free(m->fields[i]);
    mem_free(m->fields);
    mem_free(m->parts);
    mem_free(m->messages);
    json_decref(m->own);
    *m = (chat_messages){0};
}
